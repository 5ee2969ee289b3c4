package stream

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
)

// Filter keeps the records for which keep returns true.
func Filter[K, V any](s *Stream[K, V], keep func(key K, value V) bool) *Stream[K, V] {
	return filter(s, topology.Here("stream.Filter"), keep, true)
}

// FilterNot keeps the records for which drop returns false.
func FilterNot[K, V any](s *Stream[K, V], drop func(key K, value V) bool) *Stream[K, V] {
	return filter(s, topology.Here("stream.FilterNot"), drop, false)
}

func filter[K, V any](s *Stream[K, V], op topology.Op, test func(K, V) bool, want bool) *Stream[K, V] {
	g := s.graph()
	requireFunc(g, op, test == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-FILTER-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, V]) topology.Sink[K, V] {
		at, id := w.At(n)
		return func(r *topology.Record[K, V]) error {
			*at = id
			if test(r.Key, r.Value) != want {
				return nil
			}
			return next(r)
		}
	}).PassesRecords()
	return sameKey[K, V, V](s, n)
}

// FilterCtx is [Filter] with a function that may fail.
func FilterCtx[K, V any](s *Stream[K, V], keep func(ctx context.Context, key K, value V) (bool, error)) *Stream[K, V] {
	return filterCtx(s, topology.Here("stream.FilterCtx"), keep, true)
}

// FilterNotCtx is [FilterNot] with a function that may fail.
func FilterNotCtx[K, V any](s *Stream[K, V], drop func(ctx context.Context, key K, value V) (bool, error)) *Stream[K, V] {
	return filterCtx(s, topology.Here("stream.FilterNotCtx"), drop, false)
}

func filterCtx[K, V any](s *Stream[K, V], op topology.Op, test func(context.Context, K, V) (bool, error), want bool) *Stream[K, V] {
	g := s.graph()
	requireFunc(g, op, test == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-FILTER-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, V]) topology.Sink[K, V] {
		at, id := w.At(n)
		ctx, fail := w.Context(), w.Failure(n, topology.FaultProcessing)
		return func(r *topology.Record[K, V]) error {
			*at = id
			ok, err := test(ctx, r.Key, r.Value)
			if err != nil {
				return fail(err)
			}
			if ok != want {
				return nil
			}
			return next(r)
		}
	}).PassesRecords()
	return sameKey[K, V, V](s, n)
}
