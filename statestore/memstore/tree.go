package memstore

import (
	"bytes"
	"slices"
	"sort"
)

// node is a subtree: a leaf page, or children with the keys that separate them. Immutable once published, like pages.
type node struct {
	page     *page // of a leaf, else nil
	edit     uint64
	children []*node
	// keys[i] separates children[i] from children[i+1]: all keys of the former are below it, none of the latter is.
	keys [][]byte
}

const maxChildren = 64

func newLeaf(edit uint64) *node { return &node{page: &page{edit: edit}} }

// child returns the index of the child that holds key.
func (n *node) child(key []byte) int {
	return sort.Search(len(n.keys), func(i int) bool { return bytes.Compare(n.keys[i], key) > 0 })
}

// get returns the value of a key, a part of the page.
func (n *node) get(key []byte) ([]byte, bool) {
	for n.page == nil {
		n = n.children[n.child(key)]
	}
	i, found := n.page.search(key)
	if !found {
		return nil, false
	}
	_, v := n.page.entry(i)
	return v, true
}

// editor changes a tree for one batch: it copies what it meets for the first time. nodes made by it are known by their edit.
type editor struct {
	edit uint64
	root *node
}

// owns says whether the edit may change a node.
func (e *editor) owns(n *node) bool {
	if n.page != nil {
		return n.page.edit == e.edit
	}
	return n.edit == e.edit
}

// own returns a node that the edit may change, n itself when it is such a one.
func (e *editor) own(n *node) *node {
	if e.owns(n) {
		return n
	}
	if n.page != nil {
		return &node{page: n.page.copyFor(e.edit)}
	}
	return &node{edit: e.edit, children: slices.Clone(n.children), keys: slices.Clone(n.keys)}
}

func (e *editor) set(key, value []byte) {
	var right *node
	var sep []byte
	e.root, right, sep = e.insert(e.root, key, value)
	if right != nil {
		e.root = &node{edit: e.edit, children: []*node{e.root, right}, keys: [][]byte{sep}}
	}
}

// insert sets a key below n. When n becomes too large, right is the part cut off and sep its first key.
func (e *editor) insert(n *node, key, value []byte) (self, right *node, sep []byte) {
	n = e.own(n)
	if p := n.page; p != nil {
		i, found := p.search(key)
		p.set(i, found, key, value)
		if !p.full() {
			return n, nil, nil
		}
		right = &node{page: p.split(i == len(p.at)-1)}
		return n, right, bytes.Clone(right.page.key(0))
	}
	i := n.child(key)
	n.children[i], right, sep = e.insert(n.children[i], key, value)
	if right == nil {
		return n, nil, nil
	}
	n.children = slices.Insert(n.children, i+1, right)
	n.keys = slices.Insert(n.keys, i, sep)
	if len(n.children) <= maxChildren {
		return n, nil, nil
	}
	half := len(n.children) / 2
	sep = n.keys[half-1]
	right = &node{edit: e.edit, children: slices.Clone(n.children[half:]), keys: slices.Clone(n.keys[half:])}
	clear(n.children[half:])
	clear(n.keys[half-1:])
	n.children, n.keys = n.children[:half], n.keys[:half-1]
	return n, right, sep
}

// deleteRange removes the keys in [lo, hi), a nil bound being open.
func (e *editor) deleteRange(lo, hi []byte) {
	if lo == nil && hi == nil {
		e.root = newLeaf(e.edit)
		return
	}
	if lo != nil && hi != nil && bytes.Compare(lo, hi) >= 0 {
		return
	}
	n := e.remove(e.root, lo, hi)
	for n != nil && n.page == nil && len(n.children) == 1 {
		n = n.children[0]
	}
	if n == nil {
		n = newLeaf(e.edit)
	}
	e.root = n
}

// remove takes the keys in [lo, hi) out of n and returns what is left, nil when nothing is.
func (e *editor) remove(n *node, lo, hi []byte) *node {
	if n.page != nil {
		return e.removeFromLeaf(n, lo, hi)
	}
	from, to := 0, len(n.children)-1 // the children that the range touches
	if lo != nil {
		from = n.child(lo)
	}
	if hi != nil {
		to = n.child(hi)
	}
	first := n.children[from]
	if from == to {
		left := e.remove(first, lo, hi)
		if left == first && !e.owns(first) {
			return n // nothing was there
		}
		return e.replace(n, from, to, left, nil)
	}
	return e.replace(n, from, to, e.remove(first, lo, nil), e.removeUpTo(n.children[to], hi))
}

// removeUpTo is remove without a lower bound; a nil hi leaves nothing.
func (e *editor) removeUpTo(n *node, hi []byte) *node {
	if hi == nil {
		return nil
	}
	return e.remove(n, nil, hi)
}

func (e *editor) removeFromLeaf(n *node, lo, hi []byte) *node {
	from, to := 0, len(n.page.at)
	if lo != nil {
		from, _ = n.page.search(lo)
	}
	if hi != nil {
		to, _ = n.page.search(hi)
	}
	if from >= to {
		return n
	}
	if from == 0 && to == len(n.page.at) {
		return nil
	}
	n = e.own(n)
	n.page.remove(from, to)
	return n
}

// replace puts left and right, as far as they are not nil, in the place of the children [from, to] and joins what became small.
func (e *editor) replace(n *node, from, to int, left, right *node) *node {
	n = e.own(n)
	kept := make([]*node, 0, 2)
	var sep []byte // between left and right
	if left != nil {
		kept = append(kept, left)
	}
	if right != nil {
		if left != nil {
			sep = n.keys[to-1]
		}
		kept = append(kept, right)
	}
	// The separator before the range and the one after it stay; with nothing kept, one of them has nothing to separate.
	keys := slices.Clone(n.keys[:from])
	if sep != nil {
		keys = append(keys, sep)
	}
	keys = append(keys, n.keys[to:]...)
	n.children = slices.Replace(n.children, from, to+1, kept...)
	if len(n.children) == 0 {
		return nil
	}
	if len(kept) == 0 {
		drop := from
		if drop > 0 {
			drop--
		}
		keys = slices.Delete(keys, drop, drop+1)
	}
	n.keys = keys
	for i := from + len(kept) - 1; i >= from; i-- {
		e.join(n, i)
	}
	return n
}

// join unites a sparse page with a neighbour that has room, so that deletions do not leave a tree of crumbs.
func (e *editor) join(n *node, i int) {
	if i >= len(n.children) || n.children[i].page == nil || !n.children[i].page.sparse() || len(n.children) == 1 {
		return
	}
	if i == len(n.children)-1 {
		i--
	}
	a, b := n.children[i].page, n.children[i+1].page
	if len(a.at)+len(b.at) > maxPageEntries/2 || a.live()+b.live() > maxPageBytes/2 {
		return
	}
	c := a.copyFor(e.edit)
	for j := range b.at {
		c.add(b.entry(j))
	}
	n.children[i] = &node{page: c}
	n.children = slices.Delete(n.children, i+1, i+2)
	n.keys = slices.Delete(n.keys, i, i+1)
}
