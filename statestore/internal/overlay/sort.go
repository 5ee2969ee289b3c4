package overlay

import (
	"bytes"
	"slices"
)

// sortKey is an entry with the part of its key that decides most comparisons.
type sortKey struct {
	prefix prefix
	entry  uint32
}

// radixLeast is from how many entries on it pays to distribute them by the bytes of their prefixes instead of comparing them.
const radixLeast = 256

// sort brings entries in key order.
func (t *Table) sort(entries []uint32) {
	if len(entries) < 2 {
		return
	}
	skip := t.commonPrefix(entries)
	order, spare := t.sortRoom(len(entries))
	for n, i := range entries {
		order[n] = sortKey{prefixesOf(t.keyOf(&t.entries[i])[skip:]), i}
	}
	if len(order) < radixLeast {
		t.compareAll(order)
	} else {
		order = distribute(order, spare)
		for lo, hi := 0, 0; lo < len(order); lo = hi {
			for hi < len(order) && order[hi].prefix.high == order[lo].prefix.high {
				hi++
			}
			t.compareAll(order[lo:hi])
		}
	}
	for n := range order {
		entries[n] = order[n].entry
	}
}

// sortRoom returns scratch for n entries, twice.
func (t *Table) sortRoom(n int) (order, spare []sortKey) {
	if cap(t.order) < 2*n {
		t.order = make([]sortKey, 2*n+n/2)
	}
	return t.order[:n:n], t.order[n : 2*n : 2*n]
}

// compareAll sorts by comparisons.
func (t *Table) compareAll(order []sortKey) {
	if len(order) < 2 {
		return
	}
	slices.SortFunc(order, func(a, b sortKey) int {
		if c := a.prefix.compare(b.prefix); c != 0 {
			return c
		}
		return bytes.Compare(t.keyOf(&t.entries[a.entry]), t.keyOf(&t.entries[b.entry]))
	})
}

// distribute sorts by the first eight bytes of the prefixes: from the last byte to the first, with a pass over all for each byte in which they differ. The result lies in
// one of the slices, the other one is overwritten.
func distribute(order, spare []sortKey) []sortKey {
	var counts [8][256]uint32
	for i := range order {
		high := order[i].prefix.high
		for b := range counts {
			counts[b][byte(high>>(8*b))]++
		}
	}
	for b := range counts {
		c := &counts[b]
		if c[byte(order[0].prefix.high>>(8*b))] == uint32(len(order)) {
			continue // the same in all
		}
		at := uint32(0)
		for v, n := range c {
			c[v] = at
			at += n
		}
		for i := range order {
			v := byte(order[i].prefix.high >> (8 * b))
			spare[c[v]] = order[i]
			c[v]++
		}
		order, spare = spare, order
	}
	return order
}
