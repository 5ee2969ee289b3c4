package overlay

import (
	"bytes"
	"cmp"
	"encoding/binary"
)

// index is a skip list over the ordered entries in key order. Entries are only added until all of them leave together, so it has no removal, and a node stays valid
// until reset. Pointer-free, a node in one piece:
//
//	┌─────────────┬─────────┬────────┬──────────┬─────┐
//	│ prefix 4    │ entry 1 │ prev 1 │ next 1   │ …   │   words of 32 bits; one next for each level of the node; 0 is the end
//	└─────────────┴─────────┴────────┴──────────┴─────┘
//
// A node is named by its position in words; node 0 is the head, before all keys. The prefix is the sixteen bytes of the key after those that all keys begin with:
// with eight, the windows of one key would mostly be told apart by a look at the keys themselves, which are seldom in the processor's cache.
type index struct {
	built  bool
	words  []uint32
	count  int    // nodes but the head
	common []byte // what all keys begin with
	rnd    uint32
}

const (
	entryWord = 4
	prevWord  = 5
	nextWord  = 6
	// maxHeight is enough for 4^12 = 16 million entries at their best cost; more make searches longer, not wrong.
	maxHeight = 12
)

// prefix is the beginning of a key as two numbers that compare like it; a key that is shorter has zeros.
type prefix struct{ high, low uint64 }

func prefixesOf(key []byte) prefix {
	if len(key) <= 8 {
		return prefix{high: prefixOf(key)}
	}
	return prefix{prefixOf(key), prefixOf(key[8:])}
}

func (p prefix) compare(o prefix) int {
	if p.high != o.high {
		return cmp.Compare(p.high, o.high)
	}
	return cmp.Compare(p.low, o.low)
}

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
	x.words = x.words[:0]
	x.count = 0
}

// build makes the index of all ordered entries.
func (x *index) build(t *Table) {
	x.reset()
	x.built = true
	x.words = append(x.words, make([]uint32, nextWord+maxHeight)...)
	if x.rnd == 0 {
		x.rnd = 2463534242
	}
	entries := t.staged
	if t.keepOrder {
		entries = nil
		for i := range t.entries {
			if t.entries[i].flags&ordered != 0 {
				entries = append(entries, uint32(i))
			}
		}
	}
	t.sort(entries)
	x.common = x.common[:0]
	if len(entries) > 0 {
		x.common = append(x.common, t.keyOf(&t.entries[entries[0]])[:t.commonPrefix(entries)]...)
	}
	for _, i := range entries {
		x.insert(t, i)
	}
}

// next returns the node after n on a level.
func (x *index) next(n uint32, level int) uint32 { return x.words[n+nextWord+uint32(level)] }

func (x *index) prev(n uint32) uint32 { return x.words[n+prevWord] }

func (x *index) entry(n uint32) uint32 { return x.words[n+entryWord] }

func (x *index) prefix(n uint32) prefix {
	w := x.words[n : n+4 : n+4]
	return prefix{uint64(w[0])<<32 | uint64(w[1]), uint64(w[2])<<32 | uint64(w[3])}
}

func (x *index) setPrefix(n uint32, p prefix) {
	w := x.words[n : n+4 : n+4]
	w[0], w[1], w[2], w[3] = uint32(p.high>>32), uint32(p.high), uint32(p.low>>32), uint32(p.low)
}

// compare compares a node's key with another, with a look at the former only where the prefixes are equal.
func (x *index) compare(t *Table, n uint32, key []byte) int {
	if bytes.HasPrefix(key, x.common) {
		if c := x.prefix(n).compare(prefixesOf(key[len(x.common):])); c != 0 {
			return c
		}
	}
	return bytes.Compare(t.keyOf(&t.entries[x.entry(n)]), key)
}

// search fills before with the last node in front of key on each level and returns the first node at or after it, 0 being none.
func (x *index) search(t *Table, key []byte, before *[maxHeight]uint32) uint32 {
	if !bytes.HasPrefix(key, x.common) {
		return x.searchOutside(bytes.Compare(key, x.common) > 0, before)
	}
	prefix := prefixesOf(key[len(x.common):])
	at, beyond := uint32(0), uint32(0) // beyond: the node that ended the level above, or the end; it ends this one too
	for level := maxHeight - 1; level >= 0; level-- {
		for {
			next := x.next(at, level)
			if next == beyond {
				break
			}
			if c := x.prefix(next).compare(prefix); c > 0 || c == 0 && bytes.Compare(t.keyOf(&t.entries[x.entry(next)]), key) >= 0 {
				beyond = next
				break
			}
			at = next
		}
		before[level] = at
	}
	return x.next(at, 0)
}

// searchOutside is search for a key that is after all nodes, or before all.
func (x *index) searchOutside(after bool, before *[maxHeight]uint32) uint32 {
	at := uint32(0)
	for level := maxHeight - 1; level >= 0; level-- {
		for after && x.next(at, level) != 0 {
			at = x.next(at, level)
		}
		before[level] = at
	}
	return x.next(at, 0)
}

func (x *index) insert(t *Table, i uint32) {
	key := t.keyOf(&t.entries[i])
	x.share(t, key)
	var before [maxHeight]uint32
	following := x.search(t, key, &before)
	n := uint32(len(x.words))
	x.words = append(x.words, 0, 0, 0, 0, i, before[0])
	x.setPrefix(n, prefixesOf(key[len(x.common):]))
	for level := range x.height() {
		at := before[level] + nextWord + uint32(level)
		x.words = append(x.words, x.words[at])
		x.words[at] = n
	}
	x.words[following+prevWord] = n // for the head: the last node
	x.count++
}

// share shortens what all keys begin with to what key has of it. That can happen once for each of its bytes, so that the new prefixes for all nodes cost little.
func (x *index) share(t *Table, key []byte) {
	n := 0
	for n < len(x.common) && n < len(key) && x.common[n] == key[n] {
		n++
	}
	if n == len(x.common) {
		return
	}
	x.common = x.common[:n]
	for at := x.next(0, 0); at != 0; at = x.next(at, 0) {
		x.setPrefix(at, prefixesOf(t.keyOf(&t.entries[x.entry(at)])[n:]))
	}
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
