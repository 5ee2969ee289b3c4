package ktable

import (
	"bytes"
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// GroupedRows are the rows of a table gathered by another key, ready to become a table of what they amount to with [CountRows], [ReduceRows] or [AggregateRows]. A row
// that changes leaves the group that it was in and enters the one that it is in now.
type GroupedRows[K, V any] struct {
	in topology.Edge[K, topology.Change[V]]
}

// GroupBy groups rows by the key that f returns, with the value that f returns. A row for which either is null is in no group. Changes travel through the repartition
// topic via, of which the application owns <app>-<name>-repartition, in Kafka Streams' format. The table must keep its rows: what a row was before tells which group it
// leaves.
func GroupBy[K, V, K2, V2 any](t *Table[K, V], f func(key K, row V) (K2, V2), via stream.Topic[K2, V2]) *GroupedRows[K2, V2] {
	op := topology.Here("ktable.GroupBy")
	requireFunc(t.graph(), op, f == nil)
	return groupRows(op, t, func(_ context.Context, k K, v V) (K2, V2, error) {
		k2, v2 := f(k, v)
		return k2, v2, nil
	}, via)
}

// GroupByCtx is [GroupBy] with a function that may fail.
func GroupByCtx[K, V, K2, V2 any](t *Table[K, V], f func(ctx context.Context, key K, row V) (K2, V2, error), via stream.Topic[K2, V2]) *GroupedRows[K2, V2] {
	op := topology.Here("ktable.GroupByCtx")
	requireFunc(t.graph(), op, f == nil)
	return groupRows(op, t, f, via)
}

func groupRows[K, V, K2, V2 any](op topology.Op, t *Table[K, V], f func(ctx context.Context, key K, row V) (K2, V2, error),
	via stream.Topic[K2, V2]) *GroupedRows[K2, V2] {
	g := t.graph()
	if !t.old.ask() {
		g.Fault(op, "the table of %s keeps no rows, so that nothing tells which group a row leaves: give it a store", t.node.Op().Site)
	}
	n := topology.AddProcessor(g, op, g.NextName("KTABLE-SELECT-"), t.parents(), func(w *topology.Wiring, n *topology.Node, next rowSink[K2, V2]) rowSink[K, V] {
		s := &rowSelector[K, V, K2, V2]{f: f, keys: via.KeySerde(), next: next, ctx: w.Context(), fail: w.Failure(n, topology.FaultProcessing),
			failKey: w.Failure(n, topology.FaultProduction), keyNull: serde.NullCheck[K2](), valueNull: serde.NullCheck[V2]()}
		s.at, s.id = w.At(n)
		return s.process
	})
	in := topology.Edge[K2, topology.Change[V2]]{Node: n, KeyChanged: true, Changed: op}
	// A serde that is missing is reported by the topic's check.
	var changes serde.Serde[topology.Change[V2]]
	if via.ValueSerde() != nil {
		changes = changeSerde[V2]{via.ValueSerde()}
	}
	return &GroupedRows[K2, V2]{in: stream.Through(op, in, stream.Retyped(via, changes))}
}

// rowSelector finds the groups of rows, for one task.
type rowSelector[K, V, K2, V2 any] struct {
	f         func(ctx context.Context, key K, row V) (K2, V2, error)
	keys      serde.Serde[K2]
	keyNull   func(*K2) bool // nil: no key of this type is null
	valueNull func(*V2) bool
	was, is   grouping[K2, V2]
	out       rows[K2, V2]
	next      rowSink[K2, V2]
	ctx       context.Context
	fail      func(error) error
	failKey   func(error) error
	at        *int32
	id        int32
}

// grouping is what the selector makes of a row.
type grouping[K, V any] struct {
	key     K
	value   V
	some    bool   // the row is in a group
	encoded []byte // scratch: the key
}

func (s *rowSelector[K, V, K2, V2]) process(r *rows[K, V]) error {
	if r.Value.Late {
		return nil // groups go by the latest rows
	}
	if err := s.group(&s.was, r.Key, r.Value.Old, r.Value.HasOld); err != nil {
		return err
	}
	if err := s.group(&s.is, r.Key, r.Value.New, r.Value.HasNew); err != nil {
		return err
	}
	s.out.Timestamp, s.out.Headers = r.Timestamp, r.Headers
	if s.was.some && s.is.some {
		same, err := s.same()
		if err != nil {
			return err
		}
		if same {
			s.out.Key = s.is.key
			s.out.Value = topology.Change[V2]{New: s.is.value, HasNew: true, Old: s.was.value, HasOld: true}
			return s.next(&s.out)
		}
	}
	// The group that loses the row comes first, so that a row never counts twice.
	if s.was.some {
		s.out.Key, s.out.Value = s.was.key, topology.Change[V2]{Old: s.was.value, HasOld: true}
		if err := s.next(&s.out); err != nil {
			return err
		}
	}
	if s.is.some {
		s.out.Key, s.out.Value = s.is.key, topology.Change[V2]{New: s.is.value, HasNew: true}
		return s.next(&s.out)
	}
	return nil
}

// group finds the group of a row.
func (s *rowSelector[K, V, K2, V2]) group(g *grouping[K2, V2], key K, row V, has bool) (err error) {
	if g.some = has; !has {
		return nil
	}
	*s.at = s.id
	if g.key, g.value, err = s.f(s.ctx, key, row); err != nil {
		return s.fail(err)
	}
	g.some = !(s.keyNull != nil && s.keyNull(&g.key) || s.valueNull != nil && s.valueNull(&g.value))
	return nil
}

// same reports whether a row stays in its group: keys are equal when their bytes are.
func (s *rowSelector[K, V, K2, V2]) same() (bool, error) {
	for _, g := range [...]*grouping[K2, V2]{&s.was, &s.is} {
		b, err := s.keys.Append(g.encoded[:0], g.key)
		if err != nil {
			return false, s.failKey(err)
		}
		g.encoded = b
	}
	return bytes.Equal(s.was.encoded, s.is.encoded), nil
}
