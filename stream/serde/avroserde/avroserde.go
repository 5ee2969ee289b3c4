package avroserde

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/avro"

	"github.com/millrace-io/millrace/stream/serde"
)

var errNoSchema = errors.New("avroserde: there is no schema")

// Of is the serde of T under a schema, which must fit T; avro.SchemaFor makes one from a struct. Writers and readers must have the same schema, since a value does not say
// which it was written with.
func Of[T any](schema *avro.Schema) serde.Serde[T] { return plain[T]{schema} }

type plain[T any] struct{ schema *avro.Schema }

func (s plain[T]) Append(dst []byte, v T) ([]byte, error) {
	if s.schema == nil {
		return dst, errNoSchema
	}
	b, err := s.schema.AppendEncode(dst, v)
	if err != nil {
		return dst, fmt.Errorf("avroserde: encode %T: %w", v, err)
	}
	return b, nil
}

func (s plain[T]) Decode(b []byte) (T, error) { return decode[T](s.schema, b) }

// decode reads a value that takes all of b.
func decode[T any](schema *avro.Schema, b []byte) (v T, err error) {
	var none T
	if schema == nil {
		return none, errNoSchema
	}
	rest, err := schema.Decode(b, &v)
	if err != nil {
		return none, fmt.Errorf("avroserde: decode %T: %w", none, err)
	}
	if len(rest) > 0 {
		return none, fmt.Errorf("avroserde: decode %T: %d bytes after the value", none, len(rest))
	}
	return v, nil
}

// The frame of schema registries:
//
//	┌─────┬───────────────┬─────────────┐
//	│ 0 1 │ schema id   4 │ value     n │   big-endian
//	└─────┴───────────────┴─────────────┘
const frameBytes = 1 + 4

// Framed is Of with the frame of schema registries: values are written with the schema and its id. A value of another id is read with the schema that writers returns
// for it and resolved to this one, as Avro's rules say. Writers is asked once for each id that it knows, from any goroutine; nil knows none.
func Framed[T any](schema *avro.Schema, id uint32, writers func(id uint32) (*avro.Schema, error)) serde.Serde[T] {
	return &framed[T]{plain: plain[T]{schema}, id: id, writers: writers}
}

type framed[T any] struct {
	plain[T]
	id       uint32
	writers  func(id uint32) (*avro.Schema, error)
	resolved sync.Map // of *avro.Schema by id
}

func (s *framed[T]) Append(dst []byte, v T) ([]byte, error) {
	b, err := s.plain.Append(binary.BigEndian.AppendUint32(append(dst, 0), s.id), v)
	if err != nil {
		return dst, err
	}
	return b, nil
}

func (s *framed[T]) Decode(b []byte) (v T, err error) {
	if len(b) < frameBytes || b[0] != 0 {
		return v, fmt.Errorf("avroserde: decode %T: %d bytes without the frame of a schema registry", v, len(b))
	}
	schema, err := s.reader(binary.BigEndian.Uint32(b[1:]))
	if err != nil {
		return v, fmt.Errorf("avroserde: decode %T: %w", v, err)
	}
	return decode[T](schema, b[frameBytes:])
}

// reader returns the schema that reads values of an id.
func (s *framed[T]) reader(id uint32) (*avro.Schema, error) {
	if id == s.id {
		return s.schema, nil
	}
	if known, ok := s.resolved.Load(id); ok {
		return known.(*avro.Schema), nil
	}
	if s.writers == nil || s.schema == nil {
		return nil, fmt.Errorf("schema %d is not known", id)
	}
	writer, err := s.writers(id)
	if err != nil {
		return nil, fmt.Errorf("schema %d: %w", id, err)
	}
	if writer == nil {
		return nil, fmt.Errorf("schema %d is not known", id)
	}
	schema, err := avro.Resolve(writer, s.schema)
	if err != nil {
		return nil, fmt.Errorf("schema %d: %w", id, err)
	}
	s.resolved.Store(id, schema)
	return schema, nil
}
