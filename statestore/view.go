package statestore

import (
	"fmt"
	"iter"
)

// View returns the committed state of some partitions of the store, for queries: what operators have staged since the last commit is not in it. Reads may come
// from any goroutine, each on its own; a walk sees each partition as of when it gets there, and keys are in order within a partition.
func (s *KeyValueSpec[K, V]) View(partitions []Partition) ReadOnlyKeyValue[K, V] {
	return &keyValueView[K, V]{spec: s, partitions: partitions}
}

// keyValueView is immutable.
type keyValueView[K, V any] struct {
	spec       *KeyValueSpec[K, V]
	partitions []Partition
}

func (w *keyValueView[K, V]) Get(key K) (value V, found bool, err error) {
	value, _, found, err = w.GetWithTime(key)
	return value, found, err
}

func (w *keyValueView[K, V]) GetWithTime(key K) (value V, timestamp int64, found bool, err error) {
	k, err := w.spec.key.Append(nil, key)
	if err != nil {
		return value, 0, false, unencodable(w.spec.name, "a key", err)
	}
	for _, p := range w.partitions {
		v, found, err := p.Get(nil, k)
		if err != nil {
			return value, 0, false, fmt.Errorf("statestore: store %q: get: %w", w.spec.name, err)
		}
		if found {
			if value, err = decodeValue(w.spec.name, w.spec.value, v); err != nil {
				return value, 0, false, err
			}
			return value, timeOf(v), true, nil
		}
	}
	return value, 0, false, nil
}

func (w *keyValueView[K, V]) Range(r Range[K]) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		lo, hi, none, err := r.bounds(w.spec.key)
		if err != nil {
			yield(Entry[K, V]{}, unencodable(w.spec.name, "a key", err))
			return
		}
		if none {
			return
		}
		for _, p := range w.partitions {
			it, err := p.Scan(lo, hi, r.reverse)
			if err != nil {
				yield(Entry[K, V]{}, fmt.Errorf("statestore: store %q: scan: %w", w.spec.name, err))
				return
			}
			if !walkEntries(engineWalk{it}, func(key, value []byte) (Entry[K, V], error) {
				return decodeEntry(w.spec.name, w.spec.key, w.spec.value, key, value)
			}, yield) {
				return
			}
		}
	}
}

func (w *keyValueView[K, V]) All() iter.Seq2[Entry[K, V], error] { return w.Range(Range[K]{}) }

// View returns the committed state of some partitions of the store; see KeyValueSpec.View. Each partition has its own time and keeps its windows by that. The
// spec needs no retention: the view uses the one that the store was opened with.
func (s *WindowSpec[K, V]) View(partitions []Partition) ReadOnlyWindow[K, V] {
	return &windowView[K, V]{spec: s, partitions: partitions}
}

// windowView is immutable.
type windowView[K, V any] struct {
	spec       *WindowSpec[K, V]
	partitions []Partition
}

func (w *windowView[K, V]) Fetch(key K, start int64) (value V, found bool, err error) {
	value, _, found, err = w.FetchWithTime(key, start)
	return value, found, err
}

func (w *windowView[K, V]) FetchWithTime(key K, start int64) (value V, timestamp int64, found bool, err error) {
	k, err := w.spec.key.Append(nil, key)
	if err != nil {
		return value, 0, false, unencodable(w.spec.name, "a key", err)
	}
	k = appendWindowKey(k, start, 0)
	for _, p := range w.partitions {
		s, err := viewSegments(w.spec.name, p, windowStart)
		if err != nil {
			return value, 0, false, err
		}
		if start < 0 || !s.alive(start) {
			continue
		}
		v, found, err := p.Get(nil, s.engineKey(nil, k))
		if err != nil {
			return value, 0, false, fmt.Errorf("statestore: store %q: get: %w", w.spec.name, err)
		}
		if found {
			if value, err = decodeValue(w.spec.name, w.spec.value, v); err != nil {
				return value, 0, false, err
			}
			return value, timeOf(v), true, nil
		}
	}
	return value, 0, false, nil
}

// viewSegments reads the clock of a committed store with retention.
func viewSegments(store string, p Partition, timeOf func(key []byte) int64) (*segments, error) {
	s, err := openSegments(p, 0, timeOf)
	if err != nil {
		return nil, fmt.Errorf("statestore: store %q: %w", store, err)
	}
	s.retention = s.savedRetention()
	return s, nil
}

func (w *windowView[K, V]) FetchRange(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return w.fetchKey(key, from, to, false)
}

func (w *windowView[K, V]) FetchRangeBackwards(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return w.fetchKey(key, from, to, true)
}

func (w *windowView[K, V]) fetchKey(key K, from, to int64, reverse bool) iter.Seq2[WindowEntry[K, V], error] {
	return w.fetch(reverse, func(f *fetch, s *segments) error {
		k, err := w.spec.key.Append(nil, key)
		f.ofAll(s, from, to)
		f.ofKey(k)
		return err
	})
}

func (w *windowView[K, V]) FetchAll(from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return w.fetchAll(from, to, false)
}

func (w *windowView[K, V]) FetchAllBackwards(from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return w.fetchAll(from, to, true)
}

func (w *windowView[K, V]) fetchAll(from, to int64, reverse bool) iter.Seq2[WindowEntry[K, V], error] {
	return w.fetch(reverse, func(f *fetch, s *segments) error {
		f.ofAll(s, from, to)
		return nil
	})
}

func (w *windowView[K, V]) All() iter.Seq2[WindowEntry[K, V], error] {
	return w.FetchAll(0, endOfTime)
}

// fetch walks over a range of every partition.
func (w *windowView[K, V]) fetch(reverse bool, of func(*fetch, *segments) error) iter.Seq2[WindowEntry[K, V], error] {
	return func(yield func(WindowEntry[K, V], error) bool) {
		for _, p := range w.partitions {
			walk, err := w.open(p, reverse, of)
			if err != nil {
				yield(WindowEntry[K, V]{}, err)
				return
			}
			if !walkEntries(walk, func(key, value []byte) (WindowEntry[K, V], error) {
				return decodeWindow(w.spec.name, w.spec.key, w.spec.value, key, value)
			}, yield) {
				return
			}
		}
	}
}

func (w *windowView[K, V]) open(p Partition, reverse bool, of func(*fetch, *segments) error) (*fetchWalk, error) {
	s, err := viewSegments(w.spec.name, p, windowStart)
	if err != nil {
		return nil, err
	}
	walk := new(fetchWalk)
	if err := of(&walk.fetch, s); err != nil {
		return nil, unencodable(w.spec.name, "a key", err)
	}
	it, err := s.scan(p, walk.lo, walk.hi, walk.from, walk.to, reverse)
	if err != nil {
		return nil, fmt.Errorf("statestore: store %q: scan: %w", w.spec.name, err)
	}
	walk.engine = engineWalk{it}
	return walk, nil
}
