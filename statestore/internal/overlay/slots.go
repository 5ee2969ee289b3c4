package overlay

// slots is a hash table with open addressing: the upper half of a slot is a hash, the lower one says what it stands for, and 0 is free. Its length is a power of two.
type slots []uint64

const minSlots = 16

// link stores a slot in the first free place after its hash. There is one.
func (s slots) link(slot uint64) {
	mask := uint32(len(s) - 1)
	at := uint32(slot>>32) & mask
	for s[at] != 0 {
		at = (at + 1) & mask
	}
	s[at] = slot
}

// grown returns a table with twice the room.
func (s slots) grown() slots {
	larger := make(slots, max(minSlots, 2*len(s)))
	for _, slot := range s {
		if slot != 0 {
			larger.link(slot)
		}
	}
	return larger
}
