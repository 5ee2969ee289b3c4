package statestore

import (
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/stream/serde"
)

// KeyValueSpec is the handle of a key-value store: its name, types and serdes, declared once and used by the topology, tests and queries. Immutable; the
// option methods return a changed copy.
type KeyValueSpec[K, V any] struct {
	common
	key   serde.Serde[K]
	value serde.Serde[V]
	ttl   time.Duration // 0: for good
}

// KeyValue describes a store of the latest value of each key, with the time of that value.
func KeyValue[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) *KeyValueSpec[K, V] {
	return &KeyValueSpec[K, V]{common: common{name: name}, key: key, value: value}
}

// InMemory keeps the store in memory even when the application keeps its state on disk.
func (s *KeyValueSpec[K, V]) InMemory() *KeyValueSpec[K, V] {
	c := *s
	c.inMemory = true
	return &c
}

// WithoutChangelog makes the store a local one that nothing restores: it is as empty as its engine after a move or a loss.
func (s *KeyValueSpec[K, V]) WithoutChangelog() *KeyValueSpec[K, V] {
	c := *s
	c.noChangelog = true
	return &c
}

// WithoutCache forwards every change of the store at once instead of the last one per commit.
func (s *KeyValueSpec[K, V]) WithoutCache() *KeyValueSpec[K, V] {
	c := *s
	c.noCache = true
	return &c
}

// ChangelogConfig sets a topic setting of the changelog, by Kafka's name.
func (s *KeyValueSpec[K, V]) ChangelogConfig(key, value string) *KeyValueSpec[K, V] {
	c := *s
	c.setConfig(key, value)
	return &c
}

// ExpireAfter makes the store forget: an entry can be read while its time is later than the task's stream time minus d. That costs nothing per read; what has expired
// is removed bit by bit with the commits.
//
// The store forgets silently. Operators below a table are not told, and when the key comes back its old value counts as none; so don't aggregate a table whose store
// expires. A view has no stream time and may show an entry for some commits after it expired; the entry's time tells. The changelog forgets by time too.
func (s *KeyValueSpec[K, V]) ExpireAfter(d time.Duration) *KeyValueSpec[K, V] {
	c := *s
	c.ttl = d
	return &c
}

// TTL is what ExpireAfter set, zero when nothing did.
func (s *KeyValueSpec[K, V]) TTL() time.Duration { return s.ttl }

// KeySerde is the serde of the keys.
func (s *KeyValueSpec[K, V]) KeySerde() serde.Serde[K] { return s.key }

// ValueSerde is the serde of the values.
func (s *KeyValueSpec[K, V]) ValueSerde() serde.Serde[V] { return s.value }

// Changelog is a compacted topic, which also forgets by time when the store does.
func (s *KeyValueSpec[K, V]) Changelog() Changelog {
	if s.ttl > 0 {
		keep := s.ttl + ExtraChangelogRetention
		return s.changelog(map[string]string{"cleanup.policy": "compact,delete", "retention.ms": strconv.FormatInt(keep.Milliseconds(), 10)})
	}
	return s.changelog(map[string]string{"cleanup.policy": "compact"})
}

// Open returns the store over its part of an engine; it is a [KeyValueStore] of the spec's types.
func (s *KeyValueSpec[K, V]) Open(b Backend) (Store, error) {
	if err := check(&s.common, s.key, s.value); err != nil {
		return nil, err
	}
	switch {
	case s.ttl != 0 && s.ttl < time.Millisecond:
		return nil, fmt.Errorf("statestore: store %q expires after %v, want 1ms or more (ExpireAfter)", s.name, s.ttl)
	case s.ttl != 0 && b.StreamTime == nil:
		return nil, fmt.Errorf("statestore: store %q expires, and its backend has no stream time", s.name)
	}
	return newKeyValueStore(s, b), nil
}

// Restore begins to fill a partition from the changelog.
func (s *KeyValueSpec[K, V]) Restore(p Partition) (Restorer, error) {
	return &keyValueRestorer{partition: p}, nil
}

// KeyValueStore is a key-value store as operators and processors use it. It belongs to the goroutine of its task.
//
// A null value, of a type that has one, is no value: to put it is to delete the key.
type KeyValueStore[K, V any] interface {
	Store
	ReadOnlyKeyValue[K, V]
	// Put sets the value of a key and its time, whatever time the value before it had.
	Put(key K, value V, timestamp int64) error
	// Delete removes a key. The changelog gets a tombstone with the timestamp even if the key had no value.
	Delete(key K, timestamp int64) error
	// OnFlush registers who is told about changes by Flush, and whether with the value that the key had before. It returns false when the store does not
	// hold changes back: then forward is not kept, and the caller forwards every change itself. At most one can be registered.
	OnFlush(withOld bool, forward func(*Update[K, V]) error) bool
	Noter
}

// ReadOnlyKeyValue is the reading side of a key-value store.
type ReadOnlyKeyValue[K, V any] interface {
	// Get returns the value of a key.
	Get(key K) (value V, found bool, err error)
	// GetWithTime returns the value of a key and the time of that value.
	GetWithTime(key K) (value V, timestamp int64, found bool, err error)
	// Range walks over the entries in r, in the order of the encoded keys. A store may be changed meanwhile: a change ahead of the walk may be seen by it or not.
	Range(r Range[K]) iter.Seq2[Entry[K, V], error]
	// All is Range over everything.
	All() iter.Seq2[Entry[K, V], error]
}

// Entry is one entry of a key-value store.
type Entry[K, V any] struct {
	Key       K
	Value     V
	Timestamp int64
}

// Update is what became of one key between two flushes, valid during the call that gets it.
type Update[K, V any] struct {
	Key            K
	New, Old       V
	HasNew, HasOld bool  // false: the key has or had no value. HasOld is always false when old values were not asked for.
	Timestamp      int64 // of the last change
}
