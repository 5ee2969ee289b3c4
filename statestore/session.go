package statestore

import (
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/stream/serde"
)

// SessionSpec is the handle of a session store: values by key and session. Immutable; the option methods return a changed copy.
type SessionSpec[K, V any] struct {
	common
	key       serde.Serde[K]
	value     serde.Serde[V]
	retention time.Duration
	linger    time.Duration
}

// Session describes a store of one value for each session of a key. How long sessions are kept is said by Retain; an operator that knows its sessions does so
// itself.
func Session[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) *SessionSpec[K, V] {
	return &SessionSpec[K, V]{common: common{name: name}, key: key, value: value}
}

// Retain sets how long sessions are kept: a session can be read and written while its end is later than the store's time minus d. The store's time is the
// latest session end that was ever put.
func (s *SessionSpec[K, V]) Retain(d time.Duration) *SessionSpec[K, V] {
	c := *s
	c.retention = d
	return &c
}

// Linger keeps sessions for d longer than Retain says where they are made and restored. Views do not see them any more, and the changelog's settings do not count it: it
// is for an operator that is not done with a session when it leaves.
func (s *SessionSpec[K, V]) Linger(d time.Duration) *SessionSpec[K, V] {
	c := *s
	c.linger = d
	return &c
}

// InMemory keeps the store in memory even when the application keeps its state on disk.
func (s *SessionSpec[K, V]) InMemory() *SessionSpec[K, V] {
	c := *s
	c.inMemory = true
	return &c
}

// WithoutChangelog makes the store a local one that nothing restores: it is as empty as its engine after a move or a loss.
func (s *SessionSpec[K, V]) WithoutChangelog() *SessionSpec[K, V] {
	c := *s
	c.noChangelog = true
	return &c
}

// WithoutCache forwards every change of the store at once instead of the last one per commit.
func (s *SessionSpec[K, V]) WithoutCache() *SessionSpec[K, V] {
	c := *s
	c.noCache = true
	return &c
}

// ChangelogConfig sets a topic setting of the changelog, by Kafka's name.
func (s *SessionSpec[K, V]) ChangelogConfig(key, value string) *SessionSpec[K, V] {
	c := *s
	c.setConfig(key, value)
	return &c
}

// KeySerde is the serde of the keys.
func (s *SessionSpec[K, V]) KeySerde() serde.Serde[K] { return s.key }

// ValueSerde is the serde of the values.
func (s *SessionSpec[K, V]) ValueSerde() serde.Serde[V] { return s.value }

// Retention is what Retain set, zero when nothing did.
func (s *SessionSpec[K, V]) Retention() time.Duration { return s.retention }

// Changelog is a compacted topic that also forgets by time.
func (s *SessionSpec[K, V]) Changelog() Changelog {
	keep := s.retention + ExtraChangelogRetention
	return s.changelog(map[string]string{
		"cleanup.policy": "compact,delete",
		"retention.ms":   strconv.FormatInt(keep.Milliseconds(), 10),
	})
}

func (s *SessionSpec[K, V]) check() error {
	if err := check(&s.common, s.key, s.value); err != nil {
		return err
	}
	if s.retention < time.Millisecond {
		return fmt.Errorf("statestore: session store %q: retention %v, want 1ms or more (Retain)", s.name, s.retention)
	}
	return nil
}

// SessionStore is a session store as operators and processors use it. It belongs to the goroutine of its task.
//
// A session reaches from the time of its first record to that of its last, both in milliseconds since 1970, not negative, and both inside.
//
// A null value, of a type that has one, is no value: to put it is to remove the session.
type SessionStore[K, V any] interface {
	Store
	ReadOnlySession[K, V]
	// Put sets the value of a session. timestamp is that of the record that caused it, for the changelog. stored is false for a session beyond the retention,
	// which is dropped.
	Put(key K, start, end int64, value V, timestamp int64) (stored bool, err error)
	// Remove removes a session. Sessions may be changed while a walk goes over them: a change ahead of the walk may be seen by it or not.
	Remove(key K, start, end int64, timestamp int64) (stored bool, err error)
	// ObservedTime is the store's time, from which the retention counts: the latest session end that was ever put, -1 before the first.
	ObservedTime() int64
	// OnFlush is KeyValueStore.OnFlush, by key and session.
	OnFlush(withOld bool, forward func(*Update[SessionKey[K], V]) error) bool
	Noter
}

// ReadOnlySession is the reading side of a session store. Sessions beyond the retention are not there.
type ReadOnlySession[K, V any] interface {
	// FetchSession returns the value of the one session of a key that reaches from start to end.
	FetchSession(key K, start, end int64) (value V, found bool, err error)
	// FindSessions walks over the sessions of a key that end at earliestEnd or later and start at latestStart or earlier, in the order of their ends, then of their
	// starts. These are all that overlap the time from earliestEnd to latestStart.
	FindSessions(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error]
	// FindSessionsBackwards is FindSessions from the last end to the first.
	FindSessionsBackwards(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error]
	// FindSessionsOfKeys is FindSessions over a range of keys, in the order of FetchAll or, as the range says, backwards.
	FindSessionsOfKeys(keys Range[K], earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error]
	// Fetch walks over all sessions of a key, in the order of their ends, then of their starts.
	Fetch(key K) iter.Seq2[SessionEntry[K, V], error]
	// FetchBackwards is Fetch from the last end to the first.
	FetchBackwards(key K) iter.Seq2[SessionEntry[K, V], error]
	// FetchKeys walks over all sessions of a range of keys, in the order of FetchAll or, as the range says, backwards.
	FetchKeys(keys Range[K]) iter.Seq2[SessionEntry[K, V], error]
	// FetchAll walks over the sessions of all keys that end in [from, to], in the order of the encoded keys, then of the ends.
	FetchAll(from, to int64) iter.Seq2[SessionEntry[K, V], error]
	// FetchAllBackwards is FetchAll from the last to the first.
	FetchAllBackwards(from, to int64) iter.Seq2[SessionEntry[K, V], error]
	// All walks over the sessions of all keys.
	All() iter.Seq2[SessionEntry[K, V], error]
}

// SessionKey is the key of a session in a store.
type SessionKey[K any] struct {
	Key        K
	Start, End int64 // ms since 1970; the session holds both
}

// SessionEntry is one session of a session store.
type SessionEntry[K, V any] struct {
	Key        K
	Start, End int64 // ms since 1970; the session holds both
	Value      V
	Timestamp  int64 // of the record that put it
}
