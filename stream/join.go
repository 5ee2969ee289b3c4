package stream

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// Join gives a result for every two records of equal key, one of each stream, whose times are as close as the window says. A result has the later time of both,
// and comes when the second of them does. Records that come late join whatever is still kept; none of them is refused for being late. Both streams must be
// partitioned alike. Records with a null key or value are dropped and counted.
//
// A stream can be joined with itself: every record then meets itself, too. See [JoinState.OneStore].
func Join[K, L, R, O any](left *Stream[K, L], right *Stream[K, R], join func(left L, right R) O, window JoinWindow, state JoinState[K, L, R]) *Stream[K, O] {
	op := topology.Here("stream.Join")
	requireFunc(left.graph(), op, join == nil)
	return joinStreams(op, left, right, innerJoin, func(_ context.Context, _ K, l L, r R, _ Sides) (O, error) { return join(l, r), nil }, window, state)
}

// JoinCtx is [Join] with a function that may fail.
func JoinCtx[K, L, R, O any](left *Stream[K, L], right *Stream[K, R], join func(ctx context.Context, key K, left L, right R) (O, error),
	window JoinWindow, state JoinState[K, L, R]) *Stream[K, O] {
	op := topology.Here("stream.JoinCtx")
	requireFunc(left.graph(), op, join == nil)
	return joinStreams(op, left, right, innerJoin, func(ctx context.Context, k K, l L, r R, _ Sides) (O, error) { return join(ctx, k, l, r) }, window, state)
}

// LeftJoin is [Join] that also gives a result for a left record that stays alone: found is false then, and right the zero value. It comes when the first record
// is processed after the window and its grace have ended, with the left record's time and the headers of the record that ended it. A left record with a null
// key is alone at once.
//
// A record that was given as alone still joins one that comes later than the grace allows, as long as it is kept.
func LeftJoin[K, L, R, O any](left *Stream[K, L], right *Stream[K, R], join func(left L, right R, found bool) O,
	window JoinWindow, state JoinState[K, L, R]) *Stream[K, O] {
	op := topology.Here("stream.LeftJoin")
	requireFunc(left.graph(), op, join == nil)
	return joinStreams(op, left, right, leftJoin, func(_ context.Context, _ K, l L, r R, has Sides) (O, error) { return join(l, r, has.Right()), nil }, window, state)
}

// LeftJoinCtx is [LeftJoin] with a function that may fail.
func LeftJoinCtx[K, L, R, O any](left *Stream[K, L], right *Stream[K, R], join func(ctx context.Context, key K, left L, right R, found bool) (O, error),
	window JoinWindow, state JoinState[K, L, R]) *Stream[K, O] {
	op := topology.Here("stream.LeftJoinCtx")
	requireFunc(left.graph(), op, join == nil)
	return joinStreams(op, left, right, leftJoin, func(ctx context.Context, k K, l L, r R, has Sides) (O, error) {
		return join(ctx, k, l, r, has.Right())
	}, window, state)
}

// OuterJoin is [LeftJoin] that gives a result for a record of either stream that stays alone: the function is told which sides are there. Records that are
// alone come in the order of their times; at one time right ones come first, then the order is that of the encoded keys.
func OuterJoin[K, L, R, O any](left *Stream[K, L], right *Stream[K, R], join func(left L, right R, has Sides) O,
	window JoinWindow, state JoinState[K, L, R]) *Stream[K, O] {
	op := topology.Here("stream.OuterJoin")
	requireFunc(left.graph(), op, join == nil)
	return joinStreams(op, left, right, outerJoin, func(_ context.Context, _ K, l L, r R, has Sides) (O, error) { return join(l, r, has), nil }, window, state)
}

// OuterJoinCtx is [OuterJoin] with a function that may fail.
func OuterJoinCtx[K, L, R, O any](left *Stream[K, L], right *Stream[K, R], join func(ctx context.Context, key K, left L, right R, has Sides) (O, error),
	window JoinWindow, state JoinState[K, L, R]) *Stream[K, O] {
	op := topology.Here("stream.OuterJoinCtx")
	requireFunc(left.graph(), op, join == nil)
	return joinStreams(op, left, right, outerJoin, join, window, state)
}

// joinKind says which records of a join are given alone.
type joinKind int8

const (
	innerJoin joinKind = iota
	leftJoin
	outerJoin
)

