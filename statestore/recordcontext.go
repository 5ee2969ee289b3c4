package statestore

import (
	"encoding/binary"
	"errors"
)

// The values of buffers, in the changelog as Kafka Streams writes them:
//
//	┌─────────────┬──────────┬──────────┬──────────┬─────────────┬─────────┬───────┬───────┬───────┬────────┐
//	│ timestamp 8 │ offset 8 │ length 4 │ topic  n │ partition 4 │ headers │ prior │ old   │ new   │ time 8 │
//	└─────────────┴──────────┴──────────┴──────────┴─────────────┴─────────┴───────┴───────┴───────┴────────┘
//	                        headers: count 4, then length 4, key, length 4 and value of each
//	                        prior, old, new: length 4 and bytes; length -1 is null, -2 (only of old) is the prior value
//
// All numbers are big-endian. The time is the slot's; a grace buffer, whose keys have it, leaves it zero.
const (
	lengthNull  = ^uint32(0)     // -1
	lengthPrior = ^uint32(0) - 1 // -2
)

var errBuffered = errors.New("a value that is no buffered record")

func appendContext(dst []byte, c *RecordContext) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.Timestamp))
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.Offset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(c.Topic)))
	dst = append(dst, c.Topic...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.Partition))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(c.Headers)))
	for _, h := range c.Headers {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendPart(dst, h.Value)
	}
	return dst
}

// appendPart appends bytes with their length; nil is null.
func appendPart(dst, b []byte) []byte {
	if b == nil {
		return binary.BigEndian.AppendUint32(dst, lengthNull)
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
}

// bufferReader takes a buffered value apart. After the first fault it returns zeroes.
type bufferReader struct {
	b      []byte
	failed bool
}

func (r *bufferReader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.b)) {
		r.failed = true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *bufferReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *bufferReader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// part takes bytes with their length; nil is null.
func (r *bufferReader) part() []byte {
	n := r.uint32()
	if n == lengthNull || r.failed {
		return nil
	}
	return r.take(uint64(n))
}

// buffered is a buffered value whose slices lie in its encoding; nil is null.
type buffered struct {
	timestamp, offset int64
	topic             []byte
	partition         int32
	headers           int    // how many
	headerBytes       []byte // encoded
	prior, old, new   []byte
	oldIsPrior        bool
	time              int64
}

// parseBuffered reads a value of a buffer.
func parseBuffered(b []byte) (v buffered, err error) {
	r := bufferReader{b: b}
	v.timestamp, v.offset, v.topic, v.partition = r.int64(), r.int64(), r.part(), int32(r.uint32())
	v.headers = int(r.uint32())
	v.headerBytes = r.b
	for i := 0; i < v.headers && !r.failed; i++ {
		r.take(uint64(r.uint32()))
		r.part()
	}
	if r.failed {
		return v, errBuffered
	}
	v.headerBytes = v.headerBytes[:len(v.headerBytes)-len(r.b)]
	v.prior = r.part()
	switch n := r.uint32(); n {
	case lengthNull:
	case lengthPrior:
		v.old, v.oldIsPrior = v.prior, true
	default:
		v.old = r.take(uint64(n))
	}
	v.new = r.part()
	v.time = r.int64()
	if r.failed || len(r.b) > 0 {
		return v, errBuffered
	}
	return v, nil
}

// context returns the record's context in memory of its own.
func (v *buffered) context() RecordContext {
	c := RecordContext{Timestamp: v.timestamp, Topic: string(v.topic), Partition: v.partition, Offset: v.offset}
	r := bufferReader{b: v.headerBytes}
	for range v.headers {
		h := Header{Key: string(r.take(uint64(r.uint32())))}
		if value := r.part(); value != nil {
			h.Value = append(make([]byte, 0, len(value)), value...)
		}
		c.Headers = append(c.Headers, h)
	}
	return c
}

// size is what Kafka Streams counts for a slot: the key, the parts, and 8, 8 and 4 bytes for time, offset and partition, and 8 for the slot's time. An old value that is
// the prior one counts once.
func (v *buffered) size(key []byte) int64 {
	n := len(key) + 8 + 8 + 8 + 4 + len(v.topic) + len(v.prior) + len(v.new)
	if !v.oldIsPrior {
		n += len(v.old)
	}
	r := bufferReader{b: v.headerBytes}
	for range v.headers {
		n += len(r.take(uint64(r.uint32())))
		n += len(r.part())
	}
	return int64(n)
}
