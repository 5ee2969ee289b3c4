package memstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(testing.TB) statestore.Engine { return New() })
}

func BenchmarkStores(b *testing.B) {
	storetest.Bench(b, func(testing.TB) statestore.Engine { return New() })
}

// shape walks over a tree, checks what must hold in it, and returns its pages and entries.
func shape(t *testing.T, n *node, lo, hi []byte, depth int, leafDepth *int) (pages, entries int) {
	t.Helper()
	inside := func(key []byte) bool {
		return (lo == nil || bytes.Compare(key, lo) >= 0) && (hi == nil || bytes.Compare(key, hi) < 0)
	}
	if p := n.page; p != nil {
		if *leafDepth < 0 {
			*leafDepth = depth
		}
		if depth != *leafDepth {
			t.Fatalf("a leaf at depth %d, another at %d", depth, *leafDepth)
		}
		used := 0
		for i := range p.at {
			k := p.key(i)
			if !inside(k) || i > 0 && bytes.Compare(p.key(i-1), k) >= 0 {
				t.Fatalf("key %q is out of order, or outside [%q, %q)", k, lo, hi)
			}
			used += p.size(i)
		}
		if used != p.live() || p.full() {
			t.Fatalf("a page of %d entries uses %d bytes and says %d", len(p.at), used, p.live())
		}
		if p.dead > len(p.data)/2 {
			t.Fatalf("a page of %d bytes has %d that nothing uses", len(p.data), p.dead)
		}
		return 1, len(p.at)
	}
	if len(n.children) == 0 || len(n.children) > maxChildren || len(n.keys) != len(n.children)-1 {
		t.Fatalf("a node with %d children and %d keys", len(n.children), len(n.keys))
	}
	for i, c := range n.children {
		l, h := lo, hi
		if i > 0 {
			l = n.keys[i-1]
		}
		if i < len(n.keys) {
			h = n.keys[i]
		}
		p, e := shape(t, c, l, h, depth+1, leafDepth)
		pages, entries = pages+p, entries+e
	}
	return pages, entries
}

func TestTreeKeepsItsShape(t *testing.T) {
	s := uint64(time.Now().UnixNano())
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", s)
		}
	}()
	r := rand.New(rand.NewPCG(s, 0))
	e := &editor{root: newLeaf(0)}
	model := make(map[string]bool)
	for round := range 60 {
		e.edit++
		for range 2000 {
			k := fmt.Sprintf("%06d", r.IntN(60_000))
			switch {
			case r.IntN(10) < 6-round/12: // grows first, shrinks later
				e.set([]byte(k), make([]byte, r.IntN(100)))
				model[k] = true
			default:
				e.deleteRange([]byte(k), []byte(k+"\x00"))
				delete(model, k)
			}
		}
		if r.IntN(10) == 0 {
			lo, hi := fmt.Sprintf("%06d", r.IntN(60_000)), fmt.Sprintf("%06d", r.IntN(60_000))
			e.deleteRange([]byte(lo), []byte(hi))
			for k := range model {
				if k >= lo && k < hi {
					delete(model, k)
				}
			}
		}
		leafDepth := -1
		_, entries := shape(t, e.root, nil, nil, 0, &leafDepth)
		if entries != len(model) {
			t.Fatalf("round %d: %d entries, want %d", round, entries, len(model))
		}
	}
}

func TestDeletionsLeaveNoCrumbs(t *testing.T) {
	e := &editor{edit: 1, root: newLeaf(1)}
	const n = 100_000
	key := func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }
	for i := range n {
		e.set(key(i), []byte("value"))
	}
	leafDepth := -1
	if full, _ := shape(t, e.root, nil, nil, 0, &leafDepth); full > n/maxPageEntries*11/10 {
		t.Errorf("keys in order fill %d pages, want about %d", full, n/maxPageEntries)
	}
	for i := range n {
		if i%1000 != 0 {
			if i%500 == 1 {
				e.edit++
			}
			e.deleteRange(key(i), append(key(i), 0))
		}
	}
	leafDepth = -1
	pages, entries := shape(t, e.root, nil, nil, 0, &leafDepth)
	if entries != n/1000 || pages > entries/2 {
		t.Errorf("%d entries are left on %d pages", entries, pages)
	}
}

func TestSnapshotsShareNothingWithEdits(t *testing.T) {
	first := &editor{edit: 1, root: newLeaf(1)}
	for i := range 5000 {
		first.set(fmt.Appendf(nil, "%05d", i), []byte("old"))
	}
	before := first.root
	second := &editor{edit: 2, root: before}
	for i := range 5000 {
		second.set(fmt.Appendf(nil, "%05d", i), []byte("new"))
	}
	second.deleteRange([]byte("01000"), []byte("04000"))
	it := newIterator(before, nil, nil, false)
	n := 0
	for it.Next() {
		if string(it.Value()) != "old" {
			t.Fatalf("%q reads %q in the tree from before", it.Key(), it.Value())
		}
		n++
	}
	if n != 5000 {
		t.Errorf("the tree from before has %d entries, want 5000", n)
	}
}
