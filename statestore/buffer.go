package statestore

import (
	"github.com/millrace-io/millrace/stream/serde"
)

// BufferSpec is the handle of a buffer that holds back the changes of a table. Immutable; the option methods return a changed copy.
type BufferSpec[K, V any] struct {
	common
	key   serde.Serde[K]
	value serde.Serde[V]
}

// Buffer describes a buffer of changes with one slot per key, in the order of time, then encoded key.
func Buffer[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) *BufferSpec[K, V] {
	return &BufferSpec[K, V]{common: common{name: name}, key: key, value: value}
}

// InMemory keeps the store in memory even when the application keeps its state on disk.
func (s *BufferSpec[K, V]) InMemory() *BufferSpec[K, V] {
	c := *s
	c.inMemory = true
	return &c
}

// WithoutChangelog makes the store a local one that nothing restores: it is as empty as its engine after a move or a loss.
func (s *BufferSpec[K, V]) WithoutChangelog() *BufferSpec[K, V] {
	c := *s
	c.noChangelog = true
	return &c
}

// ChangelogConfig sets a topic setting of the changelog, by Kafka's name.
func (s *BufferSpec[K, V]) ChangelogConfig(key, value string) *BufferSpec[K, V] {
	c := *s
	c.setConfig(key, value)
	return &c
}

// KeySerde is the serde of the keys.
func (s *BufferSpec[K, V]) KeySerde() serde.Serde[K] { return s.key }

// ValueSerde is the serde of the values.
func (s *BufferSpec[K, V]) ValueSerde() serde.Serde[V] { return s.value }

// bufferHeaders mark the changelog's values as of Kafka's third format.
var bufferHeaders = []Header{{Key: "v", Value: []byte{3}}}

// Changelog is a compacted topic.
func (s *BufferSpec[K, V]) Changelog() Changelog {
	c := s.changelog(map[string]string{"cleanup.policy": "compact"})
	c.Headers = bufferHeaders
	return c
}

// BufferStore holds back changes of a table. It belongs to the goroutine of its task.
type BufferStore[K, V any] interface {
	Store
	// Put notes a change of a key. A key without a slot gets one at the given time, and what the change had as old value is the prior one: what the operators below
	// know. A key with a slot keeps its time and prior value, and the rest is replaced. The context's slices are copied.
	Put(time int64, key K, change Buffered[V], from *RecordContext) error
	// Prior returns what the operators below know of a key with a slot: the value before it came. found is false for a key without a slot.
	Prior(key K) (prior V, has, found bool, err error)
	// OldestTime is the time of the first slot; ok is false when there is none.
	OldestTime() (time int64, ok bool)
	// Pop removes the first slot and returns it; ok is false when there is none. now is the time of the record that caused it, for the changelog.
	Pop(now int64) (e BufferEntry[K, V], ok bool, err error)
	// Len is the number of slots.
	Len() int
	// Bytes is what the slots take, counted as Kafka Streams counts them against a buffer's limit.
	Bytes() int64
}

// Buffered is a change of one key.
type Buffered[V any] struct {
	Old, New       V
	HasOld, HasNew bool // false: null
}

// BufferEntry is one slot of a [BufferStore].
type BufferEntry[K, V any] struct {
	Time   int64 // the slot's
	Key    K
	Change Buffered[V] // the last one
	// Prior is the value that the operators below know.
	Prior    V
	HasPrior bool
	Context  RecordContext // of the last change; the caller owns the slices
}
