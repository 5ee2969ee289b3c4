package ktable

import (
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream"
)

// ToStream returns the changes of a table as a stream: each new row with its key and time, and a null value for a row that is gone.
func ToStream[K, V any](t *Table[K, V]) *stream.Stream[K, V] {
	op, g := topology.Here("ktable.ToStream"), t.graph()
	n := topology.AddProcessor(g, op, g.NextName("KTABLE-TOSTREAM-"), t.parents(), func(_ *topology.Wiring, _ *topology.Node, next topology.Sink[K, V]) rowSink[K, V] {
		var out topology.Record[K, V]
		return func(r *rows[K, V]) error {
			out.Key, out.KeyNull = r.Key, r.KeyNull
			out.Value, out.ValueNull = r.Value.New, !r.Value.HasNew
			out.Timestamp, out.Headers = r.Timestamp, r.Headers
			return next(&out)
		}
	})
	return stream.OfEdge(topology.Edge[K, V]{Node: n})
}
