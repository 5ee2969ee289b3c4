package overlay

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
)

// Table is the overlay of one store. The zero value is not ready; use New.
//
// Slices that a method returns are valid until the next call that changes the table.
type Table struct {
	seed    maphash.Seed
	slots   slots // hash<<32 | index+1
	entries []entry
	last    uint32 // the entry that find returned last, or none
	arena   arena

	staged      []uint32 // entries changed since the last Commit, in the order of their first change
	inOrder     bool     // staged is in key order instead
	stagedBytes int
	cleanBytes  int
	cleanLimit  int

	track     bool      // changes are held back for TakePending
	keepOld   bool      // with the values before them
	pending   []pending // parallel to entries while track is set
	first     uint32    // ends of the list of pending entries, in the order of their last change
	latest    uint32
	oldBytes  int // arena bytes that pending reserves
	heldBytes int // of the pending entries

	anySettled bool // see AnySettled

	keepOrder bool                   // the index keeps entries after they were committed
	evicted   func(key []byte)       // gets the key of each entry that leaves the kept order; nil: nobody
	timeOf    func(key []byte) int64 // clean entries of the lowest time are evicted first; nil: those that were not used
	index     index                  // over the ordered entries, once a scan asked for it
	suffix    int                    // bytes at the end of a key that tell the entries of a group apart; 0: there are no groups
	groups    groups                 // of the ordered entries, once a scan of one asked for them
	epoch     uint64                 // counts what moves or removes entries
	walks     int                    // open iterators
	touched   uint64                 // what touch read, so that it is not left out
	warmed    int                    // pending entries that warmPending has been through and that were not taken yet

	order []sortKey // scratch of the sorted view
}

// entry is one key. Pointer-free, and half a cache line.
type entry struct {
	key    ref
	value  ref
	keyLen uint32
	length uint32 // of the value
	cap    uint32 // bytes reserved at value
	flags  flags
}

type flags uint32

const (
	present     flags = 1 << iota // the key has a value; without it the entry says that there is none
	staged                        // changed since the last Commit
	pendingFlag                   // changed since the last TakePending
	used                          // touched since it came, or since the last sweep
	ordered                       // belongs to the index
	settled                       // staged, but the engine has the same already
)

const (
	none = ^uint32(0)
	// entryBytes is what an entry takes besides key and value: the entry itself and its slots at the average load.
	entryBytes = 32 + 12
)

// New returns an empty table that keeps at most about cleanLimit bytes of clean entries.
func New(cleanLimit int) *Table {
	return &Table{seed: maphash.MakeSeed(), last: none, first: none, latest: none, cleanLimit: cleanLimit}
}

// KeepOrder makes scans see entries that were changed and committed too, until they are evicted: those are told to evicted. Call it before the first change.
func (t *Table) KeepOrder(evicted func(key []byte)) { t.keepOrder, t.evicted = true, evicted }

// EvictOldest makes clean entries leave in the order of the times in their keys, whatever their use. Call it before the first change.
func (t *Table) EvictOldest(timeOf func(key []byte) int64) { t.timeOf = timeOf }

// Group makes keys that are equal but for their last suffix bytes a group, for ScanGroup. Call it before the first change.
func (t *Table) Group(suffix int) { t.suffix = suffix }

// Len is the number of entries, staged and clean, those that say "no value" included.
func (t *Table) Len() int { return len(t.entries) }

// StagedBytes is the memory that staged entries take.
func (t *Table) StagedBytes() int { return t.stagedBytes }

// StagedLen is the number of staged entries.
func (t *Table) StagedLen() int { return len(t.staged) }

// CleanBytes is the memory that clean entries take.
func (t *Table) CleanBytes() int { return t.cleanBytes }

func (e *entry) bytes() int { return int(e.keyLen) + int(e.cap) + entryBytes }

func (t *Table) keyOf(e *entry) []byte   { return t.arena.at(e.key, e.keyLen) }
func (t *Table) valueOf(e *entry) []byte { return t.arena.at(e.value, e.length) }

// Get returns what the table knows about a key: known is false when it knows nothing, has is false when the key is known to have no value. The value of a
// staged deletion is what Delete was given.
func (t *Table) Get(key []byte) (value []byte, has, known bool) {
	i := t.find(key)
	if i == none {
		return nil, false, false
	}
	e := &t.entries[i]
	e.flags |= used
	return t.valueOf(e), e.flags&present != 0, true
}

