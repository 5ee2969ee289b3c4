package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Count counts the records of each key.
func Count[K, V any](g *stream.Grouped[K, V], store *statestore.KeyValueSpec[K, int64]) *Table[K, int64] {
	return aggregate(topology.Here("ktable.Count"), "KSTREAM-AGGREGATE-", g, store, counter[K, V]())
}

// Reduce combines the values of each key: the first value is the first result, and f gets the result so far and the next value.
func Reduce[K, V any](g *stream.Grouped[K, V], f func(sofar, value V) V, store *statestore.KeyValueSpec[K, V]) *Table[K, V] {
	op := topology.Here("ktable.Reduce")
	r := reducer[K](func(_ context.Context, _ K, sofar, value V) (V, error) { return f(sofar, value), nil })
	r.missing = f == nil
	return aggregate(op, "KSTREAM-REDUCE-", g, store, r)
}

// ReduceCtx is [Reduce] with a function that may fail.
func ReduceCtx[K, V any](g *stream.Grouped[K, V], f func(ctx context.Context, key K, sofar, value V) (V, error),
	store *statestore.KeyValueSpec[K, V]) *Table[K, V] {
	return aggregate(topology.Here("ktable.ReduceCtx"), "KSTREAM-REDUCE-", g, store, reducer(f))
}

// Aggregate combines the values of each key into something of another type: init makes the value to begin with, and add adds a record to it. add may change
// the aggregate in place when it also returns it.
func Aggregate[K, V, A any](g *stream.Grouped[K, V], init func() A,
	add func(key K, value V, aggregate A) A, store *statestore.KeyValueSpec[K, A]) *Table[K, A] {
	op := topology.Here("ktable.Aggregate")
	a := adder(init, func(_ context.Context, k K, v V, agg A) (A, error) { return add(k, v, agg), nil })
	a.missing = init == nil || add == nil
	return aggregate(op, "KSTREAM-AGGREGATE-", g, store, a)
}

// AggregateCtx is [Aggregate] with a function that may fail.
func AggregateCtx[K, V, A any](g *stream.Grouped[K, V], init func() A,
	add func(ctx context.Context, key K, value V, aggregate A) (A, error), store *statestore.KeyValueSpec[K, A]) *Table[K, A] {
	return aggregate(topology.Here("ktable.AggregateCtx"), "KSTREAM-AGGREGATE-", g, store, adder(init, add))
}

// aggregator is what the aggregations differ in. Its functions are shared by all tasks.
type aggregator[K, V, A any] struct {
	// init returns what an aggregate begins with and whether it has a value: reductions begin with none.
	init func() (A, bool)
	// add returns the aggregate with a record; has tells whether there was a value before, and whether there is one after.
	add     func(ctx context.Context, r *topology.Record[K, V], agg A, has bool) (A, bool, error)
	missing bool // a function is nil
}

func counter[K, V any]() aggregator[K, V, int64] {
	return aggregator[K, V, int64]{
		init: func() (int64, bool) { return 0, true },
		add: func(_ context.Context, _ *topology.Record[K, V], n int64, _ bool) (int64, bool, error) {
			return n + 1, true, nil
		},
	}
}

func reducer[K, V any](f func(ctx context.Context, key K, sofar, value V) (V, error)) aggregator[K, V, V] {
	isNull := serde.NullCheck[V]()
	return aggregator[K, V, V]{
		missing: f == nil,
		init:    func() (none V, has bool) { return none, false },
		add: func(ctx context.Context, r *topology.Record[K, V], sofar V, has bool) (V, bool, error) {
			if !has {
				return r.Value, !r.ValueNull, nil
			}
			v, err := f(ctx, r.Key, sofar, r.Value)
			return v, there(isNull, v), err
		},
	}
}

func adder[K, V, A any](init func() A, add func(ctx context.Context, key K, value V, agg A) (A, error)) aggregator[K, V, A] {
	isNull := serde.NullCheck[A]()
	return aggregator[K, V, A]{
		missing: init == nil || add == nil,
		init: func() (A, bool) {
			a := init()
			return a, there(isNull, a)
		},
		add: func(ctx context.Context, r *topology.Record[K, V], agg A, _ bool) (A, bool, error) {
			a, err := add(ctx, r.Key, r.Value, agg)
			return a, there(isNull, a), err
		},
	}
}

// there reports whether a value is not null. The copy is on the heap only when there is something to ask.
func there[A any](isNull func(*A) bool, a A) bool {
	if isNull == nil {
		return true
	}
	v := a
	return !isNull(&v)
}

// aggregate adds an aggregation without windows, whose table may know its past.
func aggregate[K, V, A any](op topology.Op, prefix string, grouped *stream.Grouped[K, V],
	store statestore.TableSpec[K, A], agg aggregator[K, V, A]) *Table[K, A] {
	in := grouped.Input(op)
	g := in.Node.Graph()
	requireFunc(g, op, agg.missing)
	ok := checkRows(g, op, store)
	old := &oldValues{}
	n := topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next rowSink[K, A]) topology.Sink[K, V] {
		return newAggregation(w, n, store, agg, old, next).process
	})
	return aggregated(g, op, n, old, store, ok)
}

// aggregated is the table that the node of an aggregation keeps in its store. ok is false when the store was refused: the table then only serves to find more faults.
func aggregated[K, A any](g *topology.Graph, op topology.Op, n *topology.Node, old *oldValues, store statestore.TableSpec[K, A], ok bool) *Table[K, A] {
	if !ok {
		return &Table[K, A]{node: n, old: old, lookup: keyValueLookup[K, A]("")}
	}
	g.AddStore(op, n, store)
	g.Copartition(op, n)
	return keptTable(n, store, old)
}

// aggregation is an aggregation without windows at work in one task.
type aggregation[K, V, A any] struct {
	store rowStore[K, A]
	agg   aggregator[K, V, A]
	ctx   context.Context
	fail  func(error) error
	drop  func(topology.DropReason)
	at    *int32
	id    int32
}

func newAggregation[K, V, A any](w *topology.Wiring, n *topology.Node, store statestore.TableSpec[K, A], agg aggregator[K, V, A], old *oldValues, next rowSink[K, A]) *aggregation[K, V, A] {
	a := &aggregation[K, V, A]{store: openRows(w, n, store, old, next), agg: agg, ctx: w.Context(), fail: w.Failure(n, topology.FaultProcessing), drop: w.Drop(n)}
	a.at, a.id = w.At(n)
	return a
}

func (a *aggregation[K, V, A]) process(r *topology.Record[K, V]) error {
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
