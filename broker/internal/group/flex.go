package group

import "encoding/binary"

// The flexible encoding of Kafka's newer records: lengths are unsigned varints one larger than they are, zero means null, and every
// structure ends with tagged fields.

func appendUvarint(b []byte, v int) []byte { return binary.AppendUvarint(b, uint64(v)) }

func appendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

func appendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

func appendFlexString(b []byte, s string) []byte { return append(appendUvarint(b, len(s)+1), s...) }

func appendFlexNullable(b []byte, s *string) []byte {
	if s == nil {
		return append(b, 0)
	}
	return appendFlexString(b, *s)
}

func appendFlexStrings(b []byte, all []string) []byte {
	b = appendUvarint(b, len(all)+1)
	for _, s := range all {
		b = appendFlexString(b, s)
	}
	return b
}

func appendFlexBytes(b, data []byte) []byte { return append(appendUvarint(b, len(data)+1), data...) }

// appendTag appends the only tagged field of a structure.
func appendTag(b []byte, tag int, data []byte) []byte {
	b = append(b, 1, byte(tag))
	return append(appendUvarint(b, len(data)), data...)
}

func (r *reader) uint8() uint8 {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) int32() int32 { return int32(r.uint32()) }

// string is one of the older encoding, as keys have it.
func (r *reader) string() string { return string(r.take(int(r.uint16()))) }

func (r *reader) flexString() string { return string(r.take(int(r.uvarint()) - 1)) }

func (r *reader) flexNullable() *string {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	s := string(r.take(int(n) - 1))
	return &s
}

// count is the length of a list whose entries take each bytes at least: a damaged one costs no more than the bytes that are there.
func (r *reader) count(each int) int {
	n := int(r.uvarint()) - 1
	if n < 0 || n > len(r.rest)/each {
		r.short = r.short || n > 0 || n < -1
		return 0
	}
	return n
}

func (r *reader) flexStrings() []string {
	all := make([]string, r.count(1))
	for i := range all {
		all[i] = r.flexString()
	}
	return all
}

func (r *reader) id() (id [16]byte) {
	copy(id[:], r.take(len(id)))
	return id
}

// tags passes over the tagged fields; known is given those that it may know.
func (r *reader) tags(known func(tag uint32, data *reader)) {
	for n := r.uvarint(); n > 0 && !r.short; n-- {
		tag, size := r.uvarint(), r.uvarint()
		data := &reader{rest: r.take(int(size))}
		if known != nil && !r.short {
			known(tag, data)
			r.short = r.short || data.short
		}
	}
}
