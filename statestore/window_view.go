package statestore

import "iter"

// View returns the committed state of some partitions of the store; see KeyValueSpec.View. Each partition has its own time and keeps its windows by that. The
// spec needs no retention: the view uses the one that the store was opened with.
func (s *WindowSpec[K, V]) View(partitions []Partition) ReadOnlyWindow[K, V] {
	return &windowView[K, V]{timedView[K, V, WindowEntry[K, V]]{
		kind:       windows,
		name:       s.name,
		keys:       s.key,
		values:     s.value,
		partitions: partitions,
		decode:     windowDecoder(s.name, s.key, s.value),
	}}
}

// windowView is immutable.
type windowView[K, V any] struct {
	timedView[K, V, WindowEntry[K, V]]
}

func (w *windowView[K, V]) Fetch(key K, start int64) (value V, found bool, err error) {
	value, _, found, err = w.FetchWithTime(key, start)
	return value, found, err
}

func (w *windowView[K, V]) FetchWithTime(key K, start int64) (value V, timestamp int64, found bool, err error) {
	return w.get(key, func(k []byte) []byte { return appendWindowKey(k, start, 0) })
}

func (w *windowView[K, V]) FetchRange(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return w.fetchKey(key, from, before(to), endOfTime, false)
}

func (w *windowView[K, V]) FetchRangeBackwards(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return w.fetchKey(key, from, before(to), endOfTime, true)
}

func (w *windowView[K, V]) FetchKeys(keys Range[K], from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return w.fetchKeys(keys, from, before(to), endOfTime)
}

func (w *windowView[K, V]) FetchAll(from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return w.FetchKeys(Range[K]{}, from, to)
}

func (w *windowView[K, V]) FetchAllBackwards(from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return w.FetchKeys(Range[K]{}.Backwards(), from, to)
}

func (w *windowView[K, V]) All() iter.Seq2[WindowEntry[K, V], error] {
	return w.FetchAll(0, endOfTime)
}
