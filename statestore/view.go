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
