package stream

import (
	"math"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream/serde"
)

// Dedup passes on one record of each id: a record goes no further when one with the same id, and a time not more than within away, was passed on before. The ids that
// were passed on are kept in the store, by the record's time. A record more than within older than the latest of them cannot be told from a copy of a forgotten one: it
// is dropped and counted as late; copies are not counted. Records whose id is null, or whose value is null when V has no null of its own, are passed on.
//
// Copies are found within a partition, so records with one id must have one key. Where an operator above may have changed keys, a repartition topic must be given.
func Dedup[K, V, I any](s *Stream[K, V], id func(key K, value V) I, within time.Duration, store *statestore.WindowSpec[I, int64], via ...Topic[K, V]) *Stream[K, V] {
	op := topology.Here("stream.Dedup")
	in := Partitioned(op, s.edge, via)
	g := in.Node.Graph()
	requireFunc(g, op, id == nil)
	if within < 0 {
		g.Fault(op, "copies within %v: the time must not be negative", within)
	}
	checkMillis(op, g, within)
	need := 2*within + time.Millisecond
	switch {
	case store == nil:
		g.Fault(op, "the store is nil")
	case store.Retention() == 0:
		store = store.Retain(need)
	case store.Retention() < need:
		g.Fault(op, "store %q retains %v, less than twice the time within which copies are found (%v)", store.StoreName(), store.Retention(), need)
	}
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-DEDUP-"), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, V]) topology.Sink[K, V] {
		d := &deduper[K, V, I]{id: id, within: within.Milliseconds(), store: w.Store(store.StoreName()).(statestore.WindowStore[I, int64]), next: next,
			drop: w.Drop(n), isNull: serde.NullCheck[I](), seesNull: serde.NullCheck[V]() != nil}
		d.at, d.node = w.At(n)
		return d.process
	})
	if store != nil {
		g.AddStore(op, n, store)
		g.Copartition(op, n)
	}
	return OfEdge(topology.Edge[K, V]{Node: n})
}

// deduper is a Dedup at work in one task. Times are in milliseconds.
type deduper[K, V, I any] struct {
	id       func(key K, value V) I
	within   int64
	store    statestore.WindowStore[I, int64] // the ids that were passed on, by their records' times
	next     topology.Sink[K, V]
	drop     func(topology.DropReason)
	isNull   func(*I) bool // nil: no id is null
	seesNull bool          // V has a null of its own
	at       *int32
	node     int32
}

func (d *deduper[K, V, I]) process(r *topology.Record[K, V]) error {
	*d.at = d.node
	if r.ValueNull && !d.seesNull {
		return d.next(r)
	}
	id := d.id(r.Key, r.Value)
	if d.isNull != nil && d.isNull(&id) {
		return d.next(r)
	}
	if r.Timestamp < d.store.ObservedTime()-d.within {
		d.drop(topology.DropLate)
		return nil
	}
	to := r.Timestamp + d.within + 1
	if to < 0 {
		to = math.MaxInt64
	}
	for _, err := range d.store.FetchRange(id, max(0, r.Timestamp-d.within), to) {
		return err // a copy, unless the store failed
	}
	if _, err := d.store.Put(id, r.Timestamp, r.Timestamp, r.Timestamp); err != nil {
		return err
	}
	return d.next(r)
}
