package ktable

import (
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// rowStore is the store of a table at work in one task, of either kind, with what hands the changes of its rows on.
type rowStore[K, V any] interface {
	// get reads the latest row of a key.
	get(key K) (row V, timestamp int64, ok bool, err error)
	// readsOld says that a change is to be handed on with what the key had before.
	readsOld() bool
	// keep makes a change's new value the row of its key from a time on, and hands the change on with the old value that it brings, if one was asked for. recorded is
	// the time of the record that made the change, which may be before.
	keep(key K, c topology.Change[V], timestamp, recorded int64, headers []topology.Header) error
}

// openRows is the store of the table behind a node, for one task.
func openRows[K, V any](w *topology.Wiring, n *topology.Node, store statestore.TableSpec[K, V], old *oldValues, next rowSink[K, V]) rowStore[K, V] {
	s := w.Store(store.StoreName())
	if _, ok := store.(*statestore.VersionedSpec[K, V]); ok {
		return &versionedRowStore[K, V]{store: s.(statestore.VersionedStore[K, V]), withOld: old.asked, next: next, drop: w.Drop(n)}
	}
	kv := s.(statestore.KeyValueStore[K, V])
	return &latestRowStore[K, V]{store: kv, forward: keyValueForwarder(w, n, kv, old, next)}
}

// keptTable is the table behind a node that owns a store of either kind.
func keptTable[K, V any](n *topology.Node, store statestore.TableSpec[K, V], old *oldValues) *Table[K, V] {
	if versioned, ok := store.(*statestore.VersionedSpec[K, V]); ok {
		return versionedTable(n, versioned, old)
	}
	name := store.StoreName()
	return &Table[K, V]{node: n, stores: []string{name}, lookup: keyValueLookup[K, V](name), old: old}
}

// given tells whether a handle is one: a nil pointer of either type is not.
func given[K, V any](store statestore.TableSpec[K, V]) bool {
	switch s := store.(type) {
	case *statestore.KeyValueSpec[K, V]:
		return s != nil
	case *statestore.VersionedSpec[K, V]:
		return s != nil
	}
	return false
}

// checkRows reports what is wrong with the handle of a table's store, and whether there is one at all.
func checkRows[K, V any](g *topology.Graph, op topology.Op, store statestore.TableSpec[K, V]) bool {
	if !given(store) {
		g.Fault(op, "the store is nil")
		return false
	}
	checkSerdes(g, op, store.StoreName(), store.KeySerde(), store.ValueSerde())
	return true
}

// checkOptional is checkRows for a store that need not be there.
func checkOptional[K, V any](g *topology.Graph, op topology.Op, store []statestore.TableSpec[K, V]) bool {
	if len(store) > 1 {
		g.Fault(op, "takes one store, not %d", len(store))
	}
	return len(store) > 0 && checkRows(g, op, store[0])
}

// latestRowStore keeps the latest row of each key, whatever the times.
type latestRowStore[K, V any] struct {
	store   statestore.KeyValueStore[K, V]
	forward *forwarder[K, V]
}

func (s *latestRowStore[K, V]) get(key K) (row V, timestamp int64, ok bool, err error) {
	return s.store.GetWithTime(key)
}

func (s *latestRowStore[K, V]) readsOld() bool { return s.forward.withOld && !s.forward.held }

func (s *latestRowStore[K, V]) keep(key K, c topology.Change[V], timestamp, recorded int64, headers []topology.Header) (err error) {
	if c.HasNew {
		err = s.store.Put(key, c.New, timestamp)
	} else {
		err = s.store.Delete(key, recorded)
	}
	if err != nil {
		return err
	}
	return s.forward.forward(key, c, timestamp, headers)
}

// versionedRowStore keeps what the row of each key was at which time. A change that is older than the history is dropped; one of a row's past is handed on as late.
type versionedRowStore[K, V any] struct {
	store   statestore.VersionedStore[K, V]
	withOld bool
	out     rows[K, V]
	next    rowSink[K, V]
	drop    func(topology.DropReason)
}

func (s *versionedRowStore[K, V]) get(key K) (row V, timestamp int64, ok bool, err error) {
	return s.store.Get(key)
}

func (s *versionedRowStore[K, V]) readsOld() bool { return s.withOld }

func (s *versionedRowStore[K, V]) keep(key K, c topology.Change[V], timestamp, _ int64, headers []topology.Header) (err error) {
	var validTo int64
	if c.HasNew {
		validTo, err = s.store.Put(key, c.New, timestamp)
	} else {
		validTo, err = s.store.Delete(key, timestamp)
	}
	switch {
	case err != nil:
		return err
	case validTo == statestore.NotPut:
		s.drop(topology.DropLate)
		return nil
	}
	c.Late = validTo != statestore.StillValid
	if !s.withOld {
		var none V
		c.Old, c.HasOld = none, false
	}
	s.out.Key, s.out.Value, s.out.Timestamp, s.out.Headers = key, c, timestamp, headers
	return s.next(&s.out)
}
