package stream

import "github.com/millrace-io/millrace/internal/topology"

// Repartition sends a stream through an internal topic, <app>-<name>-repartition, so that records with equal keys meet in one task. Records with a null key
// are left out, unless a left join below has a use for them. Operators that need it do this by themselves when they are given the topic; this function is for
// doing it early, to have another number of partitions ([Topic.Partitions]), or to have records elsewhere than where their keys send them ([PartitionBy], [Multicast]):
// that records with equal keys meet is the program's matter then.
func Repartition[K, V any](s *Stream[K, V], via Topic[K, V], opts ...SinkOption[K, V]) *Stream[K, V] {
	return OfEdge(Through(topology.Here("stream.Repartition"), s.edge, via, opts...))
}

// Through is internal: it is Repartition of an edge.
func Through[K, V any](op topology.Op, in topology.Edge[K, V], via Topic[K, V], opts ...SinkOption[K, V]) topology.Edge[K, V] {
	g := in.Node.Graph()
	if via.name == "" {
		g.Fault(op, "a repartition topic needs a name")
		return topology.Edge[K, V]{Node: in.Node}
	}
	ref := topology.TopicRef{Name: via.name + topology.RepartitionSuffix, Internal: true}
	if handle, taken := g.Repartition(op, ref, in.Node); taken {
		if len(opts) > 0 {
			g.Fault(op, "repartition topic %q is written already: options about partitions belong to its first use", ref.Name)
		}
		if was, ok := handle.(topology.Edge[K, V]); ok {
			return was
		}
		return in // the fault is recorded
	}
	filter := topology.AddProcessor(g, op, ref.Name+"-filter", []*topology.Node{in.Node}, func(_ *topology.Wiring, n *topology.Node, next topology.Sink[K, V]) topology.Sink[K, V] {
		if g.NullKeysWanted(n) {
			return next
		}
		return func(r *topology.Record[K, V]) error {
			if r.KeyNull {
				return nil
			}
			return next(r)
		}
	})
	spec := topology.SinkSpec[K, V]{Topic: ref, Serdes: via.serdes}
	applySink(g, op, &spec, opts)
	sink := topology.AddSinkTo(g, op, ref.Name+"-sink", []*topology.Node{filter}, spec)
	source := topology.AddTopicSource(g, op, ref.Name+"-source", topology.SourceSpec{Topics: []topology.TopicRef{ref}, Reset: topology.ResetEarliest}, via.serdes)
	out := topology.Edge[K, V]{Node: source}
	g.AddRepartition(op, ref, via.partitions, in.Node, sink, source, out)
	return out
}

// Partitioned is internal: it returns an edge whose records are partitioned by their present keys, by way of the topic when keys may have changed.
func Partitioned[K, V any](op topology.Op, in topology.Edge[K, V], via []Topic[K, V]) topology.Edge[K, V] {
	g := in.Node.Graph()
	if len(via) > 1 {
		g.Fault(op, "takes one repartition topic, not %d", len(via))
	}
	switch {
	case !in.KeyChanged:
		return in
	case len(via) == 0:
		g.Fault(op, "keys were changed by %s at %s, so records must go through a repartition topic: give one, its name is durable", in.Changed.Name, in.Changed.Site)
		return topology.Edge[K, V]{Node: in.Node}
	}
	return Through(op, in, via[0])
}
