package stream

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
)

// Peek calls f for each record and passes the record on unchanged. What f does outside the application is done again when a failure makes the record be
// processed again.
func Peek[K, V any](s *Stream[K, V], f func(key K, value V)) *Stream[K, V] {
	op, g := topology.Here("stream.Peek"), s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-PEEK-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, V]) topology.Sink[K, V] {
		at, id := w.At(n)
		return func(r *topology.Record[K, V]) error {
			*at = id
			f(r.Key, r.Value)
			return next(r)
		}
	}).PassesRecords()
	return sameKey[K, V, V](s, n)
}

// PeekCtx is [Peek] with a function that may fail.
func PeekCtx[K, V any](s *Stream[K, V], f func(ctx context.Context, key K, value V) error) *Stream[K, V] {
	op := topology.Here("stream.PeekCtx")
	return sameKey[K, V, V](s, effect(s, op, "KSTREAM-PEEK-", f))
}

// ForEach ends a stream with a function that is called for each record.
func ForEach[K, V any](s *Stream[K, V], f func(key K, value V)) {
	op, g := topology.Here("stream.ForEach"), s.graph()
	requireFunc(g, op, f == nil)
	topology.AddProcessor(g, op, g.NextName("KSTREAM-FOREACH-"), s.parents(), func(w *topology.Wiring, n *topology.Node, _ topology.Sink[K, V]) topology.Sink[K, V] {
		at, id := w.At(n)
		return func(r *topology.Record[K, V]) error {
			*at = id
			f(r.Key, r.Value)
			return nil
		}
	})
}

// ForEachCtx is [ForEach] with a function that may fail.
func ForEachCtx[K, V any](s *Stream[K, V], f func(ctx context.Context, key K, value V) error) {
	effect(s, topology.Here("stream.ForEachCtx"), "KSTREAM-FOREACH-", f)
}

func effect[K, V any](s *Stream[K, V], op topology.Op, prefix string, f func(context.Context, K, V) error) *topology.Node {
	g := s.graph()
	requireFunc(g, op, f == nil)
	return topology.AddProcessor(g, op, g.NextName(prefix), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, V]) topology.Sink[K, V] {
		at, id := w.At(n)
		ctx, fail := w.Context(), w.Failure(n, topology.FaultProcessing)
		return func(r *topology.Record[K, V]) error {
			*at = id
			if err := f(ctx, r.Key, r.Value); err != nil {
				return fail(err)
			}
			return next(r)
		}
	})
}
