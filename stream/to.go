package stream

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
)

// SinkOption changes how [To], [ToBy] and [Repartition] write.
type SinkOption[K, V any] func(*sinkConfig[K, V])

type sinkConfig[K, V any] struct {
	route  topology.Route[K, V]
	spread topology.Spread[K, V]
	given  int // how often partitions were asked for
	isNil  bool
}

// PartitionBy sends each record to the partition that f chooses among those from 0 to partitions-1, in place of the one that follows from its key. A negative answer
// leaves the choice to the key; a partition that is not there is a fault.
func PartitionBy[K, V any](f func(key K, value V, partitions int) int) SinkOption[K, V] {
	return func(c *sinkConfig[K, V]) {
		c.given, c.isNil = c.given+1, c.isNil || f == nil
		c.route = func(r *topology.Record[K, V], n int32) int32 { return int32(f(r.Key, r.Value, int(n))) }
	}
}

// Multicast sends each record to all the partitions that f chooses among those from 0 to partitions-1. With none, the record is dropped and counted; a
// partition that is not there is a fault. f may return the same slice each time.
func Multicast[K, V any](f func(key K, value V, partitions int) []int) SinkOption[K, V] {
	return func(c *sinkConfig[K, V]) {
		c.given, c.isNil = c.given+1, c.isNil || f == nil
		c.spread = func(r *topology.Record[K, V], n int32) []int { return f(r.Key, r.Value, int(n)) }
	}
}

// applySink sets what the options say.
func applySink[K, V any](g *topology.Graph, op topology.Op, spec *topology.SinkSpec[K, V], opts []SinkOption[K, V]) {
	var c sinkConfig[K, V]
	for _, o := range opts {
		o(&c)
	}
	requireFunc(g, op, c.isNil)
	if c.given > 1 {
		g.Fault(op, "takes one option about partitions, not %d", c.given)
	}
	spec.Route, spec.Spread = c.route, c.spread
}

// To writes a stream to a topic, each record with its time and headers to the partition of its key, or to where the options send it.
func To[K, V any](s *Stream[K, V], topic Topic[K, V], opts ...SinkOption[K, V]) {
	op, g := topology.Here("stream.To"), s.graph()
	spec := topology.SinkSpec[K, V]{Topic: topology.TopicRef{Name: topic.name}, Serdes: topic.serdes}
	applySink(g, op, &spec, opts)
	topology.AddSinkTo(g, op, g.NextName("KSTREAM-SINK-"), s.parents(), spec)
}

// ToBy is [To] with a topic for each record: the one that f returns. The topics must exist when records come for them, and each name must come with the same
// serdes every time. A topic without a name is a fault.
func ToBy[K, V any](s *Stream[K, V], f func(key K, value V) Topic[K, V], opts ...SinkOption[K, V]) {
	op := topology.Here("stream.ToBy")
	requireFunc(s.graph(), op, f == nil)
	toBy(s, op, func(_ context.Context, r *Record[K, V]) (Topic[K, V], error) { return f(r.Key, r.Value), nil }, opts)
}

// ToByCtx is [ToBy] with a function that may fail.
func ToByCtx[K, V any](s *Stream[K, V], f func(ctx context.Context, key K, value V) (Topic[K, V], error), opts ...SinkOption[K, V]) {
	op := topology.Here("stream.ToByCtx")
	requireFunc(s.graph(), op, f == nil)
	toBy(s, op, func(ctx context.Context, r *Record[K, V]) (Topic[K, V], error) { return f(ctx, r.Key, r.Value) }, opts)
}

// ToByRecord is [ToByCtx] with a function that sees the whole record, with its time and headers.
func ToByRecord[K, V any](s *Stream[K, V], f func(ctx context.Context, r *Record[K, V]) (Topic[K, V], error), opts ...SinkOption[K, V]) {
	op := topology.Here("stream.ToByRecord")
	requireFunc(s.graph(), op, f == nil)
	toBy(s, op, f, opts)
}

func toBy[K, V any](s *Stream[K, V], op topology.Op, f func(context.Context, *Record[K, V]) (Topic[K, V], error), opts []SinkOption[K, V]) {
	g := s.graph()
	spec := topology.SinkSpec[K, V]{Choose: func(ctx context.Context, r *topology.Record[K, V]) (topology.TopicRef, topology.Serdes[K, V], error) {
		t, err := f(ctx, r)
		return topology.TopicRef{Name: t.name}, t.serdes, err
	}}
	applySink(g, op, &spec, opts)
	topology.AddSinkTo(g, op, g.NextName("KSTREAM-SINK-"), s.parents(), spec)
}
