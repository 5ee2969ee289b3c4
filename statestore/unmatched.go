package statestore

import (
	"iter"

	"github.com/millrace-io/millrace/stream/serde"
)

// UnmatchedSpec is the handle of the store that both sides of a left or outer stream-stream join share. Immutable; the option methods return a changed copy.
type UnmatchedSpec[K, L, R any] struct {
	common
	key   serde.Serde[K]
	left  serde.Serde[L]
	right serde.Serde[R]
}

// Unmatched describes a store of the records of two streams that have not met a partner yet, in the order of their times.
func Unmatched[K, L, R any](name string, key serde.Serde[K], left serde.Serde[L], right serde.Serde[R]) *UnmatchedSpec[K, L, R] {
	return &UnmatchedSpec[K, L, R]{common: common{name: name}, key: key, left: left, right: right}
}

// InMemory keeps the store in memory even when the application keeps its state on disk.
func (s *UnmatchedSpec[K, L, R]) InMemory() *UnmatchedSpec[K, L, R] {
	c := *s
	c.inMemory = true
	return &c
}

// WithoutChangelog makes the store a local one that nothing restores: it is as empty as its engine after a move or a loss.
func (s *UnmatchedSpec[K, L, R]) WithoutChangelog() *UnmatchedSpec[K, L, R] {
	c := *s
	c.noChangelog = true
	return &c
}

// ChangelogConfig sets a topic setting of the changelog, by Kafka's name.
func (s *UnmatchedSpec[K, L, R]) ChangelogConfig(key, value string) *UnmatchedSpec[K, L, R] {
	c := *s
	c.setConfig(key, value)
	return &c
}

// KeySerde is the serde of the keys.
func (s *UnmatchedSpec[K, L, R]) KeySerde() serde.Serde[K] { return s.key }

// Changelog is a compacted topic.
func (s *UnmatchedSpec[K, L, R]) Changelog() Changelog {
	return s.changelog(map[string]string{"cleanup.policy": "compact"})
}

func (s *UnmatchedSpec[K, L, R]) check() error {
	if err := check(&s.common, s.key, s.left); err != nil {
		return err
	}
	return check(&s.common, s.key, s.right)
}

// Side is a side of a join. The right one is first in the order of equal times.
type Side uint8

const (
	Right Side = 0
	Left  Side = 1
)

// UnmatchedStore is the store of records that wait for a partner. It belongs to the goroutine of its task. Times are milliseconds since 1970 and not negative.
type UnmatchedStore[K, L, R any] interface {
	Store
	// AddLeft adds a record of the left side, after others of equal key and time.
	AddLeft(key K, timestamp int64, value L) error
	// AddRight adds a record of the right side.
	AddRight(key K, timestamp int64, value R) error
	// Delete removes all records of a side with this key and time, if there are any. now is the time of the record that caused it, for the changelog.
	Delete(side Side, key K, timestamp int64, now int64) (deleted bool, err error)
	// Oldest walks over the records by time, then side (right first), then encoded key, then arrival. Records may be deleted meanwhile.
	Oldest() iter.Seq2[UnmatchedEntry[K, L, R], error]
	// OldestTime is not later than the time of any record in the store: as long as a record of that time is not due, there is no need to walk. ok is false when the
	// store is known to be empty.
	OldestTime() (timestamp int64, ok bool)
}

// UnmatchedEntry is one record of an [UnmatchedStore].
type UnmatchedEntry[K, L, R any] struct {
	Key       K
	Timestamp int64
	Side      Side
	Left      L // of the left side
	Right     R // of the right side
}
