package statestore

// Lookup reads what is committed in some partitions of a key-value store, as View does, for one goroutine: it keeps its buffers from call to call.
type Lookup[K, V any] struct {
	spec       *KeyValueSpec[K, V]
	partitions []Partition
	key, value []byte // scratch
}

// Lookup returns a Lookup of some partitions of the store.
func (s *KeyValueSpec[K, V]) Lookup(partitions []Partition) *Lookup[K, V] {
	return &Lookup[K, V]{spec: s, partitions: partitions}
}

// Get returns the value of a key and its time.
func (l *Lookup[K, V]) Get(key K) (value V, timestamp int64, found bool, err error) {
	if l.key, err = l.spec.key.Append(l.key[:0], key); err != nil {
		return value, 0, false, unencodable(l.spec.name, "a key", err)
	}
	for _, p := range l.partitions {
		v, found, err := p.Get(l.value[:0], l.key)
		if err != nil {
			return value, 0, false, &failure{store: l.spec.name, doing: "get", err: err}
		}
		if !found {
			continue
		}
		l.value = v
		if value, err = decodeValue(l.spec.name, l.spec.value, v); err != nil {
			return value, 0, false, err
		}
		return value, timeOf(v), true, nil
	}
	return value, 0, false, nil
}
