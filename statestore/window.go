package statestore

import (
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/stream/serde"
)

// WindowSpec is the handle of a window store: values by key and window start. Immutable; the option methods return a changed copy.
type WindowSpec[K, V any] struct {
	common
	key       serde.Serde[K]
	value     serde.Serde[V]
	retention time.Duration
}

// Window describes a store of the latest value of each key and window start, with the time of that value. How long windows are kept is said by Retain;
// an operator that knows its windows does so itself.
func Window[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) *WindowSpec[K, V] {
	return &WindowSpec[K, V]{common: common{name: name}, key: key, value: value}
}

// Retain sets how long windows are kept: a window can be read and written while its start is later than the store's time minus d. The store's time is the
// latest window start that was ever put.
func (s *WindowSpec[K, V]) Retain(d time.Duration) *WindowSpec[K, V] {
	c := *s
	c.retention = d
	return &c
}

// InMemory keeps the store in memory even when the application keeps its state on disk.
func (s *WindowSpec[K, V]) InMemory() *WindowSpec[K, V] {
	c := *s
	c.inMemory = true
	return &c
}

// WithoutChangelog makes the store a local one that nothing restores: it is as empty as its engine after a move or a loss.
func (s *WindowSpec[K, V]) WithoutChangelog() *WindowSpec[K, V] {
	c := *s
	c.noChangelog = true
	return &c
}

// WithoutCache forwards every change of the store at once instead of the last one per commit.
func (s *WindowSpec[K, V]) WithoutCache() *WindowSpec[K, V] {
	c := *s
	c.noCache = true
	return &c
}

// ChangelogConfig sets a topic setting of the changelog, by Kafka's name.
func (s *WindowSpec[K, V]) ChangelogConfig(key, value string) *WindowSpec[K, V] {
	c := *s
	c.setConfig(key, value)
	return &c
}

// KeySerde is the serde of the keys.
func (s *WindowSpec[K, V]) KeySerde() serde.Serde[K] { return s.key }

// ValueSerde is the serde of the values.
func (s *WindowSpec[K, V]) ValueSerde() serde.Serde[V] { return s.value }

// Retention is what Retain set, zero when nothing did.
func (s *WindowSpec[K, V]) Retention() time.Duration { return s.retention }

// Changelog is a compacted topic that also forgets by time.
func (s *WindowSpec[K, V]) Changelog() Changelog {
	keep := s.retention + ExtraChangelogRetention
	return s.changelog(map[string]string{
		"cleanup.policy": "compact,delete",
		"retention.ms":   strconv.FormatInt(keep.Milliseconds(), 10),
	})
}

func (s *WindowSpec[K, V]) check() error {
	if err := check(&s.common, s.key, s.value); err != nil {
		return err
	}
	if s.retention < time.Millisecond {
		return fmt.Errorf("statestore: window store %q: retention %v, want 1ms or more (Retain)", s.name, s.retention)
	}
	return nil
}

// WindowStore is a window store as operators and processors use it. It belongs to the goroutine of its task. Starts are milliseconds since 1970 and not negative.
//
// A null value, of a type that has one, is no value: to put it is to delete the window.
type WindowStore[K, V any] interface {
	Store
	ReadOnlyWindow[K, V]
	// Put sets the value of a window and its time. stored is false for a window beyond the retention, which is dropped.
	Put(key K, start int64, value V, timestamp int64) (stored bool, err error)
	// Delete removes a window.
	Delete(key K, start int64, timestamp int64) (stored bool, err error)
	// ObservedTime is the store's time, from which the retention counts: the latest start that was ever put, -1 before the first.
	ObservedTime() int64
	// OnFlush is KeyValueStore.OnFlush, by key and window start.
	OnFlush(withOld bool, forward func(*Update[WindowKey[K], V]) error) bool
	Noter
}

// ReadOnlyWindow is the reading side of a window store. Windows beyond the retention are not there.
type ReadOnlyWindow[K, V any] interface {
	// Fetch returns the value of one window.
	Fetch(key K, start int64) (value V, found bool, err error)
	// FetchWithTime returns the value of one window and the time of that value.
	FetchWithTime(key K, start int64) (value V, timestamp int64, found bool, err error)
	// FetchRange walks over the windows of a key that start in [from, to), in the order of their starts.
	FetchRange(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error]
	// FetchRangeBackwards is FetchRange from the last start to the first.
	FetchRangeBackwards(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error]
	// FetchKeys walks over the windows of a range of keys that start in [from, to), in the order of FetchAll or, as the range says, backwards.
	FetchKeys(keys Range[K], from, to int64) iter.Seq2[WindowEntry[K, V], error]
	// FetchAll walks over the windows of all keys that start in [from, to), in the order of the encoded keys, then of the starts.
	FetchAll(from, to int64) iter.Seq2[WindowEntry[K, V], error]
	// FetchAllBackwards is FetchAll from the last to the first.
	FetchAllBackwards(from, to int64) iter.Seq2[WindowEntry[K, V], error]
	// All is FetchAll over all starts.
	All() iter.Seq2[WindowEntry[K, V], error]
}

// WindowKey is the key of a window in a store.
type WindowKey[K any] struct {
	Key   K
	Start int64 // ms since 1970
}

// WindowEntry is one window of a window store.
type WindowEntry[K, V any] struct {
	Key       K
	Start     int64 // ms since 1970
	Value     V
	Timestamp int64
}
