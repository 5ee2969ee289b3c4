package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Join joins the rows of two tables that have equal keys: the result has a row as long as both tables have one, and changes with either. Both tables must keep
// rows to look up and be partitioned alike. With a store, the result is kept there; else it is looked up in both tables.
//
// A change that reaches a join on both sides, as in a join of a table with itself or with a table made of it, gives a result for each side. The deletion of a
// row of a table that is joined with itself is told once.
func Join[K, V, W, R any](left *Table[K, V], right *Table[K, W], join func(left V, right W) R, store ...statestore.TableSpec[K, R]) *Table[K, R] {
	op := topology.Here("ktable.Join")
	requireFunc(left.graph(), op, join == nil)
	return joinTables(op, left, right, innerJoin, func(_ context.Context, _ K, v V, w W, _ stream.Sides) (R, error) { return join(v, w), nil }, store)
}

// JoinCtx is [Join] with a function that may fail.
func JoinCtx[K, V, W, R any](left *Table[K, V], right *Table[K, W],
	join func(ctx context.Context, key K, left V, right W) (R, error), store ...statestore.TableSpec[K, R]) *Table[K, R] {
	op := topology.Here("ktable.JoinCtx")
	requireFunc(left.graph(), op, join == nil)
	return joinTables(op, left, right, innerJoin, func(ctx context.Context, k K, v V, w W, _ stream.Sides) (R, error) { return join(ctx, k, v, w) }, store)
}

// LeftJoin is [Join] whose result has a row for every row of the left table: found is false when the right one has none, and right the zero value.
func LeftJoin[K, V, W, R any](left *Table[K, V], right *Table[K, W],
	join func(left V, right W, found bool) R, store ...statestore.TableSpec[K, R]) *Table[K, R] {
	op := topology.Here("ktable.LeftJoin")
	requireFunc(left.graph(), op, join == nil)
	return joinTables(op, left, right, leftJoin, func(_ context.Context, _ K, v V, w W, has stream.Sides) (R, error) {
		return join(v, w, has.Right()), nil
	}, store)
}

// LeftJoinCtx is [LeftJoin] with a function that may fail.
func LeftJoinCtx[K, V, W, R any](left *Table[K, V], right *Table[K, W],
	join func(ctx context.Context, key K, left V, right W, found bool) (R, error), store ...statestore.TableSpec[K, R]) *Table[K, R] {
	op := topology.Here("ktable.LeftJoinCtx")
	requireFunc(left.graph(), op, join == nil)
	return joinTables(op, left, right, leftJoin, func(ctx context.Context, k K, v V, w W, has stream.Sides) (R, error) {
		return join(ctx, k, v, w, has.Right())
	}, store)
}

// OuterJoin is [Join] whose result has a row as long as one of the tables has: the function is told which.
func OuterJoin[K, V, W, R any](left *Table[K, V], right *Table[K, W],
	join func(left V, right W, has stream.Sides) R, store ...statestore.TableSpec[K, R]) *Table[K, R] {
	op := topology.Here("ktable.OuterJoin")
	requireFunc(left.graph(), op, join == nil)
	return joinTables(op, left, right, outerJoin, func(_ context.Context, _ K, v V, w W, has stream.Sides) (R, error) { return join(v, w, has), nil }, store)
}

// OuterJoinCtx is [OuterJoin] with a function that may fail.
func OuterJoinCtx[K, V, W, R any](left *Table[K, V], right *Table[K, W],
	join func(ctx context.Context, key K, left V, right W, has stream.Sides) (R, error), store ...statestore.TableSpec[K, R]) *Table[K, R] {
	op := topology.Here("ktable.OuterJoinCtx")
	requireFunc(left.graph(), op, join == nil)
	return joinTables(op, left, right, outerJoin, join, store)
}

// joinKind says which sides a result must have.
type joinKind int8

const (
	innerJoin joinKind = iota
	leftJoin
	outerJoin
)

// needs reports whether there is no result without a row on the left, and without one on the right.
func (k joinKind) needs() (left, right bool) { return k != outerJoin, k == innerJoin }

// joinFunc makes a result of two rows, of which one may be missing.
type joinFunc[K, V, W, R any] func(ctx context.Context, key K, left V, right W, has stream.Sides) (R, error)

// joinTables adds a join by key: a node below each table, and the result below both.
func joinTables[K, V, W, R any](op topology.Op, left *Table[K, V], right *Table[K, W], kind joinKind, join joinFunc[K, V, W, R],
	store []statestore.TableSpec[K, R]) *Table[K, R] {
	g := left.graph()
	kept := checkOptional(g, op, store)
	old := &oldValues{above: []*oldValues{left.old, right.old}}
	needLeft, needRight := kind.needs()
	self := left.node == right.node && kind == innerJoin
	if !needRight || self {
		left.old.ask() // to tell a row that goes from one that never was
	}
	if !needLeft {
		right.old.ask()
	}
	mergeName := g.NextName("KTABLE-MERGE-")
	a := addJoinSide(op, "KTABLE-JOINTHIS-", left, right, old, joinSide[K, V, W, R]{needThis: needLeft, needOther: needRight, self: self, join: join})
	b := addJoinSide(op, "KTABLE-JOINOTHER-", right, left, old, joinSide[K, W, V, R]{needThis: needRight, needOther: needLeft, join: reversed(join)})
	n := topology.AddProcessor(g, op, mergeName, []*topology.Node{a, b}, func(w *topology.Wiring, n *topology.Node, next rowSink[K, R]) rowSink[K, R] {
		if !kept {
			return next
		}
		s := openRows(w, n, store[0], old, next)
		// What the result was before is known by the sides.
		return func(r *rows[K, R]) error { return s.keep(r.Key, r.Value, r.Timestamp, r.Timestamp, r.Headers) }
	})
	out := &Table[K, R]{node: n, old: old, closes: latestClose(left.closes, right.closes)}
	if right.graph() != g {
		return out // the fault is recorded
	}
	g.Copartition(op, left.node, right.node)
	if kept {
		g.AddStore(op, n, store[0])
		table := keptTable(n, store[0], old)
		table.closes = out.closes
		return table
	}
	out.stores = append(append([]string{}, left.stores...), right.stores...)
	out.lookup = joinLookup(n, left, right, kind, join)
	return out
}

