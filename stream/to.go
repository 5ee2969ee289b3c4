package stream

import "github.com/millrace-io/millrace/internal/topology"

// To writes a stream to a topic, each record to the partition of its key, with the record's time and headers.
func To[K, V any](s *Stream[K, V], topic Topic[K, V]) {
	op, g := topology.Here("stream.To"), s.graph()
	topology.AddTopicSink(g, op, g.NextName("KSTREAM-SINK-"), s.edge.Node, topology.TopicRef{Name: topic.name}, topic.serdes)
}
