package stream

import (
	"context"
	"slices"

	"github.com/millrace-io/millrace/internal/topology"
)

// Branches divides a stream: each record goes to the first branch whose test it passes, in the order in which they were added. See [Split].
type Branches[K, V any] struct {
	s        *Stream[K, V]
	op       topology.Op
	node     *topology.Node
	branches []branch[K, V]
	names    []string
	closed   bool // the default branch is there
}

// branch is one way out of a split.
type branch[K, V any] struct {
	node *topology.Node
	test func(ctx context.Context, key K, value V) (bool, error) // nil: of the default branch
}

// Split divides a stream into branches:
//
//	byKind := stream.Split(payments)
//	refunds := byKind.Branch("refunds", func(_ string, p Payment) bool { return p.Cents < 0 })
//	large := byKind.Branch("large", func(_ string, p Payment) bool { return p.Cents > 1_000_000 })
//	rest := byKind.Default("rest")
//
// A record that passes no test goes to the default branch, and nowhere if there is none.
func Split[K, V any](s *Stream[K, V]) *Branches[K, V] {
	op, g := topology.Here("stream.Split"), s.graph()
	b := &Branches[K, V]{s: s, op: op}
	b.node = topology.AddProcessor(g, op, g.NextName("KSTREAM-BRANCH-"), s.parents(), b.wire)
	return b
}

// Branch adds a branch for the records that pass a test and none before. The name is for descriptions, metrics and faults.
func (b *Branches[K, V]) Branch(name string, test func(key K, value V) bool) *Stream[K, V] {
	op := topology.Here("stream.Branches.Branch")
	requireFunc(b.s.graph(), op, test == nil)
	return b.add(op, name, func(_ context.Context, k K, v V) (bool, error) { return test(k, v), nil })
}

// BranchCtx is Branch with a function that may fail.
func (b *Branches[K, V]) BranchCtx(name string, test func(ctx context.Context, key K, value V) (bool, error)) *Stream[K, V] {
	op := topology.Here("stream.Branches.BranchCtx")
	requireFunc(b.s.graph(), op, test == nil)
	return b.add(op, name, test)
}

// Default adds the branch for the records that pass no test. It is the last one.
func (b *Branches[K, V]) Default(name string) *Stream[K, V] {
	out := b.add(topology.Here("stream.Branches.Default"), name, nil)
	b.closed = true
	return out
}

func (b *Branches[K, V]) add(op topology.Op, name string, test func(context.Context, K, V) (bool, error)) *Stream[K, V] {
	g := b.s.graph()
	switch {
	case b.closed:
		g.Fault(op, "branch %q comes after the default branch, which takes all that is left", name)
	case name == "":
		g.Fault(op, "a branch needs a name")
	case slices.Contains(b.names, name):
		g.Fault(op, "the split has a branch %q already", name)
	}
	n := topology.AddProcessor(g, op, b.node.Name()+"-"+name, []*topology.Node{b.node}, passOn[K, V])
	b.names = append(b.names, name)
	b.branches = append(b.branches, branch[K, V]{node: n, test: test})
	return sameKey[K, V, V](b.s, n)
}

// passOn is the wiring of an operator that is only a name for what follows it.
func passOn[K, V any](_ *topology.Wiring, _ *topology.Node, next topology.Sink[K, V]) topology.Sink[K, V] {
	return next
}

// way is a branch at work in one task.
type way[K, V any] struct {
	test func(ctx context.Context, key K, value V) (bool, error)
	to   topology.Sink[K, V]
}

func (b *Branches[K, V]) wire(w *topology.Wiring, n *topology.Node, _ topology.Sink[K, V]) topology.Sink[K, V] {
	at, id := w.At(n)
	ctx, fail := w.Context(), w.Failure(n, topology.FaultProcessing)
	ways := make([]way[K, V], len(b.branches))
	for i, br := range b.branches {
		ways[i] = way[K, V]{test: br.test, to: topology.EntryOf[K, V](w, br.node)}
	}
	return func(r *topology.Record[K, V]) error {
		*at = id
		for i := range ways {
			y := &ways[i]
			if y.test != nil {
				if ok, err := y.test(ctx, r.Key, r.Value); err != nil {
					return fail(err)
				} else if !ok {
					continue
				}
			}
			return y.to(r)
		}
		return nil
	}
}
