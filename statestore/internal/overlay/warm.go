package overlay

// warmMost is how many keys Warm takes at once: about as many loads as a processor has under way.
const warmMost = 16

// Warm brings what the table knows of some keys into the processor's cache, for the calls that follow: keys holds one after another, each of length bytes. Where a call
// for each would wait for slot, entry and bytes of its key one after the other, this waits for the slots of all keys at once, then for all entries, then for all
// bytes. It changes nothing that could be seen.
func (t *Table) Warm(keys []byte, length int) {
	if len(t.slots) == 0 || length == 0 {
		return
	}
	mask := uint32(len(t.slots) - 1)
	for len(keys) > length { // nothing is won with one
		var hashes, found [warmMost]uint32
		n := 0
		var sum uint64
		for ; n < warmMost && len(keys) >= length; n++ {
			hashes[n] = t.hash(keys[:length])
			sum += t.slots[hashes[n]&mask]
			keys = keys[length:]
		}
		for i, h := range hashes[:n] {
			found[i] = t.slotOf(h)
		}
		t.touch(found[:n])
		t.touched += sum
	}
}

// WarmSorted is called with each place of what Sorted returned, in order: now and then it brings the entries that follow into the processor's cache.
func (t *Table) WarmSorted(sorted []uint32, at int) {
	if at%warmMost == 0 {
		t.touch(sorted[at:min(at+warmMost, len(sorted))])
	}
}

// warmPending brings the entries that are pending longest into the processor's cache, once for as many as that are.
func (t *Table) warmPending() {
	if t.warmed > 0 {
		t.warmed--
		return
	}
	var ahead [warmMost]uint32
	n := 0
	for i := t.first; i != none && n < warmMost; i = t.pending[i].next {
		ahead[n] = i
		n++
	}
	t.touch(ahead[:n])
	t.warmed = n - 1
}

// slotOf returns the first entry of a hash, or none.
func (t *Table) slotOf(h uint32) uint32 {
	mask := uint32(len(t.slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		switch s := t.slots[at]; {
		case s == 0:
			return none
		case uint32(s>>32) == h:
			return uint32(s) - 1
		}
	}
}

// touch reads a little of entries, all of them at a time.
func (t *Table) touch(entries []uint32) {
	var sum uint64
	for _, i := range entries {
		if i == none {
			continue
		}
		sum += uint64(t.entries[i].flags)
		if t.track {
			sum += uint64(t.pending[i].next)
		}
	}
	for _, i := range entries {
		if i == none {
			continue
		}
		e := &t.entries[i]
		if e.keyLen > 0 {
			sum += uint64(t.keyOf(e)[0])
		}
		if e.length > 0 {
			sum += uint64(t.valueOf(e)[e.length-1])
		}
	}
	t.touched += sum
}
