package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// CountSessions counts the records of each session. Records with a null value count too.
func CountSessions[K, V any](g *stream.GroupedSessions[K, V], store *statestore.SessionSpec[K, int64]) *Table[stream.Windowed[K], int64] {
	a := sessionAggregator[K, V, int64]{aggregator: counter[K, V](), merge: func(_ context.Context, _ K, a, b int64) (int64, error) { return a + b, nil }}
	return aggregateSessions(topology.Here("ktable.CountSessions"), "KSTREAM-AGGREGATE-", g, store, a)
}

// ReduceSessions combines the values of each session: the first value is the first result, and f gets the result so far and the next value, or the results of two
// sessions that become one, the earlier first.
func ReduceSessions[K, V any](g *stream.GroupedSessions[K, V], f func(sofar, value V) V, store *statestore.SessionSpec[K, V]) *Table[stream.Windowed[K], V] {
	op := topology.Here("ktable.ReduceSessions")
	a := sessionReducer(func(_ context.Context, _ K, sofar, value V) (V, error) { return f(sofar, value), nil })
	a.missing = f == nil
	return aggregateSessions(op, "KSTREAM-REDUCE-", g, store, a)
}

// ReduceSessionsCtx is [ReduceSessions] with a function that may fail.
func ReduceSessionsCtx[K, V any](g *stream.GroupedSessions[K, V], f func(ctx context.Context, key K, sofar, value V) (V, error),
	store *statestore.SessionSpec[K, V]) *Table[stream.Windowed[K], V] {
	return aggregateSessions(topology.Here("ktable.ReduceSessionsCtx"), "KSTREAM-REDUCE-", g, store, sessionReducer(f))
}

// AggregateSessions combines the values of each session into something of another type, like [Aggregate]. Every record begins with what init makes; merge puts the
// sessions that it meets behind that, the earlier first, and add adds the record. A session whose aggregate becomes null is gone.
func AggregateSessions[K, V, A any](g *stream.GroupedSessions[K, V], init func() A, add func(key K, value V, aggregate A) A,
	merge func(key K, earlier, later A) A, store *statestore.SessionSpec[K, A]) *Table[stream.Windowed[K], A] {
	op := topology.Here("ktable.AggregateSessions")
	a := sessionAdder(init, func(_ context.Context, k K, v V, agg A) (A, error) { return add(k, v, agg), nil },
		func(_ context.Context, k K, a, b A) (A, error) { return merge(k, a, b), nil })
	a.missing = init == nil || add == nil || merge == nil
	return aggregateSessions(op, "KSTREAM-AGGREGATE-", g, store, a)
}

// AggregateSessionsCtx is [AggregateSessions] with functions that may fail.
func AggregateSessionsCtx[K, V, A any](g *stream.GroupedSessions[K, V], init func() A, add func(ctx context.Context, key K, value V, aggregate A) (A, error),
	merge func(ctx context.Context, key K, earlier, later A) (A, error), store *statestore.SessionSpec[K, A]) *Table[stream.Windowed[K], A] {
	return aggregateSessions(topology.Here("ktable.AggregateSessionsCtx"), "KSTREAM-AGGREGATE-", g, store, sessionAdder(init, add, merge))
}

// sessionAggregator is an aggregator that can also make one aggregate of two. Its functions are shared by all tasks.
type sessionAggregator[K, V, A any] struct {
	aggregator[K, V, A]
	merge func(ctx context.Context, key K, earlier, later A) (A, error)
	// skipNone leaves merge out when there is nothing on its left: reductions begin with none.
	skipNone bool
}

func sessionReducer[K, V any](f func(ctx context.Context, key K, sofar, value V) (V, error)) sessionAggregator[K, V, V] {
	return sessionAggregator[K, V, V]{aggregator: reducer(f), merge: f, skipNone: true}
}

func sessionAdder[K, V, A any](init func() A, add func(ctx context.Context, key K, value V, agg A) (A, error),
	merge func(ctx context.Context, key K, earlier, later A) (A, error)) sessionAggregator[K, V, A] {
	a := sessionAggregator[K, V, A]{aggregator: adder(init, add), merge: merge}
	a.missing = a.missing || merge == nil
	return a
}

