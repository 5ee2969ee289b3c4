package statestore

import "iter"

// View returns the committed state of some partitions of the store; see KeyValueSpec.View. Each partition has its own time and keeps its sessions by that. The
// spec needs no retention: the view uses the one that the store was opened with.
func (s *SessionSpec[K, V]) View(partitions []Partition) ReadOnlySession[K, V] {
	return &sessionView[K, V]{timedView[K, V, SessionEntry[K, V]]{
		kind:       sessions,
		name:       s.name,
		keys:       s.key,
		values:     s.value,
		partitions: partitions,
		decode:     sessionDecoder(s.name, s.key, s.value),
	}}
}

// sessionView is immutable.
type sessionView[K, V any] struct {
	timedView[K, V, SessionEntry[K, V]]
}

func (w *sessionView[K, V]) FetchSession(key K, start, end int64) (value V, found bool, err error) {
	value, _, found, err = w.get(key, func(k []byte) []byte { return appendSessionKey(k, start, end) })
	return value, found, err
}

func (w *sessionView[K, V]) FindSessions(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return w.fetchKey(key, earliestEnd, endOfTime, latestStart, false)
}

func (w *sessionView[K, V]) FindSessionsBackwards(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return w.fetchKey(key, earliestEnd, endOfTime, latestStart, true)
}

func (w *sessionView[K, V]) FindSessionsOfKeys(keys Range[K], earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return w.fetchKeys(keys, earliestEnd, endOfTime, latestStart)
}

func (w *sessionView[K, V]) Fetch(key K) iter.Seq2[SessionEntry[K, V], error] {
	return w.FindSessions(key, 0, endOfTime)
}

func (w *sessionView[K, V]) FetchBackwards(key K) iter.Seq2[SessionEntry[K, V], error] {
	return w.FindSessionsBackwards(key, 0, endOfTime)
}

func (w *sessionView[K, V]) FetchKeys(keys Range[K]) iter.Seq2[SessionEntry[K, V], error] {
	return w.FindSessionsOfKeys(keys, 0, endOfTime)
}

func (w *sessionView[K, V]) FetchAll(from, to int64) iter.Seq2[SessionEntry[K, V], error] {
	return w.fetchKeys(Range[K]{}, from, to, endOfTime)
}

func (w *sessionView[K, V]) FetchAllBackwards(from, to int64) iter.Seq2[SessionEntry[K, V], error] {
	return w.fetchKeys(Range[K]{}.Backwards(), from, to, endOfTime)
}

func (w *sessionView[K, V]) All() iter.Seq2[SessionEntry[K, V], error] {
	return w.FetchAll(0, endOfTime)
}
