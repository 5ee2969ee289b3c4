package statestore

import (
	"fmt"
	"iter"
)

// Open returns the store over its part of an engine; it is a [JoinWindowStore] of the spec's types.
func (s *JoinWindowSpec[K, V]) Open(b Backend) (Store, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	j := &joinWindowStore[K, V]{newTimedStore(windows, s.key, s.value, windowDecoder(s.name, s.key, s.value))}
	return j, j.open(s.name, b, false, s.retention.Milliseconds())
}

// Restore begins to fill a partition from the changelog.
func (s *JoinWindowSpec[K, V]) Restore(p Partition) (Restorer, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return newTimedRestorer(windows, s.name, p, s.retention.Milliseconds())
}

// joinWindowStore is a JoinWindowStore: a window store whose keys get a sequence number each.
type joinWindowStore[K, V any] struct {
	timedStore[K, V, WindowEntry[K, V]]
}

func (s *joinWindowStore[K, V]) Put(key K, timestamp int64, value V) (stored bool, err error) {
	if timestamp < 0 {
		return false, fmt.Errorf("statestore: store %q: a record at %d, want a time since 1970", s.name, timestamp)
	}
	if s.null(value) {
		return false, nil
	}
	k, err := s.encodeKey(key)
	if err != nil {
		return false, err
	}
	s.key = appendWindowKey(k, timestamp, s.nextSeq())
	if !s.observe(timestamp) {
		return false, nil
	}
	err = s.put(value, timestamp)
	return err == nil, err
}

func (s *joinWindowStore[K, V]) Observe(timestamp int64) bool { return s.observe(timestamp) }

func (s *joinWindowStore[K, V]) Fetch(key K, earliest, latest int64) iter.Seq2[WindowEntry[K, V], error] {
	return s.fetchKey(key, earliest, latest, endOfTime, false)
}

func (s *joinWindowStore[K, V]) All() iter.Seq2[WindowEntry[K, V], error] {
	return s.fetchKeys(Range[K]{}, 0, endOfTime, endOfTime)
}
