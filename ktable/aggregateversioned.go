package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// CountVersioned is [Count] for a table that knows its past, see [AggregateVersioned].
func CountVersioned[K, V any](g *stream.Grouped[K, V], store *statestore.VersionedSpec[K, int64]) *Table[K, int64] {
	return aggregate(topology.Here("ktable.CountVersioned"), "KSTREAM-AGGREGATE-", g, store, counter[K, V]())
}

// ReduceVersioned is [Reduce] for a table that knows its past, see [AggregateVersioned].
func ReduceVersioned[K, V any](g *stream.Grouped[K, V], f func(sofar, value V) V, store *statestore.VersionedSpec[K, V]) *Table[K, V] {
	op := topology.Here("ktable.ReduceVersioned")
	r := reducer[K](func(_ context.Context, _ K, sofar, value V) (V, error) { return f(sofar, value), nil })
	r.missing = f == nil
	return aggregate(op, "KSTREAM-REDUCE-", g, store, r)
}

// ReduceVersionedCtx is [ReduceVersioned] with a function that may fail.
func ReduceVersionedCtx[K, V any](g *stream.Grouped[K, V], f func(ctx context.Context, key K, sofar, value V) (V, error),
	store *statestore.VersionedSpec[K, V]) *Table[K, V] {
	return aggregate(topology.Here("ktable.ReduceVersionedCtx"), "KSTREAM-REDUCE-", g, store, reducer(f))
}

// AggregateVersioned is [Aggregate] for a table that knows its past: what an aggregate was at a time can be looked up, as far back as the store's history reaches. A
// record adds to the latest aggregate, whatever its time, and the result is valid from the highest time of its records on; a key whose records are all older than the
// history has none, and its records are dropped and counted.
func AggregateVersioned[K, V, A any](g *stream.Grouped[K, V], init func() A,
	add func(key K, value V, aggregate A) A, store *statestore.VersionedSpec[K, A]) *Table[K, A] {
	op := topology.Here("ktable.AggregateVersioned")
	a := adder(init, func(_ context.Context, k K, v V, agg A) (A, error) { return add(k, v, agg), nil })
	a.missing = init == nil || add == nil
	return aggregate(op, "KSTREAM-AGGREGATE-", g, store, a)
}

// AggregateVersionedCtx is [AggregateVersioned] with a function that may fail.
func AggregateVersionedCtx[K, V, A any](g *stream.Grouped[K, V], init func() A,
	add func(ctx context.Context, key K, value V, aggregate A) (A, error), store *statestore.VersionedSpec[K, A]) *Table[K, A] {
	return aggregate(topology.Here("ktable.AggregateVersionedCtx"), "KSTREAM-AGGREGATE-", g, store, adder(init, add))
}
