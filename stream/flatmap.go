package stream

import (
	"context"
	"iter"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream/serde"
)

// FlatMapValues replaces each value by those that f gives, in order; the results inherit key, time and headers. [strings.FieldsSeq] is such an f.
func FlatMapValues[K, V, W any](s *Stream[K, V], f func(value V) iter.Seq[W]) *Stream[K, W] {
	op, g := topology.Here("stream.FlatMapValues"), s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-FLATMAPVALUES-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, W]) topology.Sink[K, V] {
		at, id := w.At(n)
		m := newFlattener[K, V](at, id, next)
		yield := func(v W) bool { return m.take(m.key, v, m.keyNull) }
		return func(r *topology.Record[K, V]) error {
			if !m.begin(r) {
				return nil
			}
			m.key, m.keyNull = r.Key, r.KeyNull
			f(r.Value)(yield)
			return m.err
		}
	})
	return sameKey[K, V, W](s, n)
}

// FlatMapValuesCtx is [FlatMapValues] with a function that calls yield for each result and may fail, also between two results: those before the failure have
// gone on then. When yield returns false, the function must return.
func FlatMapValuesCtx[K, V, W any](s *Stream[K, V], f func(ctx context.Context, key K, value V, yield func(W) bool) error) *Stream[K, W] {
	op, g := topology.Here("stream.FlatMapValuesCtx"), s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-FLATMAPVALUES-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K, W]) topology.Sink[K, V] {
		at, id := w.At(n)
		ctx, fail := w.Context(), w.Failure(n, topology.FaultProcessing)
		m := newFlattener[K, V](at, id, next)
		yield := func(v W) bool { return m.take(m.key, v, m.keyNull) }
		return func(r *topology.Record[K, V]) error {
			if !m.begin(r) {
				return nil
			}
			m.key, m.keyNull = r.Key, r.KeyNull
			if err := f(ctx, r.Key, r.Value, yield); err != nil && m.err == nil {
				return fail(err)
			}
			return m.err
		}
	})
	return sameKey[K, V, W](s, n)
}

// FlatMap replaces each record by those that f gives, in order; the results inherit time and headers. State below needs a repartition topic.
func FlatMap[K, V, K2, V2 any](s *Stream[K, V], f func(key K, value V) iter.Seq2[K2, V2]) *Stream[K2, V2] {
	op, g := topology.Here("stream.FlatMap"), s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-FLATMAP-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K2, V2]) topology.Sink[K, V] {
		at, id := w.At(n)
		m := newFlattener[K, V](at, id, next)
		yield := m.takeBoth()
		return func(r *topology.Record[K, V]) error {
			if !m.begin(r) {
				return nil
			}
			f(r.Key, r.Value)(yield)
			return m.err
		}
	})
	return newKey[K2, V2](op, n)
}

// FlatMapCtx is [FlatMap] with a function that calls yield for each result and may fail, also between two results: those before the failure have gone on then.
// When yield returns false, the function must return.
func FlatMapCtx[K, V, K2, V2 any](s *Stream[K, V], f func(ctx context.Context, key K, value V, yield func(K2, V2) bool) error) *Stream[K2, V2] {
	op, g := topology.Here("stream.FlatMapCtx"), s.graph()
	requireFunc(g, op, f == nil)
	n := topology.AddProcessor(g, op, g.NextName("KSTREAM-FLATMAP-"), s.parents(), func(w *topology.Wiring, n *topology.Node, next topology.Sink[K2, V2]) topology.Sink[K, V] {
		at, id := w.At(n)
		ctx, fail := w.Context(), w.Failure(n, topology.FaultProcessing)
		m := newFlattener[K, V](at, id, next)
		yield := m.takeBoth()
		return func(r *topology.Record[K, V]) error {
			if !m.begin(r) {
				return nil
			}
			if err := f(ctx, r.Key, r.Value, yield); err != nil && m.err == nil {
				return fail(err)
			}
			return m.err
		}
	})
	return newKey[K2, V2](op, n)
}

// flattener hands the results of one record on, for one task. The functions that users' iterators call are made once, so that a record costs no closure.
type flattener[K, V, K2, V2 any] struct {
	out       topology.Record[K2, V2]
	next      topology.Sink[K2, V2]
	err       error // what stopped the results of this record
	keyIsNull func(*K2) bool
	isNull    func(*V2) bool
	seesNull  bool // V has a null of its own
	at        *int32
	id        int32
	key       K2 // of the record in process, when keys stay
	keyNull   bool
}

func newFlattener[K, V, K2, V2 any](at *int32, id int32, next topology.Sink[K2, V2]) *flattener[K, V, K2, V2] {
	return &flattener[K, V, K2, V2]{next: next, at: at, id: id,
		keyIsNull: serde.NullCheck[K2](), isNull: serde.NullCheck[V2](), seesNull: serde.NullCheck[V]() != nil}
}

// begin prepares for a record and reports whether it has results at all.
func (m *flattener[K, V, K2, V2]) begin(r *topology.Record[K, V]) bool {
	if r.ValueNull && !m.seesNull {
		return false
	}
	m.err = nil
	m.out.Timestamp, m.out.Headers = r.Timestamp, r.Headers
	*m.at = m.id
	return true
}

// take hands one result on and reports whether more are wanted.
func (m *flattener[K, V, K2, V2]) take(k K2, v V2, keyNull bool) bool {
	if m.err != nil {
		return false
	}
	m.out.Key, m.out.KeyNull, m.out.Value = k, keyNull, v
	m.out.ValueNull = m.isNull != nil && m.isNull(&m.out.Value)
	m.err = m.next(&m.out)
	*m.at = m.id
	return m.err == nil
}

// takeBoth returns the yield function of results with keys of their own.
func (m *flattener[K, V, K2, V2]) takeBoth() func(K2, V2) bool {
	return func(k K2, v V2) bool {
		m.out.Key = k
		return m.take(k, v, m.keyIsNull != nil && m.keyIsNull(&m.out.Key))
	}
}
