package ktable

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// Wait lets the records of a stream wait for changes of a table that come late. Its handle names where they wait.
type Wait[K, V any] struct {
	grace  time.Duration
	buffer *statestore.GraceBufferSpec[K, V]
}

// WaitIn makes records wait in a buffer until the highest time of the stream is later than theirs by grace or more. A record that is later than that already does
// not wait.
func WaitIn[K, V any](buffer *statestore.GraceBufferSpec[K, V], grace time.Duration) Wait[K, V] {
	return Wait[K, V]{grace: grace, buffer: buffer}
}

// JoinStreamLate is [JoinStream] with a versioned table, whose late changes the records wait for: see [WaitIn]. The table's history must reach back as far as
// the grace. Records leave in the order of their times, each with its own time and headers.
func JoinStreamLate[K, V, W, R any](s *stream.Stream[K, V], t *Table[K, W], join func(value V, row W) R, wait Wait[K, V],
	via ...stream.Topic[K, V]) *stream.Stream[K, R] {
	op := topology.Here("ktable.JoinStreamLate")
	requireFunc(t.graph(), op, join == nil)
	return joinStreamLate(op, s, t, false, func(_ context.Context, _ K, v V, w W, _ bool) (R, error) { return join(v, w), nil }, wait, via)
}

// JoinStreamLateCtx is [JoinStreamLate] with a function that may fail.
func JoinStreamLateCtx[K, V, W, R any](s *stream.Stream[K, V], t *Table[K, W], join func(ctx context.Context, key K, value V, row W) (R, error),
	wait Wait[K, V], via ...stream.Topic[K, V]) *stream.Stream[K, R] {
	op := topology.Here("ktable.JoinStreamLateCtx")
	requireFunc(t.graph(), op, join == nil)
	return joinStreamLate(op, s, t, false, func(ctx context.Context, k K, v V, w W, _ bool) (R, error) { return join(ctx, k, v, w) }, wait, via)
}

// LeftJoinStreamLate is [JoinStreamLate] that also passes on records without a row, as [LeftJoinStream] does. A record with a null key does not wait, nor does it let
// others go.
func LeftJoinStreamLate[K, V, W, R any](s *stream.Stream[K, V], t *Table[K, W], join func(value V, row W, found bool) R, wait Wait[K, V],
	via ...stream.Topic[K, V]) *stream.Stream[K, R] {
	op := topology.Here("ktable.LeftJoinStreamLate")
	requireFunc(t.graph(), op, join == nil)
	return joinStreamLate(op, s, t, true, func(_ context.Context, _ K, v V, w W, ok bool) (R, error) { return join(v, w, ok), nil }, wait, via)
}

// LeftJoinStreamLateCtx is [LeftJoinStreamLate] with a function that may fail.
func LeftJoinStreamLateCtx[K, V, W, R any](s *stream.Stream[K, V], t *Table[K, W],
	join func(ctx context.Context, key K, value V, row W, found bool) (R, error), wait Wait[K, V], via ...stream.Topic[K, V]) *stream.Stream[K, R] {
	op := topology.Here("ktable.LeftJoinStreamLateCtx")
	requireFunc(t.graph(), op, join == nil)
	return joinStreamLate(op, s, t, true, join, wait, via)
}

