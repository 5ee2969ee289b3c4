package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// CountRows counts the rows of each group. A group that lost all its rows has the count 0.
func CountRows[K, V any](g *GroupedRows[K, V], store statestore.TableSpec[K, int64]) *Table[K, int64] {
	return aggregateRows(topology.Here("ktable.CountRows"), "KTABLE-AGGREGATE-", g, store, rowAggregator[K, V, int64]{aggregator: counter[K, V](),
		subtract: func(_ context.Context, _ *topology.Record[K, V], n int64) (int64, bool, error) {
			return n - 1, true, nil
		}})
}

// ReduceRows combines the values of each group: add gets the result so far and a value that comes in, subtract the result so far and a value that goes. The first
// value of a group is its first result. A value that changes within its group is subtracted as it was and added as it is.
func ReduceRows[K, V any](g *GroupedRows[K, V], add, subtract func(sofar, value V) V, store statestore.TableSpec[K, V]) *Table[K, V] {
	op := topology.Here("ktable.ReduceRows")
	a := rowReducer(func(_ context.Context, _ K, sofar, v V) (V, error) { return add(sofar, v), nil },
		func(_ context.Context, _ K, sofar, v V) (V, error) { return subtract(sofar, v), nil })
	a.missing = add == nil || subtract == nil
	return aggregateRows(op, "KTABLE-REDUCE-", g, store, a)
}

// ReduceRowsCtx is [ReduceRows] with functions that may fail.
func ReduceRowsCtx[K, V any](g *GroupedRows[K, V], add, subtract func(ctx context.Context, key K, sofar, value V) (V, error),
	store statestore.TableSpec[K, V]) *Table[K, V] {
	return aggregateRows(topology.Here("ktable.ReduceRowsCtx"), "KTABLE-REDUCE-", g, store, rowReducer(add, subtract))
}

// AggregateRows combines the values of each group into something of another type: init makes the value to begin with, add adds a value that comes in, and subtract
// takes away one that goes. Both may change the aggregate in place when they also return it.
func AggregateRows[K, V, A any](g *GroupedRows[K, V], init func() A, add, subtract func(key K, value V, aggregate A) A,
	store statestore.TableSpec[K, A]) *Table[K, A] {
	op := topology.Here("ktable.AggregateRows")
	a := rowAdder(init, func(_ context.Context, k K, v V, agg A) (A, error) { return add(k, v, agg), nil },
		func(_ context.Context, k K, v V, agg A) (A, error) { return subtract(k, v, agg), nil })
	a.missing = init == nil || add == nil || subtract == nil
	return aggregateRows(op, "KTABLE-AGGREGATE-", g, store, a)
}

// AggregateRowsCtx is [AggregateRows] with functions that may fail.
func AggregateRowsCtx[K, V, A any](g *GroupedRows[K, V], init func() A, add, subtract func(ctx context.Context, key K, value V, aggregate A) (A, error),
	store statestore.TableSpec[K, A]) *Table[K, A] {
	return aggregateRows(topology.Here("ktable.AggregateRowsCtx"), "KTABLE-AGGREGATE-", g, store, rowAdder(init, add, subtract))
}

// rowAggregator is an aggregator that can also take a value away. Its functions are shared by all tasks.
type rowAggregator[K, V, A any] struct {
	aggregator[K, V, A]
	subtract func(ctx context.Context, r *topology.Record[K, V], agg A) (A, bool, error)
}

func rowReducer[K, V any](add, subtract func(ctx context.Context, key K, sofar, value V) (V, error)) rowAggregator[K, V, V] {
	isNull := serde.NullCheck[V]()
	a := rowAggregator[K, V, V]{aggregator: reducer(add), subtract: func(ctx context.Context, r *topology.Record[K, V], sofar V) (V, bool, error) {
		v, err := subtract(ctx, r.Key, sofar, r.Value)
		return v, there(isNull, v), err
	}}
	a.missing = a.missing || subtract == nil
	return a
}

func rowAdder[K, V, A any](init func() A, add, subtract func(ctx context.Context, key K, value V, agg A) (A, error)) rowAggregator[K, V, A] {
	isNull := serde.NullCheck[A]()
	a := rowAggregator[K, V, A]{aggregator: adder(init, add), subtract: func(ctx context.Context, r *topology.Record[K, V], agg A) (A, bool, error) {
		v, err := subtract(ctx, r.Key, r.Value, agg)
		return v, there(isNull, v), err
	}}
	a.missing = a.missing || subtract == nil
	return a
}

// aggregateRows adds an aggregation of a table's rows.
func aggregateRows[K, V, A any](op topology.Op, prefix string, grouped *GroupedRows[K, V], store statestore.TableSpec[K, A], agg rowAggregator[K, V, A]) *Table[K, A] {
	in := grouped.in
	g := in.Node.Graph()
	requireFunc(g, op, agg.missing)
	ok := checkRows(g, op, store)
	old := &oldValues{}
	n := topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next rowSink[K, A]) rowSink[K, V] {
		a := &rowAggregation[K, V, A]{store: openRows(w, n, store, old, next), agg: agg, ctx: w.Context(), fail: w.Failure(n, topology.FaultProcessing), drop: w.Drop(n)}
		a.at, a.id = w.At(n)
		return a.process
	})
	return aggregated(g, op, n, old, store, ok)
}

// rowAggregation is an aggregation of rows at work in one task.
type rowAggregation[K, V, A any] struct {
	store rowStore[K, A]
	agg   rowAggregator[K, V, A]
	value topology.Record[K, V] // what goes or comes, for the functions
	ctx   context.Context
	fail  func(error) error
	drop  func(topology.DropReason)
	at    *int32
	id    int32
}

func (a *rowAggregation[K, V, A]) process(r *rows[K, V]) error {
	*a.at = a.id
	if r.KeyNull { // only a foreign writer of the repartition topic makes such a record
		a.drop(topology.DropNullKey)
		return nil
	}
	if r.ValueNull {
		a.drop(topology.DropNullValue)
		return nil
	}
	sofar, time, found, err := a.store.get(r.Key)
	if err != nil {
		return err
	}
	if !found {
		time = r.Timestamp
	}
	time = max(time, r.Timestamp)
	c := topology.Change[A]{}
	if c.New, c.HasNew, err = a.fold(r, sofar, found); err != nil {
		return a.fail(err)
	}
	if found && a.store.readsOld() {
		// The functions may have changed their argument in place: the old value is read again.
		if c.Old, _, c.HasOld, err = a.store.get(r.Key); err != nil {
			return err
		}
	}
	return a.store.keep(r.Key, c, time, r.Timestamp, r.Headers)
}

// fold takes away what the row was, if there is something to take it from, and adds what it is.
func (a *rowAggregation[K, V, A]) fold(r *rows[K, V], agg A, has bool) (_ A, _ bool, err error) {
	a.value.Key, a.value.Timestamp, a.value.Headers = r.Key, r.Timestamp, r.Headers
	if r.Value.HasOld && has {
		a.value.Value = r.Value.Old
		if agg, has, err = a.agg.subtract(a.ctx, &a.value, agg); err != nil {
			return agg, has, err
		}
	}
	if r.Value.HasNew {
		if !has {
			agg, has = a.agg.init()
		}
		a.value.Value = r.Value.New
		agg, has, err = a.agg.add(a.ctx, &a.value, agg, has)
	}
	return agg, has, err
}
