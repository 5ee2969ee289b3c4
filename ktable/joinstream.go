package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// JoinStream enriches each record of a stream with the row that the table has for its key at that moment; a record without a row goes no further. The result
// has the record's time. Stream and table must be partitioned alike; where an operator above may have changed the stream's keys, a repartition topic must be
// given. Records with a null key or value are dropped and counted.
func JoinStream[K, V, W, R any](s *stream.Stream[K, V], t *Table[K, W], join func(value V, row W) R, via ...stream.Topic[K, V]) *stream.Stream[K, R] {
	op := topology.Here("ktable.JoinStream")
	requireFunc(t.graph(), op, join == nil)
	return joinStream(op, s, t, false, func(_ context.Context, _ K, v V, w W, _ bool) (R, error) { return join(v, w), nil }, via)
}

// JoinStreamCtx is [JoinStream] with a function that may fail.
func JoinStreamCtx[K, V, W, R any](s *stream.Stream[K, V], t *Table[K, W],
	join func(ctx context.Context, key K, value V, row W) (R, error), via ...stream.Topic[K, V]) *stream.Stream[K, R] {
	op := topology.Here("ktable.JoinStreamCtx")
	requireFunc(t.graph(), op, join == nil)
	return joinStream(op, s, t, false, func(ctx context.Context, k K, v V, w W, _ bool) (R, error) { return join(ctx, k, v, w) }, via)
}

// LeftJoinStream is [JoinStream] that also passes on records without a row: found is false then, and row the zero value. A record with a null key has no row.
func LeftJoinStream[K, V, W, R any](s *stream.Stream[K, V], t *Table[K, W],
	join func(value V, row W, found bool) R, via ...stream.Topic[K, V]) *stream.Stream[K, R] {
	op := topology.Here("ktable.LeftJoinStream")
	requireFunc(t.graph(), op, join == nil)
	return joinStream(op, s, t, true, func(_ context.Context, _ K, v V, w W, ok bool) (R, error) { return join(v, w, ok), nil }, via)
}

// LeftJoinStreamCtx is [LeftJoinStream] with a function that may fail.
func LeftJoinStreamCtx[K, V, W, R any](s *stream.Stream[K, V], t *Table[K, W],
	join func(ctx context.Context, key K, value V, row W, found bool) (R, error), via ...stream.Topic[K, V]) *stream.Stream[K, R] {
	op := topology.Here("ktable.LeftJoinStreamCtx")
	requireFunc(t.graph(), op, join == nil)
	return joinStream(op, s, t, true, join, via)
}

func joinStream[K, V, W, R any](op topology.Op, s *stream.Stream[K, V], t *Table[K, W], left bool,
	join func(context.Context, K, V, W, bool) (R, error), via []stream.Topic[K, V]) *stream.Stream[K, R] {
	in := stream.Partitioned(op, s.Edge(), via)
	g := in.Node.Graph()
	prefix := "KSTREAM-JOIN-"
	if left {
		prefix = "KSTREAM-LEFTJOIN-"
	}
	n := topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, R]) topology.Sink[K, V] {
		return newTableJoin(w, n, t, left, join, next).process
	})
	if left {
		g.TakeNullKeys(n)
	}
	if t.lookup == nil {
		g.Fault(op, "the table of %s keeps no rows to look up: give it a store", t.node.Op().Site)
	}
	if t.graph() != g {
		g.Fault(op, "takes a table of another Builder")
	} else {
		g.Connect(n, t.stores...)
		g.Copartition(op, in.Node, t.node)
	}
	return stream.OfEdge(topology.Edge[K, R]{Node: n})
}

// rowsAsOf reads a row for a record of the given time: as of that time when the table is versioned, else as it is.
func (t *Table[K, V]) rowsAsOf(w *topology.Wiring) asOf[K, V] {
	if t.asOf != nil {
		return t.asOf(w)
	}
	row := t.lookup(w)
	return func(key K, _ int64) (V, int64, bool, error) { return row(key) }
}

// rowJoin is a join of a stream with the rows of a table or a global table, at work in one task.
type rowJoin[K, V, W, R any] struct {
	left bool
	join func(ctx context.Context, key K, value V, row W, found bool) (R, error)
	// find reads the row of a record; null says that its key is.
	find   func(r *topology.Record[K, V]) (row W, found, null bool, err error)
	out    topology.Record[K, R]
	next   topology.Sink[K, R]
	isNull func(*R) bool // nil: no result is null
	ctx    context.Context
	fail   func(error) error
	drop   func(topology.DropReason)
	at     *int32
	id     int32
}

// newRowJoin returns a join that lacks find.
func newRowJoin[K, V, W, R any](w *topology.Wiring, n *topology.Node, left bool, join func(context.Context, K, V, W, bool) (R, error),
	next topology.Sink[K, R]) *rowJoin[K, V, W, R] {
	j := &rowJoin[K, V, W, R]{left: left, join: join, next: next, isNull: serde.NullCheck[R](), ctx: w.Context(), fail: w.Failure(n, topology.FaultProcessing), drop: w.Drop(n)}
	j.at, j.id = w.At(n)
	return j
}

// newTableJoin returns a join with the rows of a table.
func newTableJoin[K, V, W, R any](w *topology.Wiring, n *topology.Node, t *Table[K, W], left bool, join func(context.Context, K, V, W, bool) (R, error),
	next topology.Sink[K, R]) *rowJoin[K, V, W, R] {
	lookup := t.rowsAsOf(w)
	j := newRowJoin(w, n, left, join, next)
	j.find = func(r *topology.Record[K, V]) (row W, found, null bool, err error) {
		if r.KeyNull {
			return row, false, true, nil
		}
		row, _, found, err = lookup(r.Key, r.Timestamp)
		return row, found, false, err
	}
	return j
}

func (j *rowJoin[K, V, W, R]) process(r *topology.Record[K, V]) error {
	*j.at = j.id
	if r.ValueNull {
		j.drop(topology.DropNullValue)
		return nil
	}
	row, found, null, err := j.find(r)
	if err != nil {
		return err
	}
	if null && !j.left {
		j.drop(topology.DropNullKey)
		return nil
	}
	if !found && !j.left {
		return nil
	}
	*j.at = j.id // functions above a row may have run to find it
	o := &j.out
	if o.Value, err = j.join(j.ctx, r.Key, r.Value, row, found); err != nil {
		return j.fail(err)
	}
	o.ValueNull = j.isNull != nil && j.isNull(&o.Value)
	o.Key, o.KeyNull, o.Timestamp, o.Headers = r.Key, r.KeyNull, r.Timestamp, r.Headers
	return j.next(o)
}
