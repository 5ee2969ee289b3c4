package protoserde

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millrace-io/millrace/stream/serde"
)

var errNull = errors.New("protoserde: null has no encoding")

var marshal = proto.MarshalOptions{Deterministic: true}

// Of is the serde of a generated message type, such as *pb.User. A nil message is null.
func Of[M proto.Message]() serde.Serde[M] {
	var none M
	return plain[M]{none.ProtoReflect().Type()}
}

type plain[M proto.Message] struct{ kind protoreflect.MessageType }

func (s plain[M]) Append(dst []byte, m M) ([]byte, error) {
	if !m.ProtoReflect().IsValid() {
		return dst, errNull
	}
	b, err := marshal.MarshalAppend(dst, m)
	if err != nil {
		return dst, fmt.Errorf("protoserde: encode %s: %w", s.name(), err)
	}
	return b, nil
}

func (s plain[M]) Decode(b []byte) (M, error) {
	m := s.kind.New().Interface().(M)
	if err := proto.Unmarshal(b, m); err != nil {
		var none M
		return none, fmt.Errorf("protoserde: decode %s: %w", s.name(), err)
	}
	return m, nil
}

func (s plain[M]) name() protoreflect.FullName { return s.kind.Descriptor().FullName() }

// Framed is Of with the frame of schema registries:
//
//	┌─────┬───────────────┬───────┬─────────┬─────────────┐
//	│ 0 1 │ schema id   4 │ count │ indexes │ message   n │   the id big-endian, count and indexes as zig-zag varints
//	└─────┴───────────────┴───────┴─────────┴─────────────┘
//
// The indexes say which message of the schema it is: that of the outer message in the file, of the inner one in that, and so on. The first message of a file is
// written as a count of 0. Messages are read whatever the schema id is, since Protocol Buffers are read without the writer's schema; other indexes are refused.
func Framed[M proto.Message](id uint32) serde.Serde[M] {
	var none M
	kind := none.ProtoReflect().Type()
	frame := binary.BigEndian.AppendUint32([]byte{0}, id)
	return framed[M]{plain: plain[M]{kind}, frame: appendIndexes(frame, kind.Descriptor())}
}

type framed[M proto.Message] struct {
	plain[M]
	frame []byte // immutable
}

// idBytes is the size of the frame before the indexes.
const idBytes = 1 + 4

func appendIndexes(dst []byte, d protoreflect.Descriptor) []byte {
	var path []int
	for ; d != nil; d = d.Parent() {
		if _, ok := d.(protoreflect.MessageDescriptor); ok {
			path = append(path, d.Index())
		}
	}
	slices.Reverse(path)
	if slices.Equal(path, []int{0}) {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(len(path)))
	for _, index := range path {
		dst = binary.AppendVarint(dst, int64(index))
	}
	return dst
}

func (s framed[M]) Append(dst []byte, m M) ([]byte, error) {
	b, err := s.plain.Append(append(dst, s.frame...), m)
	if err != nil {
		return dst, err
	}
	return b, nil
}

func (s framed[M]) Decode(b []byte) (M, error) {
	var none M
	if len(b) < idBytes || b[0] != 0 {
		return none, fmt.Errorf("protoserde: decode %s: %d bytes without the frame of a schema registry", s.name(), len(b))
	}
	indexes := s.frame[idBytes:]
	rest := b[idBytes:]
	if len(rest) < len(indexes) || !slices.Equal(rest[:len(indexes)], indexes) {
		return none, fmt.Errorf("protoserde: decode %s: the frame names another message", s.name())
	}
	return s.plain.Decode(rest[len(indexes):])
}
