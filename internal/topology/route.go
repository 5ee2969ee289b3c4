package topology

import "fmt"

// Route chooses the partition of a record among n; a negative answer leaves the choice to the key.
type Route[K, V any] func(r *Record[K, V], n int32) int32

// AddRoutedSink adds a sink with several inputs whose partitions are chosen by a function over the typed record; a nil route leaves the choice to the key.
func AddRoutedSink[K, V any](g *Graph, op Op, name string, parents []*Node, topic TopicRef, s Serdes[K, V], route Route[K, V]) *Node {
	s.check(g, op, topic.Name)
	return g.add(&Node{name: name, kind: sinkNode, op: op, parents: parents, sink: topic,
		wire: func(w *Wiring, n *Node) any { return guard(w, n, routedSink(w, n, topic, s, route)) }})
}

func routedSink[K, V any](w *Wiring, n *Node, topic TopicRef, s Serdes[K, V], route Route[K, V]) Sink[K, V] {
	e := newEncoder(s)
	env, fail := w.Env(), w.Failure(n, FaultProduction)
	at, id := w.At(n)
	partition := partitioner(w, topic, s.Key)
	count, err := env.Partitions(topic)
	if err != nil {
		w.Fail(fmt.Errorf("partitions of topic %s: %w", topic.Name, err))
	}
	return func(r *Record[K, V]) error {
		*at = id
		if err := e.encode(r); err != nil {
			return fail(err)
		}
		to := int32(byKey)
		if route != nil {
			to = route(r, count)
		}
		switch {
		case to >= count:
			return fail(fmt.Errorf("topic %s has %d partitions: there is no partition %d", topic.Name, count, to))
		case to < 0:
			to = partition(e.raw.Key)
		}
		return env.Send(topic, to, &e.raw)
	}
}
