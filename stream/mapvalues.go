package stream

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream/serde"
)

// MapValues replaces each value by what f returns for it. Keys stay, and with them the partitioning.
func MapValues[K, V, W any](s *Stream[K, V], f func(value V) W) *Stream[K, W] {
	op, g := topology.Here("stream.MapValues"), s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-MAPVALUES-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, W]) topology.Sink[K, V] {
		if same, ok := any(f).(func(V) V); ok && w.Private(n) {
			return mapValuesInPlace(w, n, same, any(next).(topology.Sink[K, V]))
		}
		at, id := w.At(n)
		m := newValueMapper[K, V, W]()
		return func(r *topology.Record[K, V]) error {
			if m.skip(r) {
				return next(&m.out)
			}
			*at = id
			m.out.Value = f(r.Value)
			m.out.ValueNull = m.isNull != nil && m.isNull(&m.out.Value)
			return next(&m.out)
		}
	}).MakesRecords()
	return sameKey[K, V, W](s, n)
}

// mapValuesInPlace is MapValues that changes the record it gets.
func mapValuesInPlace[K, V any](w *topology.Wiring, n *topology.Node, f func(V) V, next topology.Sink[K, V]) topology.Sink[K, V] {
	at, id := w.At(n)
	isNull := serde.NullCheck[V]()
	return func(r *topology.Record[K, V]) error {
		if r.ValueNull && isNull == nil {
			return next(r) // the function could not see it
		}
		*at = id
		r.Value = f(r.Value)
		r.ValueNull = isNull != nil && isNull(&r.Value)
		return next(r)
	}
}

// MapValuesWithKey is [MapValues] with a function that also sees the key.
func MapValuesWithKey[K, V, W any](s *Stream[K, V], f func(key K, value V) W) *Stream[K, W] {
	op, g := topology.Here("stream.MapValuesWithKey"), s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-MAPVALUES-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, W]) topology.Sink[K, V] {
		at, id := w.At(n)
		m := newValueMapper[K, V, W]()
		return func(r *topology.Record[K, V]) error {
			if m.skip(r) {
				return next(&m.out)
			}
			*at = id
			m.out.Value = f(r.Key, r.Value)
			m.out.ValueNull = m.isNull != nil && m.isNull(&m.out.Value)
			return next(&m.out)
		}
	}).MakesRecords()
	return sameKey[K, V, W](s, n)
}

// MapValuesCtx is [MapValuesWithKey] with a function that may fail.
func MapValuesCtx[K, V, W any](s *Stream[K, V], f func(ctx context.Context, key K, value V) (W, error)) *Stream[K, W] {
	op, g := topology.Here("stream.MapValuesCtx"), s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-MAPVALUES-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, W]) topology.Sink[K, V] {
		at, id := w.At(n)
		ctx, fail := w.Context(), w.Failure(n, topology.FaultProcessing)
		m := newValueMapper[K, V, W]()
		return func(r *topology.Record[K, V]) (err error) {
			if m.skip(r) {
				return next(&m.out)
			}
			*at = id
			if m.out.Value, err = f(ctx, r.Key, r.Value); err != nil {
				return fail(err)
			}
			m.out.ValueNull = m.isNull != nil && m.isNull(&m.out.Value)
			return next(&m.out)
		}
	}).MakesRecords()
	return sameKey[K, V, W](s, n)
}

// valueMapper is what the operators that replace values have in common, for one task.
type valueMapper[K, V, W any] struct {
	out      topology.Record[K, W]
	isNull   func(*W) bool // nil: no value of type W is null
	seesNull bool          // V has a null of its own, so the function decides about it
}

func newValueMapper[K, V, W any]() *valueMapper[K, V, W] {
	return &valueMapper[K, V, W]{isNull: serde.NullCheck[W](), seesNull: serde.NullCheck[V]() != nil}
}

// skip fills all but the value of the result, and reports whether the value is null without a call.
func (m *valueMapper[K, V, W]) skip(r *topology.Record[K, V]) bool {
	m.out.Key, m.out.KeyNull, m.out.Timestamp, m.out.Headers = r.Key, r.KeyNull, r.Timestamp, r.Headers
	if !r.ValueNull || m.seesNull {
		return false
	}
	var zero W
	m.out.Value, m.out.ValueNull = zero, true
	return true
}

// Nullable returns the same stream with pointers as values: nil where s has null. Each value is copied to the heap; a type that has a null of its own does
// not need it.
func Nullable[K, V any](s *Stream[K, V]) *Stream[K, *V] {
	op, g := topology.Here("stream.Nullable"), s.graph()
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-MAPVALUES-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, *V]) topology.Sink[K, V] {
		var out topology.Record[K, *V]
		return func(r *topology.Record[K, V]) error {
			out.Key, out.KeyNull, out.Timestamp, out.Headers = r.Key, r.KeyNull, r.Timestamp, r.Headers
			out.Value, out.ValueNull = nil, r.ValueNull
			if !r.ValueNull {
				v := r.Value
				out.Value = &v
			}
			return next(&out)
		}
	})
	return sameKey[K, V, *V](s, n)
}
