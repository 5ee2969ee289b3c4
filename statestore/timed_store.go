package statestore

import (
	"encoding/binary"
	"iter"

	"github.com/millrace-io/millrace/stream/serde"
)

// timedStore is what the stores of windows, sessions and joined records are made of: types over a retained core, and walks over entries, which are E.
type timedStore[K, V, E any] struct {
	retained
	kind   *timed
	keys   serde.Serde[K]
	values serde.Serde[V]
	isNull func(*V) bool // nil when no V is null
	key    []byte        // scratch: the encoded key of the current call
	decode func(key, value []byte) (E, error)
	walks  []*timedWalk // for reuse
}

func newTimedStore[K, V, E any](kind *timed, keys serde.Serde[K], values serde.Serde[V], decode func(key, value []byte) (E, error)) timedStore[K, V, E] {
	return timedStore[K, V, E]{kind: kind, keys: keys, values: values, isNull: serde.NullCheck[V](), decode: decode}
}

func (s *timedStore[K, V, E]) open(name string, b Backend, cached bool, retention int64) error {
	if err := s.retained.open(name, b, cached, retention, s.kind.timeOf); err != nil {
		return err
	}
	s.table.Group(s.kind.suffix)
	return nil
}

// encodeKey begins the scratch key of the current call.
func (s *timedStore[K, V, E]) encodeKey(key K) ([]byte, error) {
	k, err := s.keys.Append(s.key[:0], key)
	if err != nil {
		return nil, s.unencodable("a key", err)
	}
	s.key = k
	return k, nil
}

// null says that a value is none.
func (s *timedStore[K, V, E]) null(value V) bool {
	if s.isNull == nil {
		return false
	}
	v := value // a copy, so that value does not escape when there is nothing to ask
	return s.isNull(&v)
}

// put stages a value under the scratch key.
func (s *timedStore[K, V, E]) put(value V, timestamp int64) error {
	v, err := s.values.Append(binary.BigEndian.AppendUint64(s.encoded[:0], uint64(timestamp)), value)
	if err != nil {
		return s.unencodable("a value", err)
	}
	s.encoded = v
	s.table.Put(s.key, v)
	return nil
}

// fetchKey walks over the entries of one key. latestStart is for sessions.
func (s *timedStore[K, V, E]) fetchKey(key K, earliest, latest, latestStart int64, reverse bool) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		k, err := s.encodeKey(key)
		if err != nil {
			var none E
			yield(none, err)
			return
		}
		w := s.newWalk()
		w.ofAll(s.kind, s.segments, earliest, latest)
		w.ofKey(k)
		w.latestStart = latestStart
		s.walk(w, reverse, yield)
	}
}

// fetchKeys walks over the entries of a range of keys.
func (s *timedStore[K, V, E]) fetchKeys(keys Range[K], earliest, latest, latestStart int64) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		lo, hi, none, err := keys.bounds(s.keys)
		if err != nil {
			var none E
			yield(none, s.unencodable("a key", err))
			return
		}
		if none {
			return
		}
		w := s.newWalk()
		w.ofAll(s.kind, s.segments, earliest, latest)
		w.ofKeys(encodedRange{lo, hi})
		w.latestStart = latestStart
		s.walk(w, keys.reverse, yield)
	}
}

// timedWalk is a walk over some entries of a store, kept for reuse with its memory.
type timedWalk struct {
	fetch
	merged merged
}

func (w *timedWalk) next() bool                 { return w.fetch.next(&w.merged) }
func (w *timedWalk) entry() (key, value []byte) { return w.merged.entry() }
func (w *timedWalk) close() error               { return w.merged.close() }

func (s *timedStore[K, V, E]) newWalk() *timedWalk {
	if n := len(s.walks); n > 0 {
		w := s.walks[n-1]
		s.walks = s.walks[:n-1]
		return w
	}
	return new(timedWalk)
}

// walk yields the entries of a fetch.
func (s *timedStore[K, V, E]) walk(w *timedWalk, reverse bool, yield func(E, error) bool) {
	if !w.isEmpty() {
		if err := s.begin(w, reverse); err != nil {
			var none E
			yield(none, err)
			return
		}
		walkEntries(w, s.decode, yield)
	}
	s.walks = append(s.walks, w)
}

// begin opens the walk of a fetch.
func (s *timedStore[K, V, E]) begin(w *timedWalk, reverse bool) error {
	from, to := w.earliest, saturate(w.latest)
	if w.length >= 0 {
		return s.beginGroup(&w.merged, w.lo[:w.length], w.lo, w.hi, from, to, reverse)
	}
	return s.retained.begin(&w.merged, w.lo, w.hi, from, to, reverse)
}

func (s *timedStore[K, V, E]) NoteHeaders(headers []Header) { s.note(s.key, headers) }
