package ktable

import (
	"reflect"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// From reads a topic as a table: the latest value of each key is its row, and a null value deletes it. Rows are kept in the store. What counts is the order
// in the topic, not the records' times.
//
// The store may be nil for a table that is only filtered, mapped and made a stream again: then nothing is kept, and nothing can look its rows up.
func From[K, V any](b *stream.Builder, topic stream.Topic[K, V], store *statestore.KeyValueSpec[K, V], opts ...stream.SourceOption) *Table[K, V] {
	op, g := topology.Here("ktable.From"), b.Graph()
	source := stream.AddSource(b, op, []stream.Topic[K, V]{topic}, true, opts...)
	t := latest(g, op, "KTABLE-SOURCE-", source, store)
	if stream.ReusedSource(b, op, topic, opts...) {
		reuse(g, op, topic, store)
	}
	return t
}

// reuse makes a table's topic the changelog of its store.
func reuse[K, V any](g *topology.Graph, op topology.Op, topic stream.Topic[K, V], store *statestore.KeyValueSpec[K, V]) {
	if store == nil {
		g.Fault(op, "topic %q is to be a changelog, but the table has no store", topic.Name())
		return
	}
	if !sameSerde(topic.KeySerde(), store.KeySerde()) || !sameSerde(topic.ValueSerde(), store.ValueSerde()) {
		g.Fault(op, "topic %q is to be the changelog of store %q, but is encoded with other serdes", topic.Name(), store.StoreName())
	}
	topology.ReuseSource(g, op, store, topology.TopicRef{Name: topic.Name()}, topology.Serdes[K, V]{Key: topic.KeySerde(), Value: topic.ValueSerde()})
}

// sameSerde tells whether two serdes are one. Those that cannot be compared are taken for different ones.
func sameSerde[T any](a, b serde.Serde[T]) bool {
	return a != nil && b != nil && reflect.TypeOf(a).Comparable() && a == b
}

// ToTable makes a stream a table: the latest value of each key is its row, and a null value deletes it. Rows are kept in the store, which may be nil as for
// [From]. Where an operator above may have changed the stream's keys, a repartition topic must be given.
func ToTable[K, V any](s *stream.Stream[K, V], store *statestore.KeyValueSpec[K, V], via ...stream.Topic[K, V]) *Table[K, V] {
	op := topology.Here("ktable.ToTable")
	in := stream.Partitioned(op, s.Edge(), via)
	g := in.Node.Graph()
	t := latest(g, op, "KSTREAM-TOTABLE-", in.Node, store)
	g.Copartition(op, t.node)
	return t
}

// latest adds the node that makes the latest value of each key its row.
func latest[K, V any](g *topology.Graph, op topology.Op, prefix string, in *topology.Node, store *statestore.KeyValueSpec[K, V]) *Table[K, V] {
	if store == nil {
		return &Table[K, V]{node: addChanges[K, V](g, op, prefix, in), old: &oldValues{never: true}}
	}
	checkRows(g, op, store)
	name, old := store.StoreName(), &oldValues{}
	n := topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in}, func(w *topology.Wiring, n *topology.Node, next rowSink[K, V]) topology.Sink[K, V] {
		s := w.Store(name).(statestore.KeyValueStore[K, V])
		f := keyValueForwarder(w, n, s, old, next)
		drop := w.Drop(n)
		at, id := w.At(n)
		return func(r *topology.Record[K, V]) error {
			*at = id
			if r.KeyNull {
				drop(topology.DropNullKey)
				return nil
			}
			c := topology.Change[V]{New: r.Value, HasNew: !r.ValueNull}
			return replace(s, f, r.Key, c, r.Timestamp, r.Headers)
		}
	})
	g.AddStore(op, n, store)
	return &Table[K, V]{node: n, stores: []string{name}, lookup: keyValueLookup[K, V](name), old: old}
}

// addChanges adds the node that turns records into changes of a table that keeps nothing.
func addChanges[K, V any](g *topology.Graph, op topology.Op, prefix string, in *topology.Node) *topology.Node {
	return topology.AddProcessor(g, op, g.NextName(prefix), []*topology.Node{in}, func(w *topology.Wiring, n *topology.Node, next rowSink[K, V]) topology.Sink[K, V] {
		var out rows[K, V]
		drop := w.Drop(n)
		return func(r *topology.Record[K, V]) error {
			if r.KeyNull {
				drop(topology.DropNullKey)
				return nil
			}
			out.Key, out.Timestamp, out.Headers = r.Key, r.Timestamp, r.Headers
			out.Value.New, out.Value.HasNew = r.Value, !r.ValueNull
			return next(&out)
		}
	})
}

// replace makes a change's new value the row of its key and hands the change on. The old value is read from the store when it was asked for.
func replace[K, V any](s statestore.KeyValueStore[K, V], f *forwarder[K, V], key K, c topology.Change[V], timestamp int64, headers []topology.Header) (err error) {
	if f.withOld && !f.held {
		if c.Old, c.HasOld, err = s.Get(key); err != nil {
			return err
		}
	}
	if c.HasNew {
		err = s.Put(key, c.New, timestamp)
	} else {
		err = s.Delete(key, timestamp)
	}
	if err != nil {
		return err
	}
	return f.forward(key, c, timestamp, headers)
}
