package memstore

import "bytes"

// iterator walks over one published tree.
type iterator struct {
	lo, hi  []byte // the caller's bounds, copied; nil is open
	reverse bool
	leaf    *page
	at      int
	stack   []step // from the root to the leaf's parent
	key     []byte
	value   []byte
}

// step is an inner node and the child that the walk is in.
type step struct {
	node *node
	at   int
}

func newIterator(root *node, lo, hi []byte, reverse bool) *iterator {
	it := &iterator{lo: bytes.Clone(lo), hi: bytes.Clone(hi), reverse: reverse, stack: make([]step, 0, 4)}
	if lo != nil && hi != nil && bytes.Compare(lo, hi) >= 0 {
		root = newLeaf(0)
	}
	it.descend(root)
	return it
}

// descend goes down to the leaf where the walk begins and stands before its first entry.
func (it *iterator) descend(n *node) {
	from, open := it.lo, it.lo == nil
	if it.reverse {
		from, open = it.hi, it.hi == nil
	}
	for n.page == nil {
		at := 0
		switch {
		case !open:
			at = n.child(from)
		case it.reverse:
			at = len(n.children) - 1
		}
		it.stack = append(it.stack, step{n, at})
		n = n.children[at]
	}
	it.leaf = n.page
	switch {
	case !open:
		it.at, _ = it.leaf.search(from)
	case it.reverse:
		it.at = len(it.leaf.at)
	}
	if !it.reverse {
		it.at--
	}
}

func (it *iterator) Next() bool {
	if it.leaf == nil {
		return false
	}
	step := 1
	if it.reverse {
		step = -1
	}
	for it.at += step; it.at < 0 || it.at >= len(it.leaf.at); it.at += step {
		if !it.nextLeaf() {
			it.leaf = nil
			return false
		}
	}
	it.key, it.value = it.leaf.entry(it.at)
	if it.reverse && it.lo != nil && bytes.Compare(it.key, it.lo) < 0 || !it.reverse && it.hi != nil && bytes.Compare(it.key, it.hi) >= 0 {
		it.leaf = nil
		return false
	}
	return true
}

// nextLeaf moves to the neighbouring leaf and stands before its first entry.
func (it *iterator) nextLeaf() bool {
	for len(it.stack) > 0 {
		top := &it.stack[len(it.stack)-1]
		if it.reverse {
			top.at--
		} else {
			top.at++
		}
		if top.at < 0 || top.at >= len(top.node.children) {
			it.stack = it.stack[:len(it.stack)-1]
			continue
		}
		n := top.node.children[top.at]
		for n.page == nil {
			at := 0
			if it.reverse {
				at = len(n.children) - 1
			}
			it.stack = append(it.stack, step{n, at})
			n = n.children[at]
		}
		it.leaf, it.at = n.page, -1
		if it.reverse {
			it.at = len(n.page.at)
		}
		return true
	}
	return false
}

func (it *iterator) Key() []byte   { return it.key }
func (it *iterator) Value() []byte { return it.value }

func (it *iterator) Close() error {
	*it = iterator{}
	return nil
}
