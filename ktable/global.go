package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// GlobalTable is a table of which every instance of the application has a whole copy, all partitions of its topic, so that a stream can look up any key in it whatever
// it is partitioned by.
type GlobalTable[K, V any] struct {
	b     *stream.Builder
	op    topology.Op
	store *statestore.KeyValueSpec[K, V]
}

// FromGlobal reads a topic as a global table: the latest value of each key is its row, and a null value deletes it. The copy is complete when the application begins to
// process, and follows the topic from then on without regard to the times of records: there is no order between a change of it and records of streams. The
// topic can be read as nothing else; it takes the place of a changelog.
//
// Records with a null key are dropped and counted. A record that cannot be decoded is a fault; one that is to become a dead letter is skipped only.
func FromGlobal[K, V any](b *stream.Builder, topic stream.Topic[K, V], store *statestore.KeyValueSpec[K, V], opts ...stream.SourceOption) *GlobalTable[K, V] {
	op, g := topology.Here("ktable.FromGlobal"), b.Graph()
	t := &GlobalTable[K, V]{b: b, op: op, store: store}
	ref, serdes, timestamps := stream.GlobalSource(b, op, topic, opts...)
	if !checkRows(g, op, store) {
		return t
	}
	if store.TTL() > 0 {
		g.Fault(op, "store %q forgets what is older than %v: a global table is what its topic says", store.StoreName(), store.TTL())
	}
	topology.AddGlobal(g, op, ref, serdes, topology.Serdes[K, V]{Key: store.KeySerde(), Value: store.ValueSerde()}, timestamps, store)
	return t
}

// JoinGlobal enriches each record of a stream with the row that a global table has, at that moment, for the key that the function key returns; a record without a row
// goes no further. The result has the record's key and time, and no repartition topic is needed. Records with a null value, and those for which key returns
// null, are dropped and counted.
func JoinGlobal[K, V, GK, W, R any](s *stream.Stream[K, V], t *GlobalTable[GK, W], key func(key K, value V) GK, join func(value V, row W) R) *stream.Stream[K, R] {
	op := topology.Here("ktable.JoinGlobal")
	requireFunc(s.Edge().Node.Graph(), op, key == nil || join == nil)
	return joinGlobal(op, s, t, false, func(_ context.Context, k K, v V) (GK, error) { return key(k, v), nil },
		func(_ context.Context, _ K, v V, w W, _ bool) (R, error) { return join(v, w), nil })
}

// JoinGlobalCtx is [JoinGlobal] with functions that may fail.
func JoinGlobalCtx[K, V, GK, W, R any](s *stream.Stream[K, V], t *GlobalTable[GK, W], key func(ctx context.Context, key K, value V) (GK, error),
	join func(ctx context.Context, key K, value V, row W) (R, error)) *stream.Stream[K, R] {
	op := topology.Here("ktable.JoinGlobalCtx")
	requireFunc(s.Edge().Node.Graph(), op, key == nil || join == nil)
	return joinGlobal(op, s, t, false, key, func(ctx context.Context, k K, v V, w W, _ bool) (R, error) { return join(ctx, k, v, w) })
}

// LeftJoinGlobal is [JoinGlobal] that also passes on records without a row: found is false then, and row the zero value. A null key has no row.
func LeftJoinGlobal[K, V, GK, W, R any](s *stream.Stream[K, V], t *GlobalTable[GK, W], key func(key K, value V) GK,
	join func(value V, row W, found bool) R) *stream.Stream[K, R] {
	op := topology.Here("ktable.LeftJoinGlobal")
	requireFunc(s.Edge().Node.Graph(), op, key == nil || join == nil)
	return joinGlobal(op, s, t, true, func(_ context.Context, k K, v V) (GK, error) { return key(k, v), nil },
		func(_ context.Context, _ K, v V, w W, found bool) (R, error) { return join(v, w, found), nil })
}

// LeftJoinGlobalCtx is [LeftJoinGlobal] with functions that may fail.
func LeftJoinGlobalCtx[K, V, GK, W, R any](s *stream.Stream[K, V], t *GlobalTable[GK, W], key func(ctx context.Context, key K, value V) (GK, error),
	join func(ctx context.Context, key K, value V, row W, found bool) (R, error)) *stream.Stream[K, R] {
	op := topology.Here("ktable.LeftJoinGlobalCtx")
	requireFunc(s.Edge().Node.Graph(), op, key == nil || join == nil)
	return joinGlobal(op, s, t, true, key, join)
}

func joinGlobal[K, V, GK, W, R any](op topology.Op, s *stream.Stream[K, V], t *GlobalTable[GK, W], left bool,
	key func(context.Context, K, V) (GK, error), join func(context.Context, K, V, W, bool) (R, error)) *stream.Stream[K, R] {
	in := s.Edge()
	g := in.Node.Graph()
	if t.b.Graph() != g {
		g.Fault(op, "takes a table of another Builder")
	}
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-LEFTJOIN-"), []*topology.Node{in.Node}, func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, R]) topology.Sink[K, V] {
		rows, keyNull := t.store.Lookup(w.Global(n, t.store)), serde.NullCheck[GK]()
		var mapped GK // here, so that asking whether it is null moves nothing to the heap
		j := newRowJoin(w, n, left, join, next)
		j.find = func(r *topology.Record[K, V]) (row W, found, null bool, err error) {
			if mapped, err = key(j.ctx, r.Key, r.Value); err != nil {
				return row, false, false, j.fail(err)
			}
			if keyNull != nil && keyNull(&mapped) {
				return row, false, true, nil
			}
			row, _, found, err = rows.Get(mapped)
			return row, found, false, err
		}
		return j.process
	})
	if left {
		g.TakeNullKeys(n)
	}
	return stream.OfEdge(topology.Edge[K, R]{Node: n, KeyChanged: in.KeyChanged, Changed: in.Changed})
}
