package statestore

import (
	"fmt"
	"iter"
)

// View returns the committed state of some partitions of the store; see KeyValueSpec.View. Each partition has its own time and keeps its sessions by that. The
// spec needs no retention: the view uses the one that the store was opened with.
func (s *SessionSpec[K, V]) View(partitions []Partition) ReadOnlySession[K, V] {
	return &sessionView[K, V]{spec: s, partitions: partitions}
}

// sessionView is immutable.
type sessionView[K, V any] struct {
	spec       *SessionSpec[K, V]
	partitions []Partition
}

func (w *sessionView[K, V]) FetchSession(key K, start, end int64) (value V, found bool, err error) {
	k, err := w.spec.key.Append(nil, key)
	if err != nil {
		return value, false, unencodable(w.spec.name, "a key", err)
	}
	k = appendSessionKey(k, start, end)
	for _, p := range w.partitions {
		s, err := viewSegments(w.spec.name, p, sessionEnd)
		if err != nil {
			return value, false, err
		}
		if start < 0 || end < start || !s.alive(end) {
			continue
		}
		v, found, err := p.Get(nil, s.engineKey(nil, k))
		if err != nil {
			return value, false, fmt.Errorf("statestore: store %q: get: %w", w.spec.name, err)
		}
		if found {
			value, err = decodeValue(w.spec.name, w.spec.value, v)
			return value, err == nil, err
		}
	}
	return value, false, nil
}

func (w *sessionView[K, V]) FindSessions(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return w.find(key, earliestEnd, latestStart, false)
}

func (w *sessionView[K, V]) FindSessionsBackwards(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return w.find(key, earliestEnd, latestStart, true)
}

func (w *sessionView[K, V]) Fetch(key K) iter.Seq2[SessionEntry[K, V], error] {
	return w.find(key, 0, endOfTime, false)
}

func (w *sessionView[K, V]) find(key K, earliestEnd, latestStart int64, reverse bool) iter.Seq2[SessionEntry[K, V], error] {
	return w.fetch(reverse, func(f *sessionFetch, s *segments) error {
		k, err := w.spec.key.Append(nil, key)
		f.ofAll(s, earliestEnd, endOfTime)
		f.ofKey(k, latestStart)
		return err
	})
}

func (w *sessionView[K, V]) FetchAll(from, to int64) iter.Seq2[SessionEntry[K, V], error] {
	return w.fetchAll(from, to, false)
}

func (w *sessionView[K, V]) FetchAllBackwards(from, to int64) iter.Seq2[SessionEntry[K, V], error] {
	return w.fetchAll(from, to, true)
}

func (w *sessionView[K, V]) fetchAll(from, to int64, reverse bool) iter.Seq2[SessionEntry[K, V], error] {
	return w.fetch(reverse, func(f *sessionFetch, s *segments) error {
		f.ofAll(s, from, to)
		return nil
	})
}

func (w *sessionView[K, V]) All() iter.Seq2[SessionEntry[K, V], error] {
	return w.FetchAll(0, endOfTime)
}

// fetch walks over a range of every partition.
func (w *sessionView[K, V]) fetch(reverse bool, of func(*sessionFetch, *segments) error) iter.Seq2[SessionEntry[K, V], error] {
	return func(yield func(SessionEntry[K, V], error) bool) {
		for _, p := range w.partitions {
			walk, err := w.open(p, reverse, of)
			if err != nil {
				yield(SessionEntry[K, V]{}, err)
				return
			}
			if !walkEntries(walk, func(key, value []byte) (SessionEntry[K, V], error) {
				return decodeSession(w.spec.name, w.spec.key, w.spec.value, key, value)
			}, yield) {
				return
			}
		}
	}
}

// sessionFetchWalk is a fetch from an engine alone.
type sessionFetchWalk struct {
	sessionFetch
	engine engineWalk
}

func (w *sessionFetchWalk) next() bool                 { return w.sessionFetch.next(w.engine) }
func (w *sessionFetchWalk) entry() (key, value []byte) { return w.engine.entry() }
func (w *sessionFetchWalk) close() error               { return w.engine.close() }

func (w *sessionView[K, V]) open(p Partition, reverse bool, of func(*sessionFetch, *segments) error) (*sessionFetchWalk, error) {
	s, err := viewSegments(w.spec.name, p, sessionEnd)
	if err != nil {
		return nil, err
	}
	walk := new(sessionFetchWalk)
	if err := of(&walk.sessionFetch, s); err != nil {
		return nil, unencodable(w.spec.name, "a key", err)
	}
	it, err := s.scan(p, walk.lo, walk.hi, walk.earliest, saturate(walk.latest), reverse)
	if err != nil {
		return nil, fmt.Errorf("statestore: store %q: scan: %w", w.spec.name, err)
	}
	walk.engine = engineWalk{it}
	return walk, nil
}
