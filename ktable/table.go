package ktable

import (
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Table is a table with keys of type K and rows of type V. Operators are functions that take it and return another table or a stream. A Table is part of its
// Builder.
type Table[K, V any] struct {
	node *topology.Node // whose output are the table's changes
	// stores are what lookup reads: an operator that looks rows up must be connected to them.
	stores []string
	// lookup makes, for one task, the function that reads a row; nil when no row is kept anywhere.
	lookup func(w *topology.Wiring) lookup[K, V]
	// asOf makes, for one task, the function that reads what a row was at a time; nil when the table is not versioned.
	asOf func(w *topology.Wiring) asOf[K, V]
	// history is how far back asOf can look.
	history time.Duration
	// old is what operators below have asked for.
	old *oldValues
	// closes says when the windows in the keys close; nil when the keys have none.
	closes *closes
}

// asOf reads what a row was at a time, and since when.
type asOf[K, V any] func(key K, at int64) (row V, timestamp int64, ok bool, err error)

// lookup reads a row with its time.
type lookup[K, V any] func(key K) (row V, timestamp int64, ok bool, err error)

// oldValues says whether a table's changes carry what the key had before: only when an operator below asks, since it may cost a read.
type oldValues struct {
	asked bool
	above []*oldValues // of the tables that the old values come from, none when it is this one's store
	never bool         // nothing is kept that could tell
}

// ask makes changes carry old values and reports whether they can.
func (o *oldValues) ask() bool {
	if !o.asked && !o.never {
		o.asked = true
		for _, above := range o.above {
			o.asked = above.ask() && o.asked
		}
	}
	return o.asked
}

// rows are the change records of a table.
type rows[K, V any] = topology.Record[K, topology.Change[V]]

// rowSink takes the change records of a table.
type rowSink[K, V any] = topology.Sink[K, topology.Change[V]]

func (t *Table[K, V]) graph() *topology.Graph { return t.node.Graph() }

func (t *Table[K, V]) parents() []*topology.Node { return []*topology.Node{t.node} }

// keyValueLookup reads rows from a key-value store.
func keyValueLookup[K, V any](store string) func(*topology.Wiring) lookup[K, V] {
	return func(w *topology.Wiring) lookup[K, V] {
		return w.Store(store).(statestore.KeyValueStore[K, V]).GetWithTime
	}
}

// windowLookup reads rows from a window store.
func windowLookup[K, V any](store string) func(*topology.Wiring) lookup[stream.Windowed[K], V] {
	return func(w *topology.Wiring) lookup[stream.Windowed[K], V] {
		s := w.Store(store).(statestore.WindowStore[K, V])
		return func(key stream.Windowed[K]) (V, int64, bool, error) { return s.FetchWithTime(key.Key, key.Start) }
	}
}

// checkSerdes reports the serdes that a store lacks.
func checkSerdes[K, V any](g *topology.Graph, op topology.Op, store string, key serde.Serde[K], value serde.Serde[V]) {
	if key == nil {
		g.Fault(op, "store %q has no serde for its keys", store)
	}
	if value == nil {
		g.Fault(op, "store %q has no serde for its values", store)
	}
}

// requireFunc reports a function that is missing.
func requireFunc(g *topology.Graph, op topology.Op, missing bool) {
	if missing {
		g.Fault(op, "the function is nil")
	}
}