// aggregateSessions adds an aggregation by sessions. The store keeps them for gap + grace unless it is told to keep them longer.
func aggregateSessions[K, V, A any](op topology.Op, prefix string, grouped *stream.GroupedSessions[K, V],
	store *statestore.SessionSpec[K, A], agg sessionAggregator[K, V, A]) *Table[stream.Windowed[K], A] {
	in, windows := grouped.Input(op), grouped.Windows()
	g := in.Node.Graph()
	requireFunc(g, op, agg.missing)
	store = checkTimed(g, op, store, "sessions", windows.Retention())
	emit := grouped.Emission()
	if emit.OnClose && store != nil {
		store = store.Linger(closingRetention) // a session that ends at the close time must be there when it closes
	}
	old := &oldValues{}
	n := topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next rowSink[stream.Windowed[K], A]) topology.Sink[K, V] {
		a := newSessionAggregation(w, n, store, w.Observed(store.StoreName()), windows, agg)
		if emit.OnClose {
			a.closing, a.forward = closingSessions(w, store, emit, next), &forwarder[stream.Windowed[K], A]{held: true}
		} else {
			a.forward = sessionForwarder(w, n, a.store, old, next)
		}
		return a.process
	})
	return sessionTable(g, op, n, store, old, windows)
}

// sessionTable is the table behind the node that owns a session store.
func sessionTable[K, A any](g *topology.Graph, op topology.Op, n *topology.Node, store *statestore.SessionSpec[K, A], old *oldValues,
	windows stream.SessionWindows) *Table[stream.Windowed[K], A] {
	t := &Table[stream.Windowed[K], A]{node: n, old: old, closes: sessionCloses(windows), lookup: sessionLookup[K, A]("")}
	if store != nil {
		g.AddStore(op, n, store)
		g.Copartition(op, n)
		t.stores, t.lookup = []string{store.StoreName()}, sessionLookup[K, A](store.StoreName())
	}
	return t
}

// sessionLookup reads rows from a session store. The time of a session is its end.
func sessionLookup[K, V any](store string) func(*topology.Wiring) lookup[stream.Windowed[K], V] {
	return func(w *topology.Wiring) lookup[stream.Windowed[K], V] {
		s := w.Store(store).(statestore.SessionStore[K, V])
		return func(key stream.Windowed[K]) (V, int64, bool, error) {
			v, found, err := s.FetchSession(key.Key, key.Start, key.End)
			return v, key.End, found, err
		}
	}
}

// sessionAggregation is an aggregation by sessions at work in one task. Times are in milliseconds.
type sessionAggregation[K, V, A any] struct {
	store    statestore.SessionStore[K, A]
	agg      sessionAggregator[K, V, A]
	forward  *forwarder[stream.Windowed[K], A]
	closing  *closing[K, A]                 // nil: results are given as they come
	missed   func(end, observed int64) bool // whether a session that is open still but too old to keep counts as dropped
	kept     int64                          // how long after its end, by the store's time, a session meets records: those that are only kept to be emitted meet none
	gap      int64
	grace    int64
	observed *int64                          // the highest time that came in; kept with the committed offsets
	met      []statestore.SessionEntry[K, A] // scratch: the sessions that a record meets
	isNull   func(*A) bool                   // nil: no aggregate is null
	ctx      context.Context
	fail     func(error) error
	drop     func(topology.DropReason)
	at       *int32
	id       int32
}

func newSessionAggregation[K, V, A any](w *topology.Wiring, n *topology.Node, store *statestore.SessionSpec[K, A], observed *int64, windows stream.SessionWindows,
	agg sessionAggregator[K, V, A]) *sessionAggregation[K, V, A] {
	a := &sessionAggregation[K, V, A]{store: w.Store(store.StoreName()).(statestore.SessionStore[K, A]), missed: misses(store.IsInMemory(), store.Retention()), kept: store.Retention().Milliseconds(), agg: agg, ctx: w.Context(),
		fail: w.Failure(n, topology.FaultProcessing), drop: w.Drop(n), isNull: serde.NullCheck[A](),
		gap: windows.Gap().Milliseconds(), grace: windows.GracePeriod().Milliseconds(), observed: observed}
	a.at, a.id = w.At(n)
	w.OnIdle(n, a.pass)
	return a
}

