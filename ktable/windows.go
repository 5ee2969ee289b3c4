package ktable

import (
	"context"
	"math"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// CountWindows counts the records of each key and window. Records with a null value count too.
func CountWindows[K, V any](g *stream.GroupedWindows[K, V], store *statestore.WindowSpec[K, int64]) *Table[stream.Windowed[K], int64] {
	return aggregateWindows(topology.Here("ktable.CountWindows"), "KSTREAM-AGGREGATE-", g, store, counter[K, V]())
}

// ReduceWindows combines the values of each key and window: the first value is the first result, and f gets the result so far and the next value.
func ReduceWindows[K, V any](g *stream.GroupedWindows[K, V], f func(sofar, value V) V, store *statestore.WindowSpec[K, V]) *Table[stream.Windowed[K], V] {
	op := topology.Here("ktable.ReduceWindows")
	r := reducer[K](func(_ context.Context, _ K, sofar, value V) (V, error) { return f(sofar, value), nil })
	r.missing = f == nil
	return aggregateWindows(op, "KSTREAM-REDUCE-", g, store, r)
}

// ReduceWindowsCtx is [ReduceWindows] with a function that may fail.
func ReduceWindowsCtx[K, V any](g *stream.GroupedWindows[K, V], f func(ctx context.Context, key K, sofar, value V) (V, error),
	store *statestore.WindowSpec[K, V]) *Table[stream.Windowed[K], V] {
	return aggregateWindows(topology.Here("ktable.ReduceWindowsCtx"), "KSTREAM-REDUCE-", g, store, reducer(f))
}

// AggregateWindows combines the values of each key and window into something of another type, like [Aggregate].
func AggregateWindows[K, V, A any](g *stream.GroupedWindows[K, V], init func() A,
	add func(key K, value V, aggregate A) A, store *statestore.WindowSpec[K, A]) *Table[stream.Windowed[K], A] {
	op := topology.Here("ktable.AggregateWindows")
	a := adder(init, func(_ context.Context, k K, v V, agg A) (A, error) { return add(k, v, agg), nil })
	a.missing = init == nil || add == nil
	return aggregateWindows(op, "KSTREAM-AGGREGATE-", g, store, a)
}

// AggregateWindowsCtx is [AggregateWindows] with a function that may fail.
func AggregateWindowsCtx[K, V, A any](g *stream.GroupedWindows[K, V], init func() A,
	add func(ctx context.Context, key K, value V, aggregate A) (A, error), store *statestore.WindowSpec[K, A]) *Table[stream.Windowed[K], A] {
	return aggregateWindows(topology.Here("ktable.AggregateWindowsCtx"), "KSTREAM-AGGREGATE-", g, store, adder(init, add))
}

// aggregateWindows adds an aggregation by time windows. The store keeps windows for size + grace unless it is told to keep them longer.
func aggregateWindows[K, V, A any](op topology.Op, prefix string, grouped *stream.GroupedWindows[K, V],
	store *statestore.WindowSpec[K, A], agg aggregator[K, V, A]) *Table[stream.Windowed[K], A] {
	in, windows := grouped.Input(op), grouped.Windows()
	g := in.Node.Graph()
	requireFunc(g, op, agg.missing)
	store = checkWindow(g, op, store, windows.Size()+windows.GracePeriod())
	old := &oldValues{}
	n := topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next rowSink[stream.Windowed[K], A]) topology.Sink[K, V] {
		name := store.StoreName()
		s := w.Store(name).(statestore.WindowStore[K, A])
		a := &windowAggregation[K, V, A]{store: s, agg: agg, ctx: w.Context(), fail: w.Failure(n, topology.FaultProcessing), drop: w.Drop(n),
			size: windows.Size().Milliseconds(), advance: windows.Advance().Milliseconds(), grace: windows.GracePeriod().Milliseconds(),
			observed: w.Observed(name)}
		a.forward = windowForwarder(w, n, s, a.size, old, next)
		a.at, a.id = w.At(n)
		return a.process
	})
	t := &Table[stream.Windowed[K], A]{node: n, old: old, lookup: windowLookup[K, A]("")}
	if store != nil {
		g.AddStore(op, n, store)
		g.Copartition(op, n)
		t.stores, t.lookup = []string{store.StoreName()}, windowLookup[K, A](store.StoreName())
	}
	return t
}

// checkWindow reports what is wrong with a window store's handle, and returns it with its retention, nil when there is no handle.
func checkWindow[K, V any](g *topology.Graph, op topology.Op, spec *statestore.WindowSpec[K, V], need time.Duration) *statestore.WindowSpec[K, V] {
	if spec == nil {
		g.Fault(op, "the store is nil")
		return nil
	}
	checkSerdes(g, op, spec.StoreName(), spec.KeySerde(), spec.ValueSerde())
	switch have := spec.Retention(); {
	case have == 0:
		spec = spec.Retain(need)
	case have < need:
		g.Fault(op, "store %q retains %v, less than window + grace (%v)", spec.StoreName(), have, need)
	}
	return spec
}

// windowAggregation is a windowed aggregation at work in one task. Times are in milliseconds.
type windowAggregation[K, V, A any] struct {
	store         statestore.WindowStore[K, A]
	agg           aggregator[K, V, A]
	forward       *forwarder[stream.Windowed[K], A]
	size, advance int64
	grace         int64
	observed      *int64 // the highest time that came in; kept with the committed offsets
	ctx           context.Context
	fail          func(error) error
	drop          func(topology.DropReason)
	at            *int32
	id            int32
}

// windowEnd is the end of a window; a window at the end of time is shorter.
func windowEnd(start, size int64) int64 {
	if start > math.MaxInt64-size {
		return math.MaxInt64
	}
	return start + size
}

func (a *windowAggregation[K, V, A]) process(r *topology.Record[K, V]) error {
	*a.at = a.id
	if r.KeyNull {
		a.drop(topology.DropNullKey)
		return nil
	}
	*a.observed = max(*a.observed, r.Timestamp)
	closed := *a.observed - a.grace
	// The earliest window that holds the time starts at the first multiple of advance after time - size.
	for start := max(0, r.Timestamp-a.size+a.advance) / a.advance * a.advance; start <= r.Timestamp; start += a.advance {
		end := windowEnd(start, a.size)
		if end <= closed {
			a.drop(topology.DropLate)
		} else if err := a.update(r, start, end); err != nil {
			return err
		}
		if start > math.MaxInt64-a.advance {
			break
		}
	}
	return nil
}

func (a *windowAggregation[K, V, A]) update(r *topology.Record[K, V], start, end int64) error {
	*a.at = a.id
	was, time, found, err := a.store.FetchWithTime(r.Key, start)
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
	// The function may have changed its argument in place: the old value is made again.
	if a.forward.withOld && !a.forward.held {
		if !found {
			c.Old, c.HasOld = a.agg.init()
		} else if c.Old, c.HasOld, err = a.store.Fetch(r.Key, start); err != nil {
			return err
		}
	}
	if c.HasNew {
		_, err = a.store.Put(r.Key, start, c.New, time)
	} else {
		_, err = a.store.Delete(r.Key, start, time)
	}
	if err != nil {
		return err
	}
	return a.forward.forward(stream.Windowed[K]{Key: r.Key, Start: start, End: end}, c, time, r.Headers)
}
