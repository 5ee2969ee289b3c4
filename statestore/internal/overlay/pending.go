package overlay

// pending says what an entry was before its first change since the last TakePending, and where it stands in the order of last changes.
type pending struct {
	old        ref // the value before, or a free place of oldCap bytes for the next one
	oldLen     uint32
	oldCap     uint32
	prev, next uint32
	oldState   Old
	committed  bool // what was before is what the engine has
}

// Old says what is known about the value before a change.
type Old uint8

const (
	OldUnknown Old = iota // the table did not know the key: what the engine has is the old value
	OldAbsent             // the key had no value
	OldPresent            // the key had the value that comes with it, when old values are kept
)

// Track makes the table keep the order of changes for TakePending, and the old values too where they are wanted. Call it before the first change.
func (t *Table) Track(old bool) {
	t.track, t.keepOld = true, old
	t.pending = make([]pending, len(t.entries))
}

// markPending puts an entry that is about to change at the end of the list. isNew says that the table did not know the key until now.
func (t *Table) markPending(i uint32, e *entry, isNew bool) {
	p := &t.pending[i]
	if e.flags&pendingFlag != 0 {
		if t.latest == i {
			return
		}
		t.unlink(i)
		t.append(i)
		return
	}
	p.committed = e.flags&(staged|settled) != staged
	switch {
	case isNew:
		p.oldState = OldUnknown
	case e.flags&present == 0:
		p.oldState = OldAbsent
	case !t.keepOld:
		p.oldState = OldPresent
	default:
		// The old value stays where it is and the new one takes the place of the old one before it, so that nothing piles up in the arena.
		p.oldState = OldPresent
		t.oldBytes += int(e.cap) - int(p.oldCap)
		p.old, e.value = e.value, p.old
		p.oldCap, e.cap = e.cap, p.oldCap
		p.oldLen, e.length = e.length, 0
	}
	e.flags |= pendingFlag
	t.append(i)
}

func (t *Table) append(i uint32) {
	p := &t.pending[i]
	p.prev, p.next = t.latest, none
	if t.latest == none {
		t.first = i
	} else {
		t.pending[t.latest].next = i
	}
	t.latest = i
}

func (t *Table) unlink(i uint32) {
	p := &t.pending[i]
	if p.prev == none {
		t.first = p.next
	} else {
		t.pending[p.prev].next = p.next
	}
	if p.next == none {
		t.latest = p.prev
	} else {
		t.pending[p.next].prev = p.prev
	}
}

// HasPending says that TakePending has something to return.
func (t *Table) HasPending() bool { return t.first != none }

// HeldBytes is the memory that pending entries take.
func (t *Table) HeldBytes() int { return t.heldBytes }

// Pending is one change that TakePending returns.
type Pending struct {
	Key, Value []byte
	Has        bool // the key has a value now
	OldValue   []byte
	Old        Old
	// Committed says that the old value, or that there was none, is what was committed last.
	Committed bool
	entry     uint32
}

// TakePending returns the entry that was changed longest ago and takes it from the list.
func (t *Table) TakePending() (p Pending, ok bool) {
	i := t.first
	if i == none {
		return Pending{}, false
	}
	t.warmPending()
	t.unlink(i)
	e, q := &t.entries[i], &t.pending[i]
	e.flags &^= pendingFlag
	t.heldBytes -= e.bytes()
	p = Pending{Key: t.keyOf(e), Value: t.valueOf(e), Has: e.flags&present != 0, Old: q.oldState, Committed: q.committed, entry: i}
	if q.oldState == OldPresent && t.keepOld {
		p.OldValue = t.arena.at(q.old, q.oldLen)
	}
	return p, true
}

// Settle says that a change which TakePending has just returned changes nothing in the engine, unless the key changes again: see Settled.
func (t *Table) Settle(p *Pending) {
	t.entries[p.entry].flags |= settled
	t.anySettled = true
}

// AnySettled says that a change since the last Commit was settled, whether or not it changed again.
func (t *Table) AnySettled() bool { return t.anySettled }

// movePending carries the list over to a rebuilt table. Pending entries are staged ones, so all of them moved.
func (t *Table) movePending(old *Table, moved []uint32) {
	for i := old.first; i != none; i = old.pending[i].next {
		from, n := &old.pending[i], moved[i]
		p := &t.pending[n]
		p.oldState, p.committed = from.oldState, from.committed
		if from.oldState == OldPresent && t.keepOld {
			r, b := t.arena.alloc(int(from.oldLen))
			copy(b, old.arena.at(from.old, from.oldLen))
			p.old, p.oldLen, p.oldCap = r, from.oldLen, from.oldLen
			t.oldBytes += int(p.oldCap)
		}
		t.entries[n].flags |= pendingFlag
		t.heldBytes += t.entries[n].bytes()
		t.append(n)
	}
}

// dropPending forgets the list.
func (t *Table) dropPending() {
	for i := t.first; i != none; i = t.pending[i].next {
		t.entries[i].flags &^= pendingFlag
	}
	t.first, t.latest, t.heldBytes = none, none, 0
}
