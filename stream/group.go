package stream

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
)

// Grouped is a stream whose records are gathered by key, ready to become a table with the aggregations of package ktable.
type Grouped[K, V any] struct {
	in  topology.Edge[K, V]
	via []Topic[K, V]
}

// GroupBy groups by the key that f returns. Records travel through the repartition topic via, of which the application owns <app>-<name>-repartition; records
// with a null key are left out.
func GroupBy[K, V, K2 any](s *Stream[K, V], f func(key K, value V) K2, via Topic[K2, V]) *Grouped[K2, V] {
	op := topology.Here("stream.GroupBy")
	return &Grouped[K2, V]{in: selectKey(s, op, f).edge, via: []Topic[K2, V]{via}}
}

// GroupByCtx is [GroupBy] with a function that may fail.
func GroupByCtx[K, V, K2 any](s *Stream[K, V], f func(ctx context.Context, key K, value V) (K2, error), via Topic[K2, V]) *Grouped[K2, V] {
	op := topology.Here("stream.GroupByCtx")
	return &Grouped[K2, V]{in: selectKeyCtx(s, op, f).edge, via: []Topic[K2, V]{via}}
}

// GroupByKey groups by the keys that records have. Where an operator above may have changed them, a repartition topic must be given; where none has, it is
// not used. Groupings of one stream through the same topic share it.
func GroupByKey[K, V any](s *Stream[K, V], via ...Topic[K, V]) *Grouped[K, V] {
	return &Grouped[K, V]{in: s.edge, via: via}
}

// Input is internal: it returns the edge to aggregate over, partitioned by key.
func (g *Grouped[K, V]) Input(op topology.Op) topology.Edge[K, V] {
	return Partitioned(op, g.in, g.via)
}

// Graph is internal.
func (g *Grouped[K, V]) Graph() *topology.Graph { return g.in.Node.Graph() }