func (a *sessionAggregation[K, V, A]) process(r *topology.Record[K, V]) error {
	*a.at = a.id
	if r.KeyNull {
		a.drop(topology.DropNullKey)
		return nil
	}
	*a.observed = max(*a.observed, r.Timestamp)
	closed := *a.observed - a.grace - a.gap
	if a.closing != nil {
		if err := a.closing.emit(closed, *a.observed, r.Headers); err != nil {
			return err
		}
	}
	start, end, err := a.meet(r.Key, r.Timestamp)
	defer func() { clear(a.met) }()
	if err != nil {
		return err
	}
	if end < closed {
		a.drop(topology.DropLate)
		return nil
	}
	agg, has, err := a.fold(r)
	if err != nil {
		return a.fail(err)
	}
	if start != end || start != r.Timestamp {
		if err := a.dissolve(r); err != nil {
			return err
		}
	}
	return a.put(r, start, end, topology.Change[A]{New: agg, HasNew: has})
}

// pass moves the operator's time on in a silence.
func (a *sessionAggregation[K, V, A]) pass(now int64) (some bool, err error) {
	*a.observed = max(*a.observed, now)
	return a.closing.pass(*a.observed-a.grace-a.gap, *a.observed)
}

// meet gathers the sessions that a record at time t belongs to, and returns the ends of what they become together.
func (a *sessionAggregation[K, V, A]) meet(key K, t int64) (start, end int64, err error) {
	start, end, a.met = t, t, a.met[:0]
	for e, err := range a.store.FindSessions(key, max(0, t-a.gap), later(t, a.gap)) {
		if err != nil {
			return 0, 0, err
		}
		if e.End <= a.store.ObservedTime()-a.kept {
			continue
		}
		a.met = append(a.met, e)
		start, end = min(start, e.Start), max(end, e.End)
	}
	return start, end, nil
}

// fold makes the aggregate of the sessions that were met and the record.
func (a *sessionAggregation[K, V, A]) fold(r *topology.Record[K, V]) (agg A, has bool, err error) {
	agg, has = a.agg.init()
	for i := range a.met {
		if !has && a.agg.skipNone {
			agg, has = a.met[i].Value, true
			continue
		}
		if agg, err = a.agg.merge(a.ctx, r.Key, agg, a.met[i].Value); err != nil {
			return agg, false, err
		}
		has = there(a.isNull, agg)
	}
	return a.agg.add(a.ctx, r, agg, has)
}

// dissolve removes the sessions that are part of a larger one now.
func (a *sessionAggregation[K, V, A]) dissolve(r *topology.Record[K, V]) error {
	for i := range a.met {
		e := &a.met[i]
		c := topology.Change[A]{}
		if a.forward.withOld && !a.forward.held {
			// The functions may have changed their arguments in place: the old value is read again.
			var err error
			if c.Old, c.HasOld, err = a.store.FetchSession(r.Key, e.Start, e.End); err != nil {
				return err
			}
		}
		stored, err := a.store.Remove(r.Key, e.Start, e.End, r.Timestamp)
		if err != nil {
			return err
		}
		if err = a.tell(r, e.Start, e.End, c, stored); err != nil {
			return err
		}
	}
	return nil
}

// put makes a change's new value that of a session, and hands the change on.
func (a *sessionAggregation[K, V, A]) put(r *topology.Record[K, V], start, end int64, c topology.Change[A]) (err error) {
	stored := true
	if c.HasNew {
		stored, err = a.store.Put(r.Key, start, end, c.New, r.Timestamp)
	} else {
		stored, err = a.store.Remove(r.Key, start, end, r.Timestamp)
	}
	if err != nil {
		return err
	}
	if !stored && !a.forward.ignores(c) && a.missed(end, a.store.ObservedTime()) {
		a.drop(topology.DropLate)
	}
	if a.closing != nil && c.HasNew {
		a.closing.add(r.Key, start, end)
	}
	return a.tell(r, start, end, c, stored)
}

// tell hands a change of a session on. Its time is the session's end. Headers of single records say nothing about a session, but as in Kafka Streams those of the last one
// go along when the store holds changes back.
func (a *sessionAggregation[K, V, A]) tell(r *topology.Record[K, V], start, end int64, c topology.Change[A], stored bool) error {
	var headers []topology.Header
	if a.forward.held {
		headers = r.Headers
	}
	if !stored {
		return a.forward.unkept(stream.Windowed[K]{Key: r.Key, Start: start, End: end}, c, end, headers)
	}
	return a.forward.forward(stream.Windowed[K]{Key: r.Key, Start: start, End: end}, c, end, headers)
}
