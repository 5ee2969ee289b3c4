package overlay

import "bytes"

// Sorted returns the staged entries in key order, for EntryAt. Valid until the next change of the table.
func (t *Table) Sorted() []uint32 {
	if t.inOrder {
		return t.staged
	}
	t.inOrder = true
	if x := &t.index; x.built && x.count == len(t.staged) { // all of them are staged
		n := uint32(0)
		for i := range t.staged {
			n = x.next(n, 0)
			t.staged[i] = x.entry(n)
		}
		return t.staged
	}
	t.sort(t.staged) // the order of staging is of no use to anyone
	return t.staged
}

// commonPrefix is how many bytes all keys of entries begin with.
func (t *Table) commonPrefix(entries []uint32) int {
	first := t.keyOf(&t.entries[entries[0]])
	n := len(first)
	for _, i := range entries[1:] {
		k := t.keyOf(&t.entries[i])
		if bytes.HasPrefix(k, first[:n]) {
			continue
		}
		n = min(n, len(k))
		for j := range n {
			if k[j] != first[j] {
				n = j
				break
			}
		}
		if n == 0 {
			break
		}
	}
	return n
}

// EntryAt returns a staged entry by what Sorted returned for it.
func (t *Table) EntryAt(i uint32) (key, value []byte, has bool) {
	e := &t.entries[i]
	return t.keyOf(e), t.valueOf(e), e.flags&present != 0
}

// Settled says that a staged entry, by what Sorted returned for it, says what the engine has already.
func (t *Table) Settled(i uint32) bool { return t.entries[i].flags&settled != 0 }

// Iter walks over the ordered entries of a range in key order or backwards: the staged ones and, with KeepOrder, those that were. The table may change meanwhile:
// entries staged ahead of the walk are seen, and one that is behind is not seen again.
type Iter struct {
	t       *Table
	lo, hi  []byte // nil is open
	reverse bool
	begun   bool
	done    bool
	epoch   uint64
	entry   uint32 // the current one, as of epoch
	key     []byte // a copy of the current key, to find the place again

	node uint32 // of the index

	// In a walk over a group:
	grouped bool
	name    []byte
	at      int    // place in the group
	edits   uint64 // of the groups, when at was the place
}

// Scan makes it a walk over the ordered entries with keys in [lo, hi), a nil bound being open, in any memory that it had before.
//
// Until Close, nothing is evicted: what a walk has to find stays.
func (t *Table) Scan(it *Iter, lo, hi []byte, reverse bool) {
	*it = Iter{t: t, lo: lo, hi: hi, reverse: reverse, key: it.key[:0]}
	t.walks++
}

// ScanGroup is Scan for the keys that consist of name and a suffix as long as Group said.
func (t *Table) ScanGroup(it *Iter, name, lo, hi []byte, reverse bool) {
	t.Scan(it, lo, hi, reverse)
	it.grouped, it.name = true, name
}

// Close ends the walk. Idempotent.
func (it *Iter) Close() {
	if it.t != nil {
		it.t.walks--
		it.t = nil
	}
}

// Next moves to the next entry and says whether there is one.
func (it *Iter) Next() bool {
	t := it.t
	if it.done || len(t.staged) == 0 && !t.keepOrder {
		it.done = true
		return false
	}
	if it.grouped {
		return it.nextOfGroup()
	}
	if !t.index.built {
		t.index.build(t)
	}
	x := &t.index
	switch {
	case !it.begun || it.epoch != t.epoch:
		it.seek()
	case it.reverse:
		it.node = x.prev(it.node)
	default:
		it.node = x.next(it.node, 0)
	}
	if it.node == 0 || it.reverse && it.lo != nil && x.compare(t, it.node, it.lo) < 0 || !it.reverse && it.hi != nil && x.compare(t, it.node, it.hi) >= 0 {
		it.done = true
		return false
	}
	it.take(x.entry(it.node))
	return true
}

// take makes an entry the current one.
func (it *Iter) take(entry uint32) {
	it.begun, it.entry, it.epoch = true, entry, it.t.epoch
	it.key = append(it.key[:0], it.t.keyOf(&it.t.entries[entry])...)
}

// nextOfGroup is Next in a walk over a group.
func (it *Iter) nextOfGroup() bool {
	t, g := it.t, &it.t.groups
	if !g.built {
		g.build(t)
	}
	n := g.find(t, it.name)
	if n == none {
		it.done = true
		return false
	}
	entries := g.entries(n)
	switch {
	case !it.begun || it.edits != g.edits:
		it.at, it.edits = it.place(entries), g.edits
	case it.reverse:
		it.at--
	default:
		it.at++
	}
	if it.at < 0 || it.at >= len(entries) || it.beyond(entries[it.at]) {
		it.done = true
		return false
	}
	it.take(entries[it.at])
	return true
}

// place is where a walk over a group begins, or goes on after the current key.
func (it *Iter) place(entries []uint32) int {
	t := it.t
	switch {
	case it.reverse && it.begun:
		return searchEntries(t, entries, it.key) - 1
	case it.reverse && it.hi != nil:
		return searchEntries(t, entries, it.hi) - 1
	case it.reverse:
		return len(entries) - 1
	case it.begun:
		at := searchEntries(t, entries, it.key)
		if at < len(entries) && bytes.Equal(t.keyOf(&t.entries[entries[at]]), it.key) {
			at++
		}
		return at
	case it.lo != nil:
		return searchEntries(t, entries, it.lo)
	}
	return 0
}

// beyond says that an entry lies behind the walk's end.
func (it *Iter) beyond(entry uint32) bool {
	key := it.t.keyOf(&it.t.entries[entry])
	if it.reverse {
		return it.lo != nil && bytes.Compare(key, it.lo) < 0
	}
	return it.hi != nil && bytes.Compare(key, it.hi) >= 0
}

// seek places the iterator on the first entry after its last one, or on the first of all.
func (it *Iter) seek() {
	t, x := it.t, &it.t.index
	var before [maxHeight]uint32
	switch {
	case it.reverse && it.begun:
		x.search(t, it.key, &before)
		it.node = before[0]
	case it.reverse && it.hi != nil:
		x.search(t, it.hi, &before)
		it.node = before[0]
	case it.reverse:
		it.node = x.prev(0)
	case it.begun:
		it.node = x.search(t, it.key, &before)
		if it.node != 0 && bytes.Equal(t.keyOf(&t.entries[x.entry(it.node)]), it.key) {
			it.node = x.next(it.node, 0)
		}
	case it.lo != nil:
		it.node = x.search(t, it.lo, &before)
	default:
		it.node = x.next(0, 0)
	}
}

// Key is the current key, a copy that stays valid until Next.
func (it *Iter) Key() []byte { return it.key }

// Entry returns the value of the current entry as it is now; has is false for a staged deletion. Valid until the table's next change.
func (it *Iter) Entry() (value []byte, has bool) {
	t := it.t
	if it.epoch == t.epoch {
		e := &t.entries[it.entry]
		return t.valueOf(e), e.flags&present != 0
	}
	if i := t.find(it.key); i != none {
		e := &t.entries[i]
		return t.valueOf(e), e.flags&present != 0
	}
	return nil, false
}
