package ktable

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
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

// aggregateWindows adds an aggregation by windows. The store keeps windows for as long as they need unless it is told to keep them longer.
func aggregateWindows[K, V, A any](op topology.Op, prefix string, grouped *stream.GroupedWindows[K, V],
	store *statestore.WindowSpec[K, A], agg aggregator[K, V, A]) *Table[stream.Windowed[K], A] {
	in, windows := grouped.Input(op), grouped.Windows()
	g := in.Node.Graph()
	requireFunc(g, op, agg.missing)
	store = checkTimed(g, op, store, "windows", windows.Retention())
	emit := grouped.Emission()
	if emit.OnClose && store != nil && !store.IsInMemory() {
		// As from Kafka Streams' stores of such windows on disk: a sliding window that begins two differences before a record may be what the record's own begin with.
		store = store.Retain(store.Retention() + closingRetention)
	}
	if _, endless := windows.(stream.UnlimitedWindows); endless && emit.OnClose {
		g.Fault(op, "unlimited windows never close, so that nothing would be emitted")
	}
	old := &oldValues{}
	n := topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next rowSink[stream.Windowed[K], A]) topology.Sink[K, V] {
		a := newWindowing(w, n, store, w.Observed(store.StoreName()), windows, agg)
		if emit.OnClose {
			_, inclusive := windows.(stream.SlidingWindows)
			a.closing, a.forward = closingWindows(w, store, emit, inclusive, a.end, next), &forwarder[stream.Windowed[K], A]{held: true}
		} else {
			a.forward = windowForwarder(w, n, a.store, a.end, old, next)
		}
		return a.processor(windows)
	})
	t := &Table[stream.Windowed[K], A]{node: n, old: old, closes: closesOf(windows), lookup: windowLookup[K, A]("")}
	if store != nil {
		g.AddStore(op, n, store)
		g.Copartition(op, n)
		t.stores, t.lookup = []string{store.StoreName()}, windowLookup[K, A](store.StoreName())
	}
	return t
}

// timedSpec is the handle of a store of windows or sessions.
type timedSpec[K, V, S any] interface {
	comparable
	StoreName() string
	KeySerde() serde.Serde[K]
	ValueSerde() serde.Serde[V]
	Retention() time.Duration
	Retain(d time.Duration) S
}

// checkTimed reports what is wrong with the handle of a store of windows or sessions, as what says, and returns it with its retention, nil when there is no handle.
func checkTimed[K, V any, S timedSpec[K, V, S]](g *topology.Graph, op topology.Op, spec S, what string, need time.Duration) S {
	var none S
	if spec == none {
		g.Fault(op, "the store is nil")
		return none
	}
	checkSerdes(g, op, spec.StoreName(), spec.KeySerde(), spec.ValueSerde())
	switch have := spec.Retention(); {
	case have == 0:
		spec = spec.Retain(need)
	case have < need:
		g.Fault(op, "store %q retains %v, less than its %s and their grace need (%v)", spec.StoreName(), have, what, need)
	}
	return spec
}