// reversed swaps the sides of a join's function.
func reversed[K, V, W, R any](join joinFunc[K, V, W, R]) joinFunc[K, W, V, R] {
	return func(ctx context.Context, key K, w W, v V, has stream.Sides) (R, error) {
		switch has {
		case stream.LeftOnly:
			has = stream.RightOnly
		case stream.RightOnly:
			has = stream.LeftOnly
		}
		return join(ctx, key, v, w, has)
	}
}

// joinSide is what changes of one table do in a join. Its first five fields are set when the graph is built, the others for one task.
type joinSide[K, A, B, R any] struct {
	needThis, needOther bool // there is no result without a row on this side, on the other side
	self                bool // the other table is the same: a deletion is for this side to tell
	join                joinFunc[K, A, B, R]

	withOld bool
	other   lookup[K, B]
	out     rows[K, R]
	made    R // by the function
	next    rowSink[K, R]
	isNull  func(*R) bool // nil: no result is null
	ctx     context.Context
	fail    func(error) error
	drop    func(topology.DropReason)
	at      *int32
	id      int32
}

func addJoinSide[K, A, B, R any](op topology.Op, prefix string, t *Table[K, A], other *Table[K, B], old *oldValues, side joinSide[K, A, B, R]) *topology.Node {
	g := t.graph()
	n := topology.AddProcessor(g, op, g.NextName(prefix), t.parents(), func(w *topology.Wiring, n *topology.Node, next rowSink[K, R]) rowSink[K, A] {
		j := side
		j.withOld, j.other, j.next = old.asked, other.lookup(w), next
		j.isNull, j.ctx, j.fail, j.drop = serde.NullCheck[R](), w.Context(), w.Failure(n, topology.FaultProcessing), w.Drop(n)
		j.at, j.id = w.At(n)
		return j.process
	})
	if other.lookup == nil {
		g.Fault(op, "the table of %s keeps no rows to look up: give it a store", other.node.Op().Site)
	} else {
		g.Connect(n, other.stores...)
	}
	return n
}

func (j *joinSide[K, A, B, R]) process(r *rows[K, A]) error {
	if r.Value.Late {
		j.drop(topology.DropLate)
		return nil
	}
	row, time, found, err := j.other(r.Key)
	if err != nil {
		return err
	}
	if !found {
		// In a join of a table with itself, a row goes on both sides at once.
		gone := j.self && r.Value.HasOld && !r.Value.HasNew
		if j.needOther && !gone || !r.Value.HasNew && !r.Value.HasOld {
			return nil
		}
		time = r.Timestamp
	}
	c := &j.out.Value
	if c.New, c.HasNew, err = j.result(r.Key, r.Value.New, r.Value.HasNew, row, found); err != nil {
		return err
	}
	if j.withOld {
		if c.Old, c.HasOld, err = j.result(r.Key, r.Value.Old, r.Value.HasOld, row, found); err != nil {
			return err
		}
	}
	j.out.Key, j.out.Timestamp, j.out.Headers = r.Key, max(r.Timestamp, time), r.Headers
	return j.next(&j.out)
}

// result joins a row of this table with the other's, none when one is missing that must be there.
func (j *joinSide[K, A, B, R]) result(key K, this A, has bool, row B, found bool) (none R, ok bool, err error) {
	if !has && (j.needThis || !found) || !found && j.needOther {
		return none, false, nil
	}
	*j.at = j.id
	if j.made, err = j.join(j.ctx, key, this, row, stream.SidesOf(has, found)); err != nil {
		return none, false, j.fail(err)
	}
	if j.isNull != nil && j.isNull(&j.made) {
		return none, false, nil
	}
	return j.made, true, nil
}

// joinLookup reads a row of a join that is kept nowhere.
func joinLookup[K, V, W, R any](n *topology.Node, left *Table[K, V], right *Table[K, W], kind joinKind, join joinFunc[K, V, W, R]) func(*topology.Wiring) lookup[K, R] {
	if left.lookup == nil || right.lookup == nil {
		return nil
	}
	needLeft, needRight := kind.needs()
	return func(w *topology.Wiring) lookup[K, R] {
		inLeft, inRight := left.lookup(w), right.lookup(w)
		j := joinSide[K, V, W, R]{needThis: needLeft, needOther: needRight, join: join,
			isNull: serde.NullCheck[R](), ctx: w.Context(), fail: w.Failure(n, topology.FaultProcessing)}
		j.at, j.id = w.At(n)
		return func(key K) (none R, timestamp int64, ok bool, err error) {
			v, vTime, hasLeft, err := inLeft(key)
			if err != nil || !hasLeft && needLeft {
				return none, 0, false, err
			}
			row, rowTime, hasRight, err := inRight(key)
			if err != nil {
				return none, 0, false, err
			}
			switch {
			case !hasLeft:
				vTime = rowTime
			case !hasRight:
				rowTime = vTime
			}
			r, ok, err := j.result(key, v, hasLeft, row, hasRight)
			return r, max(vTime, rowTime), ok, err
		}
	}
}
