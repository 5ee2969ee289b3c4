package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// CountVersioned is [Count] for a table that knows its past, see [AggregateVersioned].
func CountVersioned[K, V any](g *stream.Grouped[K, V], store *statestore.VersionedSpec[K, int64]) *Table[K, int64] {
	return aggregateVersioned(topology.Here("ktable.CountVersioned"), "KSTREAM-AGGREGATE-", g, store, counter[K, V]())
}

// ReduceVersioned is [Reduce] for a table that knows its past, see [AggregateVersioned].
func ReduceVersioned[K, V any](g *stream.Grouped[K, V], f func(sofar, value V) V, store *statestore.VersionedSpec[K, V]) *Table[K, V] {
	op := topology.Here("ktable.ReduceVersioned")
	r := reducer[K](func(_ context.Context, _ K, sofar, value V) (V, error) { return f(sofar, value), nil })
	r.missing = f == nil
	return aggregateVersioned(op, "KSTREAM-REDUCE-", g, store, r)
}

// ReduceVersionedCtx is [ReduceVersioned] with a function that may fail.
func ReduceVersionedCtx[K, V any](g *stream.Grouped[K, V], f func(ctx context.Context, key K, sofar, value V) (V, error),
	store *statestore.VersionedSpec[K, V]) *Table[K, V] {
	return aggregateVersioned(topology.Here("ktable.ReduceVersionedCtx"), "KSTREAM-REDUCE-", g, store, reducer(f))
}

// AggregateVersioned is [Aggregate] for a table that knows its past: what an aggregate was at a time can be looked up, as far back as the store's history reaches. A
// record adds to the latest aggregate, whatever its time, and the result is valid from the highest time of its records on; a key whose records are all older than the
// history has none, and its records are dropped and counted.
func AggregateVersioned[K, V, A any](g *stream.Grouped[K, V], init func() A,
	add func(key K, value V, aggregate A) A, store *statestore.VersionedSpec[K, A]) *Table[K, A] {
	op := topology.Here("ktable.AggregateVersioned")
	a := adder(init, func(_ context.Context, k K, v V, agg A) (A, error) { return add(k, v, agg), nil })
	a.missing = init == nil || add == nil
	return aggregateVersioned(op, "KSTREAM-AGGREGATE-", g, store, a)
}

// AggregateVersionedCtx is [AggregateVersioned] with a function that may fail.
func AggregateVersionedCtx[K, V, A any](g *stream.Grouped[K, V], init func() A,
	add func(ctx context.Context, key K, value V, aggregate A) (A, error), store *statestore.VersionedSpec[K, A]) *Table[K, A] {
	return aggregateVersioned(topology.Here("ktable.AggregateVersionedCtx"), "KSTREAM-AGGREGATE-", g, store, adder(init, add))
}

func aggregateVersioned[K, V, A any](op topology.Op, prefix string, grouped *stream.Grouped[K, V], store *statestore.VersionedSpec[K, A],
	agg aggregator[K, V, A]) *Table[K, A] {
	in := grouped.Input(op)
	g := in.Node.Graph()
	requireFunc(g, op, agg.missing)
	ok := checkRows(g, op, store)
	old := &oldValues{}
	n := topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next rowSink[K, A]) topology.Sink[K, V] {
		a := &versionedAggregation[K, V, A]{store: openRows(w, n, store, old, next), agg: agg, ctx: w.Context(), fail: w.Failure(n, topology.FaultProcessing), drop: w.Drop(n)}
		a.at, a.id = w.At(n)
		return a.process
	})
	return aggregated(g, op, n, old, store, ok)
}

// versionedAggregation is an aggregation with a past at work in one task.
type versionedAggregation[K, V, A any] struct {
	store rowStore[K, A]
	agg   aggregator[K, V, A]
	ctx   context.Context
	fail  func(error) error
	drop  func(topology.DropReason)
	at    *int32
	id    int32
}

func (a *versionedAggregation[K, V, A]) process(r *topology.Record[K, V]) error {
	*a.at = a.id
	switch {
	case r.KeyNull:
		a.drop(topology.DropNullKey)
		return nil
	case r.ValueNull:
		a.drop(topology.DropNullValue)
		return nil
	}
	was, time, found, err := a.store.get(r.Key)
	if err != nil {
		return err
	}
	has := found
	if !found {
		was, has = a.agg.init()
		time = r.Timestamp
	}
	time = max(time, r.Timestamp)
	c := topology.Change[A]{}
	if c.New, c.HasNew, err = a.agg.add(a.ctx, r, was, has); err != nil {
		return a.fail(err)
	}
	if a.store.readsOld() { // made again: the function may have changed its argument in place
		if !found {
			c.Old, c.HasOld = a.agg.init()
		} else if c.Old, _, c.HasOld, err = a.store.get(r.Key); err != nil {
			return err
		}
	}
	return a.store.keep(r.Key, c, time, r.Timestamp, r.Headers)
}
