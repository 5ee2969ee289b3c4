package overlay

import (
	"bytes"
	"encoding/binary"
)

// index is a skip list over the ordered entries in key order. Entries are only added until all of them leave together, so it has no removal, and a node stays valid
// until reset. Pointer-free.
//
// A node's links are links[tower:tower+height]; node 0 is the head, before all keys.
type index struct {
	built bool
	nodes []node
	links []uint32 // nodes, 0 being the end
	rnd   uint32
}

type node struct {
	prefix uint64 // of the key, so that most comparisons stay in the node
	entry  uint32
	prev   uint32
	tower  uint32
}

// maxHeight is enough for 4^12 = 16 million entries at their best cost; more make searches longer, not wrong.
const maxHeight = 12

// prefixOf returns the first eight bytes of a key as a number that compares like them.
func prefixOf(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

func (x *index) reset() {
	x.built = false
	x.nodes = x.nodes[:0]
	x.links = x.links[:0]
}

// build makes the index of all ordered entries.
func (x *index) build(t *Table) {
	x.reset()
	x.built = true
	x.nodes = append(x.nodes, node{})
	x.links = append(x.links, make([]uint32, maxHeight)...)
	if x.rnd == 0 {
		x.rnd = 2463534242
	}
	if !t.keepOrder {
		for _, i := range t.Sorted() {
			x.insert(t, i)
		}
		return
	}
	var in []uint32
	for i := range t.entries {
		if t.entries[i].flags&ordered != 0 {
			in = append(in, uint32(i))
		}
	}
	t.sort(in)
	for _, i := range in {
		x.insert(t, i)
	}
}

// less says whether node n comes before key.
func (x *index) less(t *Table, n uint32, prefix uint64, key []byte) bool {
	p := &x.nodes[n]
	if p.prefix != prefix {
		return p.prefix < prefix
	}
	return bytes.Compare(t.keyOf(&t.entries[p.entry]), key) < 0
}

// search fills before with the last node in front of key on each level and returns the first node at or after it, 0 being none.
func (x *index) search(t *Table, key []byte, before *[maxHeight]uint32) uint32 {
	prefix := prefixOf(key)
	at := uint32(0)
	for level := maxHeight - 1; level >= 0; level-- {
		for {
			next := x.links[x.nodes[at].tower+uint32(level)]
			if next == 0 || !x.less(t, next, prefix, key) {
				break
			}
			at = next
		}
		before[level] = at
	}
	return x.links[x.nodes[at].tower]
}

func (x *index) insert(t *Table, i uint32) {
	key := t.keyOf(&t.entries[i])
	var before [maxHeight]uint32
	next := x.search(t, key, &before)
	height := x.height()
	n := uint32(len(x.nodes))
	tower := uint32(len(x.links))
	x.nodes = append(x.nodes, node{prefix: prefixOf(key), entry: i, prev: before[0], tower: tower})
	for level := range height {
		from := x.nodes[before[level]].tower + uint32(level)
		x.links = append(x.links, x.links[from])
		x.links[from] = n
	}
	x.nodes[next].prev = n // for the head: the last node
}

// height is 1 with probability 3/4, 2 with 3/16 and so on.
func (x *index) height() int {
	x.rnd ^= x.rnd << 13
	x.rnd ^= x.rnd >> 17
	x.rnd ^= x.rnd << 5
	h := 1
	for r := x.rnd >> 4; h < maxHeight && r&3 == 0; r >>= 2 {
		h++
	}
	return h
}
