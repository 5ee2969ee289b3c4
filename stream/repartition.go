package stream

import "github.com/millrace-io/millrace/internal/topology"

// Repartition sends a stream through an internal topic, <app>-<name>-repartition, so that records with equal keys meet in one task. Records with a null key
// are left out. Operators that need it do this by themselves when they are given the topic; this function is for doing it early or to have another number of
// partitions ([Topic.Partitions]).
func Repartition[K, V any](s *Stream[K, V], via Topic[K, V]) *Stream[K, V] {
	return OfEdge(Through(topology.Here("stream.Repartition"), s.edge, via, false))
}

// throughTopic is what a second use of a repartition topic finds.
type throughTopic[K, V any] struct {
	edge     topology.Edge[K, V]
	keepNull *bool // an operator below takes records without a key
}

// Through is internal: it is Repartition of an edge. With keepNull, records without a key go through too, for an operator below that has a use for them.
func Through[K, V any](op topology.Op, in topology.Edge[K, V], via Topic[K, V], keepNull bool) topology.Edge[K, V] {
	g := in.Node.Graph()
	ref := topology.TopicRef{Name: via.name + topology.RepartitionSuffix, Internal: true}
	if via.name == "" {
		g.Fault(op, "a repartition topic needs a name")
		return in
	}
	if handle, taken := g.Repartition(op, ref, in.Node); taken {
		was, ok := handle.(*throughTopic[K, V])
		if !ok {
			return in // the fault is recorded
		}
		*was.keepNull = *was.keepNull || keepNull
		return was.edge
	}
	keep := &keepNull
	filter := topology.AddProcessor(g, op, ref.Name+"-filter", []*topology.Node{in.Node}, func(_ *topology.Wiring, _ *topology.Node, next topology.Sink[K, V]) topology.Sink[K, V] {
		if *keep {
			return next
		}
		return func(r *topology.Record[K, V]) error {
			if r.KeyNull {
				return nil
			}
			return next(r)
		}
	})
	sink := topology.AddTopicSink(g, op, ref.Name+"-sink", filter, ref, via.serdes)
	source := topology.AddTopicSource(g, op, ref.Name+"-source", topology.SourceSpec{Topics: []topology.TopicRef{ref}, Reset: topology.ResetEarliest}, via.serdes)
	t := &throughTopic[K, V]{edge: topology.Edge[K, V]{Node: source}, keepNull: keep}
	g.AddRepartition(op, ref, via.partitions, in.Node, sink, source, t)
	return t.edge
}

// Partitioned is internal: it returns an edge whose records are partitioned by their present keys, by way of the topic when keys may have changed.
func Partitioned[K, V any](op topology.Op, in topology.Edge[K, V], via []Topic[K, V], keepNull bool) topology.Edge[K, V] {
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
	return Through(op, in, via[0], keepNull)
}