// joinFunc makes a result of two values, of which one may be missing.
type joinFunc[K, L, R, O any] func(ctx context.Context, key K, left L, right R, has Sides) (O, error)

// joinStreams adds a join: on each side a node that keeps the records, and below it one that looks for partners on the other side; the results meet.
func joinStreams[K, L, R, O any](op topology.Op, left *Stream[K, L], right *Stream[K, R], kind joinKind, join joinFunc[K, L, R, O],
	window JoinWindow, state JoinState[K, L, R]) *Stream[K, O] {
	g := left.graph()
	window.check(g, op)
	state.check(g, op)
	inLeft, inRight := joinInputs(op, left, right, state)
	leftStore, rightStore := state.leftStore(kind, window), state.rightStore(kind, window)
	j := &joinPlan[K, L, R, O]{window: window, kind: kind, join: join, observed: leftStore.StoreName(), left: leftStore.StoreName(), right: rightStore.StoreName(),
		inMemory: leftStore.IsInMemory()}
	keepLeft := addKeeper(g, op, inLeft.Node, leftStore)
	keepRight := inRight.Node
	if state.oneStore && state.isSelf(g, op, kind, inLeft, inRight) {
		j.once, j.right = true, j.left
	} else {
		keepRight = addKeeper(g, op, inRight.Node, rightStore)
	}
	a := topology.AddProcessor(g, op, g.NextName(sidePrefix("THIS-", kind == outerJoin)), []*topology.Node{keepLeft}, j.wireLeft)
	b := topology.AddProcessor(g, op, g.NextName(sidePrefix("OTHER-", kind != innerJoin)), []*topology.Node{keepRight}, j.wireRight)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-MERGE-"), []*topology.Node{a, b}, func(_ *topology.Wiring, _ *topology.Node, next topology.Sink[K, O]) topology.Sink[K, O] {
		return next
	})
	if inLeft.Node.Graph() != inRight.Node.Graph() {
		return OfEdge(topology.Edge[K, O]{Node: n}) // the fault is recorded
	}
	g.AddStore(op, keepLeft, leftStore)
	if !j.once {
		g.AddStore(op, keepRight, rightStore)
	}
	if kind != innerJoin {
		alone := state.unmatchedStore(kind)
		j.unmatched = alone.StoreName()
		g.AddStore(op, a, alone)
		g.Connect(b, j.unmatched)
		g.TakeNullKeys(a)
		g.TakeNullKeys(b) // a left join drops and counts them
	}
	g.Connect(a, j.right)
	g.Connect(b, j.left)
	g.Copartition(op, inLeft.Node, inRight.Node)
	return OfEdge(topology.Edge[K, O]{Node: n})
}

// sidePrefix names the node that looks for partners of one side.
func sidePrefix(side string, outer bool) string {
	if outer {
		return "KSTREAM-OUTER" + side
	}
	return "KSTREAM-JOIN" + side
}

// joinInputs are the edges to join, partitioned by their present keys.
func joinInputs[K, L, R any](op topology.Op, left *Stream[K, L], right *Stream[K, R], state JoinState[K, L, R]) (topology.Edge[K, L], topology.Edge[K, R]) {
	viaLeft := NewTopic(state.name+"-left", state.key, state.left).Partitions(state.partitions)
	viaRight := NewTopic(state.name+"-right", state.key, state.right).Partitions(state.partitions)
	inLeft := Partitioned(op, left.edge, []Topic[K, L]{viaLeft})
	if state.oneStore && any(left) == any(right) { // one repartition topic will do
		if same, ok := any(inLeft).(topology.Edge[K, R]); ok {
			return inLeft, same
		}
	}
	return inLeft, Partitioned(op, right.edge, []Topic[K, R]{viaRight})
}

