package stream

import "github.com/millrace-io/millrace/internal/topology"

// Merge returns the records of all the streams. Between records of different streams there is no order. A stream that is named twice counts once.
func Merge[K, V any](s *Stream[K, V], others ...*Stream[K, V]) *Stream[K, V] {
	op, g := topology.Here("stream.Merge"), s.graph()
	e := s.edge
	parents := s.parents()
	for _, o := range others {
		parents = append(parents, o.edge.Node)
		if o.edge.KeyChanged && !e.KeyChanged {
			e.KeyChanged, e.Changed = true, o.edge.Changed
		}
	}
	e.Node = topology.AddProcessor(g, op, g.NextName("KSTREAM-MERGE-"), parents, func(_ *topology.Wiring, _ *topology.Node, next topology.Sink[K, V]) topology.Sink[K, V] {
		return next
	})
	return OfEdge(e)
}
