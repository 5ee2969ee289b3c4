package overlay

import "bytes"

// groups finds the ordered entries whose keys differ only at their ends: the windows of one key. A hash table leads to them, which costs a miss or two of the processor's
// cache where a search in the ordered index costs one for each step. Pointer-free:
//
//	           ┌──────────────┐   ┌──────────┬───┬─────────────────────────┐
//	hash ────▶ │ hash32│grp+1 │──▶│ name ref │ n │ entry │ entry │ …       │   up to groupInline entries, in key order
//	           └──────────────┘   ├──────────┼───┼───────┼───────┼─────────┤   ┌───────┬───────┬─────┐
//	              slots           │ name ref │ n │ at    │ class │ –       │──▶│ entry │ entry │ …   │   more of them: 2^class words
//	                              └──────────┴───┴─────────────────────────┘   └───────┴───────┴─────┘
//	                                           list                                          words
//
// Entries are only added until all of them leave together, as in the index. An entry that comes in order costs nothing but its place; one that comes late moves those
// after it, which is quick for as many windows as a key can have.
type groups struct {
	built bool
	slots slots // hash<<32 | group+1
	list  []group
	words []uint32
	free  [maxClass + 1]uint32 // pieces of words to use again: the position of the first + 1; its first word leads on
	last  uint32               // the group that find returned last, or none
	edits uint64               // counts what moves entries within their groups
}

// group is half a cache line. Its name lies where the key of its first entry begins.
type group struct {
	name    ref
	nameLen uint32
	n       uint32
	word    [groupInline]uint32
}

const (
	groupInline = 4
	minClass    = 3 // pieces of eight words
	maxClass    = 31
)

func (g *groups) reset() {
	g.built = false
	clear(g.slots)
	g.list, g.words = g.list[:0], g.words[:0]
	g.free = [maxClass + 1]uint32{}
	g.last = none
	g.edits++
}

// build makes the groups of all ordered entries.
func (g *groups) build(t *Table) {
	g.reset()
	g.built = true
	for i := range t.entries {
		if t.entries[i].flags&ordered != 0 {
			g.insert(t, uint32(i))
		}
	}
}

// entries returns the entries of a group in key order. Valid until the next insert.
func (g *groups) entries(n uint32) []uint32 {
	p := &g.list[n]
	if p.n <= groupInline {
		return p.word[:p.n]
	}
	return g.words[p.word[0] : p.word[0]+p.n]
}

// isNamed says that the keys of a group begin with name, and nothing but a suffix comes after it.
func (g *groups) isNamed(t *Table, n uint32, name []byte) bool {
	p := &g.list[n]
	return int(p.nameLen) == len(name) && bytes.Equal(t.arena.at(p.name, p.nameLen), name)
}

// find returns the group of the keys that consist of name and a suffix, or none.
func (g *groups) find(t *Table, name []byte) uint32 {
	if g.last != none && g.isNamed(t, g.last, name) { // a put after a walk over the same group is the common case
		return g.last
	}
	if len(g.slots) == 0 {
		return none
	}
	h := t.hash(name)
	mask := uint32(len(g.slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		s := g.slots[at]
		if s == 0 {
			return none
		}
		if n := uint32(s) - 1; uint32(s>>32) == h && g.isNamed(t, n, name) {
			g.last = n
			return n
		}
	}
}

// insert adds an entry to its group. A key without a suffix belongs to none.
func (g *groups) insert(t *Table, i uint32) {
	key := t.keyOf(&t.entries[i])
	if len(key) < t.suffix {
		return
	}
	name := key[:len(key)-t.suffix]
	n := g.find(t, name)
	if n == none {
		g.add(t, name, i)
		return
	}
	g.edits++
	p := &g.list[n]
	at := searchEntries(t, g.entries(n), key)
	g.makeRoom(p)
	p.n++
	e := g.entries(n)
	copy(e[at+1:], e[at:])
	e[at] = i
}

// add makes a group of one entry.
func (g *groups) add(t *Table, name []byte, i uint32) {
	if 4*(len(g.list)+1) > 3*len(g.slots) {
		g.slots = g.slots.grown()
	}
	g.last = uint32(len(g.list))
	g.list = append(g.list, group{name: t.entries[i].key, nameLen: uint32(len(name)), n: 1, word: [groupInline]uint32{i}})
	g.slots.link(uint64(t.hash(name))<<32 | uint64(len(g.list)))
}

// makeRoom gives a group a piece, or one twice as large, when it has no place for another entry.
func (g *groups) makeRoom(p *group) {
	switch {
	case p.n < groupInline:
	case p.n == groupInline:
		at := g.take(minClass)
		copy(g.words[at:], p.word[:])
		p.word = [groupInline]uint32{at, minClass}
	case p.n == 1<<p.word[1]:
		from, class := p.word[0], p.word[1]
		at := g.take(class + 1)
		copy(g.words[at:], g.words[from:from+p.n])
		g.words[from], g.free[class] = g.free[class], from+1
		p.word = [groupInline]uint32{at, class + 1}
	}
}

// take returns a piece of 2^class words.
func (g *groups) take(class uint32) uint32 {
	if first := g.free[class]; first != 0 {
		g.free[class] = g.words[first-1]
		return first - 1
	}
	at := len(g.words)
	g.words = append(g.words, make([]uint32, 1<<class)...)
	return uint32(at)
}

// searchEntries returns how many of the entries, which are in key order, have keys before key. Most that is asked for is near the end.
func searchEntries(t *Table, entries []uint32, key []byte) int {
	const near = 4
	hi := len(entries)
	for range min(near, hi) {
		if bytes.Compare(t.keyOf(&t.entries[entries[hi-1]]), key) < 0 {
			return hi
		}
		hi--
	}
	lo := 0
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); bytes.Compare(t.keyOf(&t.entries[entries[mid]]), key) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
