package memstore

import (
	"bytes"
	"encoding/binary"
	"sort"
)

// page is a leaf: entries in key order, laid in one slice of bytes. A page is immutable once its tree is published; only the edit that made it changes it.
//
//	data:  ┌──────────────┬────────────────┬─────┬───────┐
//	       │ key length v │ value length v │ key │ value │ …   v is a uvarint; entries lie in the order of their arrival, with gaps
//	       └──────────────┴────────────────┴─────┴───────┘
//	at:    where the entries begin, in key order
type page struct {
	edit uint64 // the edit that may change the page in place
	at   []uint32
	data []byte
	dead int // bytes of data that no entry uses
}

const (
	// maxPageEntries and maxPageBytes split a page; the bytes bound what one change copies.
	maxPageEntries = 128
	maxPageBytes   = 8 << 10
	// A page below both of these looks for a neighbour to join.
	minPageEntries = maxPageEntries / 8
	minPageBytes   = maxPageBytes / 8
)

func (p *page) key(i int) []byte {
	k, _ := p.entry(i)
	return k
}

// entry returns the i-th entry in key order.
func (p *page) entry(i int) (key, value []byte) {
	b := p.data[p.at[i]:]
	kn, n := binary.Uvarint(b)
	vn, m := binary.Uvarint(b[n:])
	b = b[n+m:]
	return b[:kn:kn], b[kn : kn+vn : kn+vn]
}

// size is the number of bytes that the i-th entry takes in data.
func (p *page) size(i int) int {
	k, v := p.entry(i)
	return entrySize(k, v)
}

func entrySize(key, value []byte) int {
	return uvarintLen(len(key)) + uvarintLen(len(value)) + len(key) + len(value)
}

func uvarintLen(n int) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}

// search returns the first entry at or after key, and whether it is the key's.
func (p *page) search(key []byte) (i int, found bool) {
	i = sort.Search(len(p.at), func(i int) bool { return bytes.Compare(p.key(i), key) >= 0 })
	return i, i < len(p.at) && bytes.Equal(p.key(i), key)
}

// live is the number of bytes that the entries use.
func (p *page) live() int { return len(p.data) - p.dead }

// copyFor returns a page with the same entries, without gaps, that edit may change.
func (p *page) copyFor(edit uint64) *page { return p.slice(edit, 0, len(p.at)) }

// slice returns a page with the entries in [from, to).
func (p *page) slice(edit uint64, from, to int) *page {
	size := 0
	for i := from; i < to; i++ {
		size += p.size(i)
	}
	c := &page{edit: edit, at: make([]uint32, 0, to-from+8), data: make([]byte, 0, size+size/4)}
	for i := from; i < to; i++ {
		c.add(p.entry(i))
	}
	return c
}

// add appends an entry after all others.
func (p *page) add(key, value []byte) {
	p.at = append(p.at, p.write(key, value))
}

// write lays an entry into data.
func (p *page) write(key, value []byte) uint32 {
	at := len(p.data)
	p.data = binary.AppendUvarint(p.data, uint64(len(key)))
	p.data = binary.AppendUvarint(p.data, uint64(len(value)))
	p.data = append(append(p.data, key...), value...)
	return uint32(at)
}

// set puts an entry at its place i, which found says is taken by the same key. It returns the change of the number of entries.
func (p *page) set(i int, found bool, key, value []byte) {
	if found {
		if _, old := p.entry(i); len(old) == len(value) {
			copy(old, value)
			return
		}
		p.dead += p.size(i)
		p.at[i] = p.write(key, value)
	} else {
		p.at = append(p.at, 0)
		copy(p.at[i+1:], p.at[i:])
		p.at[i] = p.write(key, value)
	}
	if p.dead > len(p.data)/2 {
		p.compact()
	}
}

// remove takes the entries [from, to) out.
func (p *page) remove(from, to int) {
	for i := from; i < to; i++ {
		p.dead += p.size(i)
	}
	p.at = append(p.at[:from], p.at[to:]...)
	if p.dead > len(p.data)/2 {
		p.compact()
	}
}

// compact rewrites data without gaps.
func (p *page) compact() { *p = *p.copyFor(p.edit) }

func (p *page) full() bool {
	return len(p.at) > maxPageEntries || len(p.at) > 1 && p.live() > maxPageBytes
}

func (p *page) sparse() bool { return len(p.at) < minPageEntries && p.live() < minPageBytes }

// split cuts a full page in two of about equal bytes and returns the right one. Keys that arrive in order leave a full page behind, not a half one.
func (p *page) split(appended bool) *page {
	cut := len(p.at) - 1
	if !appended {
		cut = 1
		for size := p.size(0); cut < len(p.at)-1 && size < p.live()/2; cut++ {
			size += p.size(cut)
		}
	}
	right := p.slice(p.edit, cut, len(p.at))
	*p = *p.slice(p.edit, 0, cut)
	return right
}