// find returns the entry of a key, or none.
func (t *Table) find(key []byte) uint32 {
	if t.last != none { // a put after a get of the same key is the common case
		if e := &t.entries[t.last]; int(e.keyLen) == len(key) && bytes.Equal(t.keyOf(e), key) {
			return t.last
		}
	}
	if len(t.slots) == 0 {
		return none
	}
	h := t.hash(key)
	mask := uint32(len(t.slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		s := t.slots[at]
		if s == 0 {
			return none
		}
		if uint32(s>>32) != h {
			continue
		}
		i := uint32(s) - 1
		if e := &t.entries[i]; int(e.keyLen) == len(key) && bytes.Equal(t.keyOf(e), key) {
			t.last = i
			return i
		}
	}
}

func (t *Table) hash(key []byte) uint32 {
	h := maphash.Bytes(t.seed, key)
	return uint32(h ^ h>>32)
}

// add appends an entry for a key that the table does not have. Its value is empty.
func (t *Table) add(key []byte) uint32 {
	if 4*(len(t.entries)+1) > 3*len(t.slots) {
		t.slots = t.slots.grown()
	}
	r, b := t.arena.alloc(len(key))
	copy(b, key)
	i := uint32(len(t.entries))
	t.entries = append(t.entries, entry{key: r, keyLen: uint32(len(key))})
	if t.track {
		t.pending = append(t.pending, pending{})
	}
	t.slots.link(uint64(t.hash(key))<<32 | uint64(i+1))
	t.last = i
	return i
}

// setValue stores a value, over the old one where it fits.
func (t *Table) setValue(e *entry, value []byte) {
	n := uint32(len(value))
	if n > e.cap {
		e.value, _ = t.arena.alloc(len(value))
		e.cap = n
	}
	e.length = n
	copy(t.arena.at(e.value, n), value)
}

// Fill adds what the engine has for a key that the table does not know. has is false when the engine has no value for it.
func (t *Table) Fill(key, value []byte, has bool) {
	if 4*(len(key)+len(value)+entryBytes) > t.cleanLimit {
		return // it would push everything else out
	}
	i := t.add(key)
	e := &t.entries[i]
	if has {
		t.setValue(e, value)
		e.flags |= present
	}
	t.cleanBytes += e.bytes()
	if t.cleanBytes > t.cleanLimit && t.walks == 0 {
		t.rebuild(t.afterEviction())
	}
}

// afterEviction is how many bytes of clean entries stay when there are too many. What is known of a time on is worth more than single entries, so that eviction
// by time keeps more and happens more often.
func (t *Table) afterEviction() int {
	if t.timeOf != nil {
		return t.cleanLimit / 3 * 2
	}
	return t.cleanLimit / 2
}

// Put stages a value.
func (t *Table) Put(key, value []byte) { t.change(key, value, present) }

// Delete stages a deletion. note is kept like a value.
func (t *Table) Delete(key, note []byte) { t.change(key, note, 0) }

func (t *Table) change(key, value []byte, has flags) {
	i := t.find(key)
	isNew := i == none
	if isNew {
		i = t.add(key)
	}
	e := &t.entries[i]
	before, held := 0, 0
	switch {
	case e.flags&staged != 0:
		before = e.bytes()
		if e.flags&pendingFlag != 0 {
			held = before
		}
	case !isNew:
		t.cleanBytes -= e.bytes() // a clean entry leaves the cache for the staged ones
	}
	if t.track {
		t.markPending(i, e, isNew)
	}
	t.setValue(e, value)
	e.flags = e.flags&^(present|settled) | has
	if !isNew {
		e.flags |= used
	}
	if e.flags&staged == 0 {
		e.flags |= staged
		t.staged = append(t.staged, i)
		t.inOrder = false
	}
	if e.flags&ordered == 0 {
		e.flags |= ordered
		if t.index.built {
			t.index.insert(t, i)
		}
		if t.groups.built {
			t.groups.insert(t, i)
		}
	}
	t.stagedBytes += e.bytes() - before
	if t.track {
		t.heldBytes += e.bytes() - held
	}
}

// Commit makes the staged entries clean ones. Changes that TakePending has not returned are no longer pending.
func (t *Table) Commit() {
	t.dropPending()
	for _, i := range t.staged {
		e := &t.entries[i]
		e.flags &^= staged | settled
		if !t.keepOrder {
			e.flags &^= ordered
		}
	}
	t.cleanBytes += t.stagedBytes
	t.stagedBytes = 0
	t.staged = t.staged[:0]
	t.anySettled = false
	if !t.keepOrder {
		t.unorder()
	}
	// Values that grew and keys that were swept leave garbage in the arena. Half of it may be garbage, beyond what a small table never minds.
	garbage := t.arena.allocated - t.oldBytes - (t.cleanBytes - entryBytes*len(t.entries))
	switch {
	case t.cleanBytes > t.cleanLimit:
		t.rebuild(t.afterEviction())
	case garbage > t.arena.allocated/2+firstChunkBytes:
		t.rebuild(t.cleanLimit)
	}
}

// Discard forgets everything.
func (t *Table) Discard() {
	clear(t.slots)
	t.entries = t.entries[:0]
	t.pending = t.pending[:0]
	t.staged = t.staged[:0]
	t.arena.reset()
	t.last, t.first, t.latest = none, none, none
	t.stagedBytes, t.cleanBytes, t.oldBytes, t.heldBytes = 0, 0, 0, 0
	t.anySettled = false
	t.unorder()
}

// unorder forgets what leads to the ordered entries: they moved or left.
func (t *Table) unorder() {
	t.index.reset()
	t.groups.reset()
	t.epoch++
}

// rebuild copies the table without its garbage. It keeps all staged entries, and of the clean ones up to keep bytes: first those that were touched again since they
// came or since the sweep before, then the others, the newest first; with EvictOldest those of the highest times.
func (t *Table) rebuild(keep int) {
	old := *t
	t.arena = arena{}
	t.slots, t.entries, t.pending = nil, nil, nil
	t.staged = make([]uint32, len(old.staged))
	t.last, t.first, t.latest = none, none, none
	t.stagedBytes, t.cleanBytes, t.oldBytes, t.heldBytes = 0, 0, 0, 0
	t.unorder()

	moved := old.choose(keep)
	for i := range old.entries {
		if moved[i] != none {
			moved[i] = t.adopt(&old, uint32(i))
			continue
		}
		if e := &old.entries[i]; e.flags&ordered != 0 && t.evicted != nil {
			t.evicted(old.keyOf(e))
		}
	}
	for n, i := range old.staged {
		t.staged[n] = moved[i]
	}
	t.movePending(&old, moved)
}

// choose returns something other than none for each entry that a rebuild keeps.
func (t *Table) choose(keep int) []uint32 {
	chosen := make([]uint32, len(t.entries))
	for i := range chosen {
		chosen[i] = none
		if t.entries[i].flags&staged != 0 {
			chosen[i] = 0
		}
	}
	if t.timeOf != nil {
		t.chooseNewest(chosen, keep)
		return chosen
	}
	for _, class := range []flags{used, 0} {
		for i := len(t.entries) - 1; i >= 0; i-- {
			e := &t.entries[i]
			if e.flags&(staged|used) == class && e.bytes() <= keep {
				keep -= e.bytes()
				chosen[i] = 0
			}
		}
	}
	return chosen
}

// chooseNewest marks clean entries of the highest times, up to keep bytes.
func (t *Table) chooseNewest(chosen []uint32, keep int) {
	order := t.order[:0]
	for i := range t.entries {
		if e := &t.entries[i]; e.flags&staged == 0 {
			order = append(order, sortKey{prefix{high: ^uint64(t.timeOf(t.keyOf(e)))}, uint32(i)})
		}
	}
	slices.SortFunc(order, func(a, b sortKey) int { return cmp.Compare(a.prefix.high, b.prefix.high) })
	for _, o := range order {
		if keep -= t.entries[o.entry].bytes(); keep < 0 {
			return
		}
		chosen[o.entry] = 0
	}
}

// adopt copies one entry of another table whose keys this one does not have.
func (t *Table) adopt(from *Table, i uint32) uint32 {
	src := &from.entries[i]
	n := t.add(from.keyOf(src))
	e := &t.entries[n]
	t.setValue(e, from.valueOf(src))
	e.flags = src.flags &^ (used | pendingFlag)
	if e.flags&staged != 0 {
		t.stagedBytes += e.bytes()
	} else {
		t.cleanBytes += e.bytes()
	}
	return n
}
