package statestore

import (
	"github.com/millrace-io/millrace/stream/serde"
)

// GraceBufferSpec is the handle of a buffer that lets the records of a stream wait for late changes of a table. Immutable; the option methods return a changed copy.
type GraceBufferSpec[K, V any] struct {
	common
	key   serde.Serde[K]
	value serde.Serde[V]
}

// GraceBuffer describes a buffer of records in the order of their times, then encoded keys, then arrival. It keeps all of them: records of equal key and time do not
// replace each other.
func GraceBuffer[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) *GraceBufferSpec[K, V] {
	return &GraceBufferSpec[K, V]{common: common{name: name}, key: key, value: value}
}

// InMemory keeps the store in memory even when the application keeps its state on disk.
func (s *GraceBufferSpec[K, V]) InMemory() *GraceBufferSpec[K, V] {
	c := *s
	c.inMemory = true
	return &c
}

// WithoutChangelog makes the store a local one that nothing restores: it is as empty as its engine after a move or a loss.
func (s *GraceBufferSpec[K, V]) WithoutChangelog() *GraceBufferSpec[K, V] {
	c := *s
	c.noChangelog = true
	return &c
}

// ChangelogConfig sets a topic setting of the changelog, by Kafka's name.
func (s *GraceBufferSpec[K, V]) ChangelogConfig(key, value string) *GraceBufferSpec[K, V] {
	c := *s
	c.setConfig(key, value)
	return &c
}

// KeySerde is the serde of the keys.
func (s *GraceBufferSpec[K, V]) KeySerde() serde.Serde[K] { return s.key }

// ValueSerde is the serde of the values.
func (s *GraceBufferSpec[K, V]) ValueSerde() serde.Serde[V] { return s.value }

// Changelog is a compacted topic.
func (s *GraceBufferSpec[K, V]) Changelog() Changelog {
	return s.changelog(map[string]string{"cleanup.policy": "compact"})
}

// GraceBufferStore lets records wait. It belongs to the goroutine of its task. Times are milliseconds since 1970 and not negative.
type GraceBufferStore[K, V any] interface {
	Store
	// Add adds a record at the time of its context, whose slices are copied.
	Add(key K, value V, from *RecordContext) error
	// Pop removes the first record and returns it, when its time is not later than until. now is the time of the record that caused it, for the changelog.
	Pop(until, now int64) (e GraceEntry[K, V], ok bool, err error)
}

// GraceEntry is one record of a [GraceBufferStore].
type GraceEntry[K, V any] struct {
	Key     K
	Value   V
	Context RecordContext // its own; the caller owns the slices
}
