package record

import "encoding/binary"

// putVarint writes v as a zigzag varint at buf[i:], which must have room, and returns the index after it.
func putVarint(buf []byte, i int, v int64) int {
	u := uint64(v<<1) ^ uint64(v>>63)
	for u >= 0x80 {
		buf[i] = byte(u) | 0x80
		i++
		u >>= 7
	}
	buf[i] = byte(u)
	return i + 1
}

// varintLen returns the size of v as a zigzag varint.
func varintLen(v int64) int {
	u := uint64(v<<1) ^ uint64(v>>63)
	n := 1
	for u >= 0x80 {
		u >>= 7
		n++
	}
	return n
}

// varint32 reads a zigzag varint of at most 32 bits at buf[i:]. It returns the index after it, or -1 when the bytes are no such number.
func varint32(buf []byte, i int) (int32, int) {
	if i < len(buf) && buf[i] < 0x80 {
		u := uint32(buf[i])
		return int32(u>>1) ^ -int32(u&1), i + 1
	}
	var u uint64
	for shift := 0; shift < 35; shift += 7 {
		if i >= len(buf) {
			return 0, -1
		}
		c := buf[i]
		i++
		u |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if u>>32 != 0 {
				return 0, -1
			}
			return int32(uint32(u)>>1) ^ -int32(u&1), i
		}
	}
	return 0, -1
}

// shortVarint reads a varint of one or two bytes at buf[i:], which must have two, as it lies: zigzag is left to the caller. A longer one gives 2^14 or more.
func shortVarint(buf []byte, i int) (uint32, int) {
	if c := buf[i]; c < 0x80 {
		return uint32(c), i + 1
	}
	return uint32(buf[i]&0x7f) | uint32(buf[i+1])<<7, i + 2
}

// varint64 reads a zigzag varint at buf[i:]. It returns the index after it, or -1 when the bytes are no such number.
func varint64(buf []byte, i int) (int64, int) {
	if i < len(buf) && buf[i] < 0x80 {
		u := uint64(buf[i])
		return int64(u>>1) ^ -int64(u&1), i + 1
	}
	if i > len(buf) {
		return 0, -1
	}
	u, n := binary.Uvarint(buf[i:])
	if n <= 0 {
		return 0, -1
	}
	return int64(u>>1) ^ -int64(u&1), i + n
}