func joinStreamLate[K, V, W, R any](op topology.Op, s *stream.Stream[K, V], t *Table[K, W], left bool,
	join func(context.Context, K, V, W, bool) (R, error), wait Wait[K, V], via []stream.Topic[K, V]) *stream.Stream[K, R] {
	in := stream.Partitioned(op, s.Edge(), via)
	g := in.Node.Graph()
	if !checkWait(g, op, t, wait) {
		return stream.OfEdge(topology.Edge[K, R]{Node: in.Node})
	}
	prefix := "KSTREAM-JOIN-"
	if left {
		prefix = "KSTREAM-LEFTJOIN-"
	}
	name := wait.buffer.StoreName()
	n := topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, R]) topology.Sink[K, V] {
		j := &lateJoin[K, V, W, R]{buffer: w.Store(name).(statestore.GraceBufferStore[K, V]), grace: wait.grace.Milliseconds(), observed: w.Observed(name), origin: w.Origin(),
			join: newTableJoin(w, n, t, left, join, next)}
		w.OnIdle(n, j.pass)
		return j.process
	})
	if left {
		g.TakeNullKeys(n)
	}
	g.AddStore(op, n, wait.buffer)
	g.Connect(n, t.stores...)
	g.Copartition(op, in.Node, t.node)
	return stream.OfEdge(topology.Edge[K, R]{Node: n})
}

// checkWait reports what would make it useless to go on.
func checkWait[K, V, W any](g *topology.Graph, op topology.Op, t *Table[K, W], wait Wait[K, V]) bool {
	switch {
	case t.graph() != g:
		g.Fault(op, "takes a table of another Builder")
	case wait.buffer == nil:
		g.Fault(op, "the buffer is nil")
	case t.asOf == nil:
		g.Fault(op, "the table of %s is not versioned, so that there is nothing to wait for", t.node.Op().Site)
	case wait.grace < 0:
		g.Fault(op, "a grace of %v: it must not be negative", wait.grace)
	case wait.grace%time.Millisecond != 0:
		g.Fault(op, "%v is no whole number of milliseconds, which is what records' times are counted in", wait.grace)
	case wait.grace > t.history:
		g.Fault(op, "a grace of %v is longer than the table's history, %v", wait.grace, t.history)
	default:
		checkSerdes(g, op, wait.buffer.StoreName(), wait.buffer.KeySerde(), wait.buffer.ValueSerde())
		return true
	}
	return false
}

// lateJoin is a join whose records wait, at work in one task. Times are in milliseconds.
type lateJoin[K, V, W, R any] struct {
	join     *rowJoin[K, V, W, R]
	buffer   statestore.GraceBufferStore[K, V]
	grace    int64
	observed *int64 // the highest time of the stream; kept with the committed offsets
	from     statestore.RecordContext
	origin   *topology.Origin
	out      topology.Record[K, V] // one that has waited
}

func (j *lateJoin[K, V, W, R]) process(r *topology.Record[K, V]) error {
	if r.ValueNull || r.KeyNull {
		return j.join.process(r) // drops it or joins it with nothing: what does not wait does not move time
	}
	*j.observed = max(*j.observed, r.Timestamp)
	until := *j.observed - j.grace
	if r.Timestamp < until {
		return j.join.process(r)
	}
	j.from.Timestamp, j.from.Headers = r.Timestamp, r.Headers
	if m, ok := topology.MetaOf(j.join.ctx); ok {
		j.from.Topic, j.from.Partition, j.from.Offset = m.Topic, m.Partition, m.Offset
	}
	if err := j.buffer.Add(r.Key, r.Value, &j.from); err != nil {
		return err
	}
	_, err := j.release(until, r.Timestamp)
	return err
}

// pass moves the operator's time on in a silence.
func (j *lateJoin[K, V, W, R]) pass(now int64) (some bool, err error) {
	*j.observed = max(*j.observed, now)
	return j.release(*j.observed-j.grace, now)
}

// release joins the records that have waited until their time.
func (j *lateJoin[K, V, W, R]) release(until, now int64) (some bool, err error) {
	for {
		e, ok, err := j.buffer.Pop(until, now)
		if err != nil || !ok {
			return some, err
		}
		some = true
		j.out = topology.Record[K, V]{Key: e.Key, Value: e.Value, Timestamp: e.Context.Timestamp, Headers: e.Context.Headers}
		was := j.origin.Enter(&e.Context)
		if err := j.join.process(&j.out); err != nil {
			return some, err
		}
		j.origin.Leave(was)
	}
}
