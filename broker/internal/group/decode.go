package group

import (
	"encoding/binary"
	"time"
)

// decodeOffset reads an OffsetCommitValue:
//
//	v0-v2 │ version 2 │ offset 8 │ metadata: length 2, bytes │ commit time 8 │ v1: expiry time 8 │
//	v3    │ version 2 │ offset 8 │ leader epoch 4 │ metadata: length 2, bytes │ commit time 8 │
//	v4    │ version 2 │ offset 8 │ leader epoch 4 │ metadata: uvarint length + 1, bytes │ commit time 8 │ tags; 0 is the topic id, 16 │
//
// It is read by hand because it is read often, and because a damaged count of tags must not cost more than the bytes that
// are there.
func decodeOffset(value []byte) (offset, bool) {
	r := reader{rest: value}
	version := int16(r.uint16())
	if version < 0 || version > offsetIDValueVersion {
		return offset{}, false
	}
	o := offset{at: int64(r.uint64()), leaderEpoch: -1}
	if version >= 3 {
		o.leaderEpoch = int32(r.uint32())
	}
	if version < offsetIDValueVersion {
		o.metadata = string(r.take(int(r.uint16())))
	} else {
		o.metadata = string(r.take(int(r.uvarint()) - 1))
	}
	o.committed = r.time()
	if version == 1 {
		o.expires = r.time()
	}
	if version >= offsetIDValueVersion {
		for n := r.uvarint(); n > 0 && !r.short; n-- {
			tag, size := r.uvarint(), r.uvarint()
			if data := r.take(int(size)); tag == 0 && len(data) == len(o.topicID) {
				copy(o.topicID[:], data)
			}
		}
	}
	return o, !r.short
}

// reader takes values off the front of a record. Once there is too little, everything is zero.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.short = true
		r.rest = nil
		return nil
	}
	p := r.rest[:n]
	r.rest = r.rest[n:]
	return p
}

func (r *reader) uint16() uint16 {
	if p := r.take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

func (r *reader) uvarint() uint32 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > 1<<31-1 {
		r.take(-1)
		return 0
	}
	r.rest = r.rest[n:]
	return uint32(v)
}

func (r *reader) time() time.Time { return at(int64(r.uint64())) }
