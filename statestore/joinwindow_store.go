package statestore

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/stream/serde"
)

// Open returns the store over its part of an engine; it is a [JoinWindowStore] of the spec's types.
func (s *JoinWindowSpec[K, V]) Open(b Backend) (Store, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	j := &joinWindowStore[K, V]{
		keys:   s.key,
		values: s.value,
		isNull: serde.NullCheck[V](),
		decode: func(key, value []byte) (WindowEntry[K, V], error) {
			return decodeWindow(s.name, s.key, s.value, key, value)
		},
	}
	return j, j.open(s.name, b, false, s.retention.Milliseconds(), windowStart)
}

// Restore begins to fill a partition from the changelog.
func (s *JoinWindowSpec[K, V]) Restore(p Partition) (Restorer, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return newWindowRestorer(s.name, p, s.retention.Milliseconds())
}

// joinWindowStore is a JoinWindowStore: a window store whose keys get a sequence number each.
type joinWindowStore[K, V any] struct {
	retained
	keys   serde.Serde[K]
	values serde.Serde[V]
	isNull func(*V) bool // nil when no V is null
	key    []byte        // scratch: the encoded key of the current call
	decode func(key, value []byte) (WindowEntry[K, V], error)
	walks  []*windowWalk // for reuse
}

func (s *joinWindowStore[K, V]) Put(key K, timestamp int64, value V) (stored bool, err error) {
	if timestamp < 0 {
		return false, fmt.Errorf("statestore: store %q: a record at %d, want a time since 1970", s.name, timestamp)
	}
	if s.isNull != nil {
		if v := value; s.isNull(&v) { // a copy, so that value does not escape when there is nothing to ask
			return false, nil
		}
	}
	k, err := s.keys.Append(s.key[:0], key)
	if err != nil {
		return false, s.unencodable("a key", err)
	}
	s.key = appendWindowKey(k, timestamp, s.nextSeq())
	if !s.observe(timestamp) {
		return false, nil
	}
	v, err := s.values.Append(binary.BigEndian.AppendUint64(s.encoded[:0], uint64(timestamp)), value)
	if err != nil {
		return false, s.unencodable("a value", err)
	}
	s.encoded = v
	s.table.Put(s.key, v)
	return true, nil
}

func (s *joinWindowStore[K, V]) Observe(timestamp int64) bool { return s.observe(timestamp) }

func (s *joinWindowStore[K, V]) Fetch(key K, earliest, latest int64) iter.Seq2[WindowEntry[K, V], error] {
	return func(yield func(WindowEntry[K, V], error) bool) {
		k, err := s.keys.Append(s.key[:0], key)
		if err != nil {
			yield(WindowEntry[K, V]{}, s.unencodable("a key", err))
			return
		}
		s.key = k
		w := s.newWalk()
		w.ofAll(s.segments, earliest, saturate(latest))
		w.ofKey(k)
		s.walk(w, yield)
	}
}

func (s *joinWindowStore[K, V]) All() iter.Seq2[WindowEntry[K, V], error] {
	return func(yield func(WindowEntry[K, V], error) bool) {
		w := s.newWalk()
		w.ofAll(s.segments, 0, endOfTime)
		s.walk(w, yield)
	}
}

func (s *joinWindowStore[K, V]) newWalk() *windowWalk {
	if n := len(s.walks); n > 0 {
		w := s.walks[n-1]
		s.walks = s.walks[:n-1]
		return w
	}
	return new(windowWalk)
}

// walk yields the records of a fetch.
func (s *joinWindowStore[K, V]) walk(w *windowWalk, yield func(WindowEntry[K, V], error) bool) {
	if w.from < w.to {
		if err := s.begin(&w.merged, w.lo, w.hi, w.from, w.to, false); err != nil {
			yield(WindowEntry[K, V]{}, err)
			return
		}
		walkEntries(w, s.decode, yield)
	}
	s.walks = append(s.walks, w)
}
