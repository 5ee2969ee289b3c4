package statestore

import (
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/stream/serde"
)

// JoinWindowSpec is the handle of the store of one side of a stream-stream join. Immutable; the option methods return a changed copy.
type JoinWindowSpec[K, V any] struct {
	common
	key       serde.Serde[K]
	value     serde.Serde[V]
	retention time.Duration
}

// JoinWindow describes a store of the records of one stream by key and time. It keeps all of them: records of equal key and time do not replace each other. How long
// they are kept is said by Retain, which the join does itself.
func JoinWindow[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) *JoinWindowSpec[K, V] {
	return &JoinWindowSpec[K, V]{common: common{name: name}, key: key, value: value}
}

// Retain sets how long records are kept: one can be read while its time is later than the store's time minus d. The store's time is the latest that was ever put
// into this store, whatever the other side of the join has seen.
func (s *JoinWindowSpec[K, V]) Retain(d time.Duration) *JoinWindowSpec[K, V] {
	c := *s
	c.retention = d
	return &c
}

// InMemory keeps the store in memory even when the application keeps its state on disk.
func (s *JoinWindowSpec[K, V]) InMemory() *JoinWindowSpec[K, V] {
	c := *s
	c.inMemory = true
	return &c
}

// WithoutChangelog makes the store a local one that nothing restores: it is as empty as its engine after a move or a loss.
func (s *JoinWindowSpec[K, V]) WithoutChangelog() *JoinWindowSpec[K, V] {
	c := *s
	c.noChangelog = true
	return &c
}

// ChangelogConfig sets a topic setting of the changelog, by Kafka's name.
func (s *JoinWindowSpec[K, V]) ChangelogConfig(key, value string) *JoinWindowSpec[K, V] {
	c := *s
	c.setConfig(key, value)
	return &c
}

// KeySerde is the serde of the keys.
func (s *JoinWindowSpec[K, V]) KeySerde() serde.Serde[K] { return s.key }

// ValueSerde is the serde of the values.
func (s *JoinWindowSpec[K, V]) ValueSerde() serde.Serde[V] { return s.value }

// Retention is what Retain set, zero when nothing did.
func (s *JoinWindowSpec[K, V]) Retention() time.Duration { return s.retention }

// Changelog is a topic that forgets by time alone: every record has a key of its own, so that there is nothing to compact.
func (s *JoinWindowSpec[K, V]) Changelog() Changelog {
	keep := s.retention + ExtraChangelogRetention
	return s.changelog(map[string]string{
		"cleanup.policy": "delete",
		"retention.ms":   strconv.FormatInt(keep.Milliseconds(), 10),
	})
}

func (s *JoinWindowSpec[K, V]) check() error {
	if err := check(&s.common, s.key, s.value); err != nil {
		return err
	}
	if s.retention < time.Millisecond {
		return fmt.Errorf("statestore: join window store %q: retention %v, want 1ms or more (Retain)", s.name, s.retention)
	}
	return nil
}

// JoinWindowStore is the store of one side of a join. It belongs to the goroutine of its task. Times are milliseconds since 1970 and not negative.
type JoinWindowStore[K, V any] interface {
	Store
	// Put adds a record. stored is false when its time is beyond the retention. A null value, of a type that has one, is no record and changes
	// nothing; stored is false then.
	Put(key K, timestamp int64, value V) (stored bool, err error)
	// Observe moves the store's time without a record, and reports whether one of that time would be stored.
	Observe(timestamp int64) bool
	// Fetch walks over the records of a key with times from earliest to latest, both included as in join windows, in the order of their times and, within one time, of
	// their arrival.
	Fetch(key K, earliest, latest int64) iter.Seq2[WindowEntry[K, V], error]
	// All walks over all records, in the order of the encoded keys, then of the times.
	All() iter.Seq2[WindowEntry[K, V], error]
	// ObservedTime is the store's time, from which the retention counts: the latest that was ever put, -1 before the first.
	ObservedTime() int64
}
