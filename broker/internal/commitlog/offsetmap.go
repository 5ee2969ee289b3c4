package commitlog

import "hash/maphash"

// offsetMap remembers the latest offset of every key in the dirty part of a log. It keeps a 128-bit hash of a key, not the key: two hashes of
// 64 bits with seeds that nobody outside the process can know, so that no choice of keys makes two of them meet.
//
// It is an open-addressing table without pointers that doubles until it reaches its bound.
type offsetMap struct {
	seedA, seedB maphash.Seed
	slots        []mapSlot // a power of two of them
	n            int
	maxSlots     int
}

// mapSlot is one key; an offset of -1 is a free slot.
type mapSlot struct {
	a, b   uint64
	offset Offset
}

const (
	mapSlotSize  = 24
	minMapSlots  = 128
	mapLoadParts = 4 // at most 3 of 4 slots are used
)

// newOffsetMap returns a map that takes at most memory bytes, the old table while it doubles not counted.
func newOffsetMap(memory int) *offsetMap {
	m := &offsetMap{seedA: maphash.MakeSeed(), seedB: maphash.MakeSeed(), maxSlots: minMapSlots}
	for m.maxSlots*2*mapSlotSize <= memory {
		m.maxSlots *= 2
	}
	m.slots = freeSlots(minMapSlots)
	return m
}

func freeSlots(n int) []mapSlot {
	s := make([]mapSlot, n)
	for i := range s {
		s[i].offset = -1
	}
	return s
}

// put notes that key occurs at o, which is above all offsets before. It returns false, and changes nothing, when the map is full and the key
// is new.
func (m *offsetMap) put(key []byte, o Offset) bool {
	a, b := maphash.Bytes(m.seedA, key), maphash.Bytes(m.seedB, key)
	s := m.find(a, b)
	if s.offset >= 0 {
		s.offset = o
		return true
	}
	if m.n >= len(m.slots)/mapLoadParts*(mapLoadParts-1) {
		if len(m.slots) >= m.maxSlots {
			return false
		}
		m.grow()
		s = m.find(a, b)
	}
	*s = mapSlot{a: a, b: b, offset: o}
	m.n++
	return true
}

// latest returns the latest offset of key, or -1.
func (m *offsetMap) latest(key []byte) Offset {
	return m.find(maphash.Bytes(m.seedA, key), maphash.Bytes(m.seedB, key)).offset
}

// find returns the slot of a hash, or the free one where it would go.
func (m *offsetMap) find(a, b uint64) *mapSlot {
	mask := uint64(len(m.slots) - 1)
	for i := a & mask; ; i = (i + 1) & mask {
		if s := &m.slots[i]; s.offset < 0 || (s.a == a && s.b == b) {
			return s
		}
	}
}

func (m *offsetMap) grow() {
	old := m.slots
	m.slots = freeSlots(len(old) * 2)
	for i := range old {
		if old[i].offset >= 0 {
			*m.find(old[i].a, old[i].b) = old[i]
		}
	}
}