// addKeeper adds the node that keeps the records of one side, each after it has looked for its partners.
func addKeeper[K, V any](g *topology.Graph, op topology.Op, in *topology.Node, store *statestore.JoinWindowSpec[K, V]) *topology.Node {
	return topology.AddProcessor(g, op, g.NextName("KSTREAM-WINDOWED-"), []*topology.Node{in}, func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, V]) topology.Sink[K, V] {
		s := w.Store(store.StoreName()).(statestore.JoinWindowStore[K, V])
		retention, drop, nulls := store.Retention().Milliseconds(), w.Drop(n), nullTime(w, store)
		return func(r *topology.Record[K, V]) error {
			if err := next(r); err != nil || r.KeyNull {
				return err
			}
			if nulls != nil {
				if r.ValueNull {
					*nulls = max(*nulls, r.Timestamp)
				}
				s.Observe(*nulls)
			}
			if r.ValueNull { // nothing to keep
				if nulls != nil && !s.Observe(r.Timestamp) {
					drop(topology.DropLate)
				}
				return nil
			}
			stored, err := s.Put(r.Key, r.Timestamp, r.Value)
			if err == nil && !stored && (store.IsInMemory() || topology.BeyondSegments(r.Timestamp, s.ObservedTime(), retention)) {
				drop(topology.DropLate)
			}
			return err
		}
	})
}

// nullSuffix makes the name of the null time of a store: no store has it in its name.
const nullSuffix = "/null"

// nullTime is the highest time of a record without a value, which is no record of a join, but moves the time of Kafka Streams' stores in memory. It is kept with the
// committed offsets, since no changelog tells of it; nil for a store that goes by its records.
func nullTime[K, V any](w *topology.Wiring, store *statestore.JoinWindowSpec[K, V]) *int64 {
	if !store.IsInMemory() {
		return nil
	}
	return w.Observed(store.StoreName() + nullSuffix)
}

// joinPlan is a join of two streams while the graph is built.
type joinPlan[K, L, R, O any] struct {
	window      JoinWindow
	kind        joinKind
	join        joinFunc[K, L, R, O]
	observed    string // names the join's own time
	left, right string // the stores of both sides
	once        bool   // they are one
	inMemory    bool   // both of them
	unmatched   string // the store of records that are alone so far, empty for inner joins
}

func (j *joinPlan[K, L, R, O]) wireLeft(w *topology.Wiring, n *topology.Node, next topology.Sink[K, O]) topology.Sink[K, L] {
	alone := j.newAlone(w, n, next)
	s := newJoinSide[K, L, R](w, n, next, j.right, j, alone)
	s.before, s.after = j.window.before.Milliseconds(), j.window.after.Milliseconds()
	s.alone, s.join = j.kind != innerJoin, j.join
	if alone != nil {
		alone.own = alone.left
		s.wait, s.otherSide = alone.addLeft, statestore.Right
	}
	return s.process
}

func (j *joinPlan[K, L, R, O]) wireRight(w *topology.Wiring, n *topology.Node, next topology.Sink[K, O]) topology.Sink[K, R] {
	alone := j.newAlone(w, n, next)
	s := newJoinSide[K, R, L](w, n, next, j.left, j, alone)
	s.before, s.after = j.window.after.Milliseconds(), j.window.before.Milliseconds()
	s.alone = j.kind == outerJoin
	s.join = func(ctx context.Context, key K, r R, l L, has Sides) (O, error) {
		if has == LeftOnly { // this side is the right one
			has = RightOnly
		}
		return j.join(ctx, key, l, r, has)
	}
	if alone != nil {
		alone.own = alone.right
		s.wait, s.otherSide = alone.addRight, statestore.Left
	}
	if j.once {
		s.drop = func(topology.DropReason) {} // the left side has counted it
	}
	return s.process
}

// results makes the records that a node of a join gives, for one task.
type results[K, O any] struct {
	out    topology.Record[K, O]
	next   topology.Sink[K, O]
	isNull func(*O) bool // nil: no result is null
	ctx    context.Context
	fail   func(error) error
	at     *int32
	id     int32
}

func newResults[K, O any](w *topology.Wiring, n *topology.Node, next topology.Sink[K, O]) *results[K, O] {
	r := &results[K, O]{next: next, isNull: serde.NullCheck[O](), ctx: w.Context(), fail: w.Failure(n, topology.FaultProcessing)}
	r.at, r.id = w.At(n)
	return r
}

// give passes on what a function returned.
func (r *results[K, O]) give(key K, null bool, value O, err error, timestamp int64, headers []topology.Header) error {
	if err != nil {
		return r.fail(err)
	}
	o := &r.out
	o.Key, o.KeyNull, o.Value, o.Timestamp, o.Headers = key, null, value, timestamp, headers
	o.ValueNull = r.isNull != nil && r.isNull(&o.Value)
	return r.next(o)
}
