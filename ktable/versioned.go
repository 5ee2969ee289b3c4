package ktable

import (
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// FromVersioned is [From] for a table that knows its past: each row is valid from the time of its record on, and what a row was at a time can be looked up as far
// back as the store's history reaches. What counts is the records' times, not their order in the topic: a record that is older than the row's changes its
// past alone, and one that is older than the history is dropped and counted.
//
// A stream that is joined with the table, or with one that is filtered or mapped from it without a store of its own, finds the row of its record's time.
// Joins of tables, and tables grouped from it, go by the latest rows: changes of the past are nothing to them, which joins count as drops.
func FromVersioned[K, V any](b *stream.Builder, topic stream.Topic[K, V], store *statestore.VersionedSpec[K, V], opts ...stream.SourceOption) *Table[K, V] {
	op, g := topology.Here("ktable.FromVersioned"), b.Graph()
	source := stream.AddSource(b, op, []stream.Topic[K, V]{topic}, true, opts...)
	if store == nil {
		g.Fault(op, "the store is nil")
		return &Table[K, V]{node: source, old: &oldValues{}}
	}
	return versionedRows(g, op, "KTABLE-SOURCE-", source, store)
}

// ToTableVersioned is [ToTable] for a table that knows its past, see [FromVersioned].
func ToTableVersioned[K, V any](s *stream.Stream[K, V], store *statestore.VersionedSpec[K, V], via ...stream.Topic[K, V]) *Table[K, V] {
	op := topology.Here("ktable.ToTableVersioned")
	in := stream.Partitioned(op, s.Edge(), via)
	g := in.Node.Graph()
	if store == nil {
		g.Fault(op, "the store is nil")
		return &Table[K, V]{node: in.Node, old: &oldValues{}}
	}
	t := versionedRows(g, op, "KSTREAM-TOTABLE-", in.Node, store)
	g.Copartition(op, t.node)
	return t
}

// versionedRows adds the node that makes the records of each key its row at their times.
func versionedRows[K, V any](g *topology.Graph, op topology.Op, prefix string, in *topology.Node, store *statestore.VersionedSpec[K, V]) *Table[K, V] {
	checkSerdes(g, op, store.StoreName(), store.KeySerde(), store.ValueSerde())
	old := &oldValues{}
	n := topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in}, func(w *topology.Wiring, n *topology.Node, next rowSink[K, V]) topology.Sink[K, V] {
		v := &versions[K, V]{store: openRows(w, n, store, old, next), drop: w.Drop(n)}
		return v.process
	})
	g.AddStore(op, n, store)
	return versionedTable(n, store, old)
}

// versionedTable is the table behind a node that owns a versioned store.
func versionedTable[K, V any](n *topology.Node, store *statestore.VersionedSpec[K, V], old *oldValues) *Table[K, V] {
	name := store.StoreName()
	return &Table[K, V]{node: n, stores: []string{name}, old: old, history: store.History(),
		lookup: func(w *topology.Wiring) lookup[K, V] { return w.Store(name).(statestore.VersionedStore[K, V]).Get },
		asOf:   func(w *topology.Wiring) asOf[K, V] { return w.Store(name).(statestore.VersionedStore[K, V]).GetAsOf }}
}

// versions is a versioned table at work in one task.
type versions[K, V any] struct {
	store rowStore[K, V]
	drop  func(topology.DropReason)
}

func (v *versions[K, V]) process(r *topology.Record[K, V]) (err error) {
	if r.KeyNull {
		v.drop(topology.DropNullKey)
		return nil
	}
	c := topology.Change[V]{New: r.Value, HasNew: !r.ValueNull}
	if v.store.readsOld() {
		if c.Old, _, c.HasOld, err = v.store.get(r.Key); err != nil {
			return err
		}
	}
	return v.store.keep(r.Key, c, r.Timestamp, r.Timestamp, r.Headers)
}
