package statestore

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/statestore/internal/overlay"
	"github.com/millrace-io/millrace/stream/serde"
)

// The key of a session, in the changelog as Kafka Streams writes it:
//
//	┌─────────┬─────────┬───────────┐
//	│ key   n │ end   8 │ start   8 │   big-endian
//	└─────────┴─────────┴───────────┘
const sessionSuffixBytes = 16

// sessions is the kind of session stores. It has no state to share.
var sessions = &timed{
	what:   "a session",
	suffix: sessionSuffixBytes,
	timeOf: sessionEnd,
	valid:  func(key []byte) bool { return sessionStart(key) >= 0 && sessionEnd(key) >= sessionStart(key) },
}

// appendSessionKey appends the key of a session whose encoded key is in dst.
func appendSessionKey(dst []byte, start, end int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, uint64(end)), uint64(start))
}

// sessionEnd is the end in the key of a session.
func sessionEnd(key []byte) int64 {
	return int64(binary.BigEndian.Uint64(key[len(key)-sessionSuffixBytes:]))
}

// sessionStart is the start in the key of a session.
func sessionStart(key []byte) int64 { return int64(binary.BigEndian.Uint64(key[len(key)-8:])) }

// sessionDecoder decodes the entries of a session store.
func sessionDecoder[K, V any](store string, keys serde.Serde[K], values serde.Serde[V]) func(key, value []byte) (SessionEntry[K, V], error) {
	return func(key, value []byte) (s SessionEntry[K, V], err error) {
		e, err := decodeTimed(sessions, store, keys, values, key, value)
		if err != nil {
			return s, err
		}
		return SessionEntry[K, V]{Key: e.Key, Start: sessionStart(key), End: sessionEnd(key), Value: e.Value, Timestamp: e.Timestamp}, nil
	}
}

// Open returns the store over its part of an engine; it is a [SessionStore] of the spec's types.
func (s *SessionSpec[K, V]) Open(b Backend) (Store, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	st := &sessionStore[K, V]{newTimedStore(sessions, s.key, s.value, sessionDecoder(s.name, s.key, s.value))}
	if err := st.open(s.name, b, !s.noCache, (s.retention + s.linger).Milliseconds()); err != nil {
		return nil, err
	}
	st.segments.unseen, st.committed.unseen = s.linger.Milliseconds(), s.linger.Milliseconds()
	return st, nil
}

// Restore begins to fill a partition from the changelog.
func (s *SessionSpec[K, V]) Restore(p Partition) (Restorer, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	r, err := newTimedRestorer(sessions, s.name, p, (s.retention + s.linger).Milliseconds())
	if err != nil {
		return nil, err
	}
	r.segments.unseen = s.linger.Milliseconds()
	return r, nil
}

// sessionStore is a SessionStore.
type sessionStore[K, V any] struct {
	timedStore[K, V, SessionEntry[K, V]]
}

func (s *sessionStore[K, V]) FetchSession(key K, start, end int64) (value V, found bool, err error) {
	if start < 0 || end < start || !s.alive(end) {
		return value, false, nil
	}
	k, err := s.sessionKey(key, start, end)
	if err != nil {
		return value, false, err
	}
	v, found, err := s.get(k)
	if err != nil || !found {
		return value, false, err
	}
	value, err = decodeValue(s.name, s.values, v)
	return value, err == nil, err
}

func (s *sessionStore[K, V]) sessionKey(key K, start, end int64) ([]byte, error) {
	k, err := s.encodeKey(key)
	if err != nil {
		return nil, err
	}
	s.key = appendSessionKey(k, start, end)
	return s.key, nil
}

func (s *sessionStore[K, V]) Put(key K, start, end int64, value V, timestamp int64) (stored bool, err error) {
	if s.null(value) {
		return s.Remove(key, start, end, timestamp)
	}
	if stored, err = s.admit(key, start, end); err != nil || !stored {
		return false, err
	}
	err = s.put(value, timestamp)
	return err == nil, err
}

func (s *sessionStore[K, V]) Remove(key K, start, end int64, timestamp int64) (stored bool, err error) {
	if stored, err = s.admit(key, start, end); err != nil || !stored {
		return false, err
	}
	s.delete(s.key, timestamp)
	return true, nil
}

// admit encodes the key of a session that is about to change and moves the store's time to it.
func (s *sessionStore[K, V]) admit(key K, start, end int64) (alive bool, err error) {
	if start < 0 || end < start {
		return false, fmt.Errorf("statestore: store %q: a session from %d to %d, want times since 1970, in order", s.name, start, end)
	}
	if _, err := s.sessionKey(key, start, end); err != nil {
		return false, err
	}
	return s.observe(end), nil
}

func (s *sessionStore[K, V]) FindSessions(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return s.fetchKey(key, earliestEnd, endOfTime, latestStart, false)
}

func (s *sessionStore[K, V]) FindSessionsBackwards(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return s.fetchKey(key, earliestEnd, endOfTime, latestStart, true)
}

func (s *sessionStore[K, V]) FindSessionsOfKeys(keys Range[K], earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return s.fetchKeys(keys, earliestEnd, endOfTime, latestStart)
}

func (s *sessionStore[K, V]) Fetch(key K) iter.Seq2[SessionEntry[K, V], error] {
	return s.FindSessions(key, 0, endOfTime)
}

func (s *sessionStore[K, V]) FetchBackwards(key K) iter.Seq2[SessionEntry[K, V], error] {
	return s.FindSessionsBackwards(key, 0, endOfTime)
}

func (s *sessionStore[K, V]) FetchKeys(keys Range[K]) iter.Seq2[SessionEntry[K, V], error] {
	return s.FindSessionsOfKeys(keys, 0, endOfTime)
}

func (s *sessionStore[K, V]) FetchAll(from, to int64) iter.Seq2[SessionEntry[K, V], error] {
	return s.fetchKeys(Range[K]{}, from, to, endOfTime)
}

func (s *sessionStore[K, V]) FetchAllBackwards(from, to int64) iter.Seq2[SessionEntry[K, V], error] {
	return s.fetchKeys(Range[K]{}.Backwards(), from, to, endOfTime)
}

func (s *sessionStore[K, V]) All() iter.Seq2[SessionEntry[K, V], error] {
	return s.FetchAll(0, endOfTime)
}

func (s *sessionStore[K, V]) OnFlush(withOld bool, forward func(*Update[SessionKey[K], V]) error) bool {
	var u Update[SessionKey[K], V]
	return s.onFlush(withOld, func(p overlay.Pending) error {
		key, err := s.keys.Decode(p.Key[:len(p.Key)-sessionSuffixBytes])
		if err != nil {
			return s.fail("decode a key", err)
		}
		start, end := sessionStart(p.Key), sessionEnd(p.Key)
		if err := fillUpdate(&s.core, &u, s.values, p); err != nil {
			return err
		}
		u.Key = SessionKey[K]{Key: key, Start: start, End: end}
		return forward(&u)
	})
}
