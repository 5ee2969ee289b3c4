package statestore

import (
	"fmt"
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/stream/serde"
)

// VersionedSpec is the handle of a versioned key-value store: what each key had at which time. Immutable; the option methods return a changed copy.
type VersionedSpec[K, V any] struct {
	common
	key     serde.Serde[K]
	value   serde.Serde[V]
	history time.Duration
}

// Versioned describes a store that keeps the latest value of each key for good, and older ones as long as they were valid within the history: the store's time minus
// the history, and later. The store's time is the latest that was ever put.
func Versioned[K, V any](name string, key serde.Serde[K], value serde.Serde[V], history time.Duration) *VersionedSpec[K, V] {
	return &VersionedSpec[K, V]{common: common{name: name}, key: key, value: value, history: history}
}

// InMemory keeps the store in memory even when the application keeps its state on disk.
func (s *VersionedSpec[K, V]) InMemory() *VersionedSpec[K, V] {
	c := *s
	c.inMemory = true
	return &c
}

// WithoutChangelog makes the store a local one that nothing restores: it is as empty as its engine after a move or a loss.
func (s *VersionedSpec[K, V]) WithoutChangelog() *VersionedSpec[K, V] {
	c := *s
	c.noChangelog = true
	return &c
}

// ChangelogConfig sets a topic setting of the changelog, by Kafka's name.
func (s *VersionedSpec[K, V]) ChangelogConfig(key, value string) *VersionedSpec[K, V] {
	c := *s
	c.setConfig(key, value)
	return &c
}

// KeySerde is the serde of the keys.
func (s *VersionedSpec[K, V]) KeySerde() serde.Serde[K] { return s.key }

// ValueSerde is the serde of the values.
func (s *VersionedSpec[K, V]) ValueSerde() serde.Serde[V] { return s.value }

// History is how far back versions are kept.
func (s *VersionedSpec[K, V]) History() time.Duration { return s.history }

// Changelog is a topic that is compacted only when its records are older than the history.
func (s *VersionedSpec[K, V]) Changelog() Changelog {
	lag := s.history + ExtraChangelogRetention
	return s.changelog(map[string]string{
		"cleanup.policy":        "compact",
		"min.compaction.lag.ms": strconv.FormatInt(lag.Milliseconds(), 10),
	})
}

func (s *VersionedSpec[K, V]) check() error {
	if err := check(&s.common, s.key, s.value); err != nil {
		return err
	}
	if s.history < 0 {
		return fmt.Errorf("statestore: versioned store %q: history %v, want 0 or more", s.name, s.history)
	}
	return nil
}

const (
	// NotPut is what Put and Delete return for a time beyond the history: nothing changed.
	NotPut = math.MinInt64
	// StillValid is the end of the latest version of a key.
	StillValid = math.MaxInt64
)

// VersionedStore is a versioned store as operators and processors use it. It belongs to the goroutine of its task. Times are milliseconds since 1970 and not
// negative.
//
// A null value, of a type that has one, is no value: to put it is to delete the key as of that time.
type VersionedStore[K, V any] interface {
	Store
	ReadOnlyVersioned[K, V]
	// Put says what a key has from a time on, until the next time at which something is said of it, which it returns: [StillValid] when there is none. A second value
	// of the same time replaces the first. [NotPut] is returned for a time before the history.
	Put(key K, value V, timestamp int64) (validTo int64, err error)
	// Delete says that a key has nothing from a time on; otherwise it is like Put.
	Delete(key K, timestamp int64) (validTo int64, err error)
	// ObservedTime is the store's time, from which the history counts: the latest that was ever put, -1 before the first.
	ObservedTime() int64
}

// ReadOnlyVersioned is the reading side of a versioned store.
type ReadOnlyVersioned[K, V any] interface {
	// Get returns the latest value of a key and the time it was put for, however long ago.
	Get(key K) (value V, timestamp int64, found bool, err error)
	// GetAsOf returns what a key had at a time, and since when. Before the history only the latest value is found, if it is that old.
	GetAsOf(key K, asOf int64) (value V, timestamp int64, found bool, err error)
	// Versions walks over the versions of a key that were valid at some time in [from, to), from the oldest to the latest. Times when the key had nothing are left
	// out.
	Versions(key K, from, to int64) iter.Seq2[Version[V], error]
	// VersionsBackwards is Versions from the latest to the oldest.
	VersionsBackwards(key K, from, to int64) iter.Seq2[Version[V], error]
}

// Version is what a key had at the times in [ValidFrom, ValidTo).
type Version[V any] struct {
	Value              V
	ValidFrom, ValidTo int64 // ms since 1970; ValidTo is StillValid for the latest version
}
