package stream

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream/serde"
)

// Map replaces each record by the one that f returns. Since keys may change, state below needs a repartition topic: use [MapValues] where the key stays.
func Map[K, V, K2, V2 any](s *Stream[K, V], f func(key K, value V) (K2, V2)) *Stream[K2, V2] {
	op, g := topology.Here("stream.Map"), s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-MAP-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K2, V2]) topology.Sink[K, V] {
		if same, ok := any(f).(func(K, V) (K, V)); ok && w.Private(n) {
			return mapInPlace(w, n, same, any(next).(topology.Sink[K, V]))
		}
		at, id := w.At(n)
		m := newMapper[K, V, K2, V2]()
		return func(r *topology.Record[K, V]) error {
			*at = id
			k, v := f(r.Key, r.Value)
			return next(m.result(r, k, v))
		}
	}).MakesRecords()
	return newKey[K2, V2](op, n)
}

// mapInPlace is Map that changes the record it gets.
func mapInPlace[K, V any](w *topology.Wiring, n *topology.Node, f func(K, V) (K, V), next topology.Sink[K, V]) topology.Sink[K, V] {
	at, id := w.At(n)
	keyNull, valueNull := serde.NullCheck[K](), serde.NullCheck[V]()
	return func(r *topology.Record[K, V]) error {
		*at = id
		r.Key, r.Value = f(r.Key, r.Value)
		r.KeyNull = keyNull != nil && keyNull(&r.Key)
		switch {
		case valueNull != nil:
			r.ValueNull = valueNull(&r.Value)
		case r.ValueNull:
			var zero V
			r.Value = zero
		}
		return next(r)
	}
}

// MapCtx is [Map] with a function that may fail.
func MapCtx[K, V, K2, V2 any](s *Stream[K, V], f func(ctx context.Context, key K, value V) (K2, V2, error)) *Stream[K2, V2] {
	op, g := topology.Here("stream.MapCtx"), s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-MAP-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K2, V2]) topology.Sink[K, V] {
		at, id := w.At(n)
		ctx, fail := w.Context(), w.Failure(n, topology.FaultProcessing)
		m := newMapper[K, V, K2, V2]()
		return func(r *topology.Record[K, V]) error {
			*at = id
			k, v, err := f(ctx, r.Key, r.Value)
			if err != nil {
				return fail(err)
			}
			return next(m.result(r, k, v))
		}
	}).MakesRecords()
	return newKey[K2, V2](op, n)
}

// SelectKey gives each record the key that f returns. State below needs a repartition topic.
func SelectKey[K, V, K2 any](s *Stream[K, V], f func(key K, value V) K2) *Stream[K2, V] {
	return selectKey(s, topology.Here("stream.SelectKey"), f)
}

func selectKey[K, V, K2 any](s *Stream[K, V], op topology.Op, f func(key K, value V) K2) *Stream[K2, V] {
	g := s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-KEY-SELECT-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K2, V]) topology.Sink[K, V] {
		if same, ok := any(f).(func(K, V) K); ok && w.Private(n) {
			return selectKeyInPlace(w, n, same, any(next).(topology.Sink[K, V]))
		}
		at, id := w.At(n)
		isNull := serde.NullCheck[K2]()
		var out topology.Record[K2, V]
		return func(r *topology.Record[K, V]) error {
			*at = id
			out.Key = f(r.Key, r.Value)
			out.KeyNull = isNull != nil && isNull(&out.Key)
			out.Value, out.ValueNull, out.Timestamp, out.Headers = r.Value, r.ValueNull, r.Timestamp, r.Headers
			return next(&out)
		}
	}).MakesRecords()
	return newKey[K2, V](op, n)
}

// selectKeyInPlace is SelectKey that changes the record it gets.
func selectKeyInPlace[K, V any](w *topology.Wiring, n *topology.Node, f func(K, V) K, next topology.Sink[K, V]) topology.Sink[K, V] {
	at, id := w.At(n)
	isNull := serde.NullCheck[K]()
	return func(r *topology.Record[K, V]) error {
		*at = id
		r.Key = f(r.Key, r.Value)
		r.KeyNull = isNull != nil && isNull(&r.Key)
		return next(r)
	}
}

// SelectKeyCtx is [SelectKey] with a function that may fail.
func SelectKeyCtx[K, V, K2 any](s *Stream[K, V], f func(ctx context.Context, key K, value V) (K2, error)) *Stream[K2, V] {
	return selectKeyCtx(s, topology.Here("stream.SelectKeyCtx"), f)
}

func selectKeyCtx[K, V, K2 any](s *Stream[K, V], op topology.Op, f func(ctx context.Context, key K, value V) (K2, error)) *Stream[K2, V] {
	g := s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-KEY-SELECT-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K2, V]) topology.Sink[K, V] {
		at, id := w.At(n)
		ctx, fail := w.Context(), w.Failure(n, topology.FaultProcessing)
		isNull := serde.NullCheck[K2]()
		var out topology.Record[K2, V]
		return func(r *topology.Record[K, V]) (err error) {
			*at = id
			if out.Key, err = f(ctx, r.Key, r.Value); err != nil {
				return fail(err)
			}
			out.KeyNull = isNull != nil && isNull(&out.Key)
			out.Value, out.ValueNull, out.Timestamp, out.Headers = r.Value, r.ValueNull, r.Timestamp, r.Headers
			return next(&out)
		}
	}).MakesRecords()
	return newKey[K2, V](op, n)
}

// mapper is what the operators that replace whole records have in common, for one task.
type mapper[K, V, K2, V2 any] struct {
	out       topology.Record[K2, V2]
	keyNull   func(*K2) bool // nil: no key of type K2 is null
	valueNull func(*V2) bool
	seesNull  bool // V has a null of its own, so the function decides about it
}

func newMapper[K, V, K2, V2 any]() *mapper[K, V, K2, V2] {
	return &mapper[K, V, K2, V2]{keyNull: serde.NullCheck[K2](), valueNull: serde.NullCheck[V2](), seesNull: serde.NullCheck[V]() != nil}
}

// result is the record with a new key and value; a null value that the function could not see stays null.
func (m *mapper[K, V, K2, V2]) result(r *topology.Record[K, V], k K2, v V2) *topology.Record[K2, V2] {
	o := &m.out
	o.Key, o.Value, o.Timestamp, o.Headers = k, v, r.Timestamp, r.Headers
	o.KeyNull = m.keyNull != nil && m.keyNull(&o.Key)
	o.ValueNull = m.valueNull != nil && m.valueNull(&o.Value)
	if r.ValueNull && !m.seesNull {
		var zero V2
		o.Value, o.ValueNull = zero, true
	}
	return o
}
