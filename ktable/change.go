package ktable

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream/serde"
)

// A change of a row in a repartition topic, as Kafka Streams writes it since KIP-904. The length is that of the new value, in zigzag encoding:
//
//	┌───────────┬───┐  ┌───────────┬───┐  ┌──────────────┬───────────┬───────────┬───┐
//	│ old value │ 0 │  │ new value │ 1 │  │ length varint│ new value │ old value │ 2 │
//	└───────────┴───┘  └───────────┴───┘  └──────────────┴───────────┴───────────┴───┘
const (
	changeOld byte = iota
	changeNew
	changeBoth
)

// changeSerde encodes changes. Immutable.
type changeSerde[V any] struct{ value serde.Serde[V] }

var (
	errNoChange    = errors.New("ktable: a change without an old and a new value has no encoding")
	errShortChange = errors.New("ktable: the encoded change is cut off")
)

func (s changeSerde[V]) Append(dst []byte, c topology.Change[V]) (b []byte, err error) {
	switch {
	case c.HasNew && c.HasOld:
		return s.appendBoth(dst, c)
	case c.HasNew:
		if b, err = s.value.Append(dst, c.New); err != nil {
			return dst, err
		}
		return append(b, changeNew), nil
	case c.HasOld:
		if b, err = s.value.Append(dst, c.Old); err != nil {
			return dst, err
		}
		return append(b, changeOld), nil
	}
	return dst, errNoChange
}

// appendBoth makes room for the longest length before the new value, whose length is not known yet, and moves what follows back.
func (s changeSerde[V]) appendBoth(dst []byte, c topology.Change[V]) ([]byte, error) {
	var room [binary.MaxVarintLen64]byte
	at := len(dst)
	b := append(dst, room[:]...)
	start := len(b)
	b, err := s.value.Append(b, c.New)
	if err != nil {
		return dst, err
	}
	length := binary.PutVarint(b[at:start], int64(len(b)-start))
	b = b[:at+length+copy(b[at+length:], b[start:])]
	if b, err = s.value.Append(b, c.Old); err != nil {
		return dst, err
	}
	return append(b, changeBoth), nil
}

func (s changeSerde[V]) Decode(b []byte) (c topology.Change[V], err error) {
	if len(b) == 0 {
		return c, errShortChange
	}
	data, kind := b[:len(b)-1], b[len(b)-1]
	switch kind {
	case changeOld:
		c.HasOld = true
		c.Old, err = s.value.Decode(data)
	case changeNew:
		c.HasNew = true
		c.New, err = s.value.Decode(data)
	case changeBoth:
		n, w := binary.Varint(data)
		if w <= 0 || n < 0 || n > int64(len(data)-w) {
			return c, errShortChange
		}
		c.HasNew, c.HasOld = true, true
		if c.New, err = s.value.Decode(data[w : w+int(n)]); err == nil {
			c.Old, err = s.value.Decode(data[w+int(n):])
		}
	default:
		err = fmt.Errorf("ktable: an encoded change ends with %d, which is no kind of change", kind)
	}
	if err != nil {
		return topology.Change[V]{}, err
	}
	return c, nil
}
