package statestore

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/statestore/internal/overlay"
	"github.com/millrace-io/millrace/stream/serde"
)

// Open returns the store over its part of an engine; it is a [SessionStore] of the spec's types.
func (s *SessionSpec[K, V]) Open(b Backend) (Store, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	st := &sessionStore[K, V]{
		keys:   s.key,
		values: s.value,
		isNull: serde.NullCheck[V](),
		decode: func(key, value []byte) (SessionEntry[K, V], error) {
			return decodeSession(s.name, s.key, s.value, key, value)
		},
	}
	return st, st.open(s.name, b, !s.noCache, s.retention.Milliseconds(), sessionEnd)
}

// Restore begins to fill a partition from the changelog.
func (s *SessionSpec[K, V]) Restore(p Partition) (Restorer, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return newSessionRestorer(s.name, p, s.retention.Milliseconds())
}

// sessionStore is a SessionStore: types over a retained core.
type sessionStore[K, V any] struct {
	retained
	keys   serde.Serde[K]
	values serde.Serde[V]
	isNull func(*V) bool // nil when no V is null
	key    []byte        // scratch: the encoded key of the current call
	decode func(key, value []byte) (SessionEntry[K, V], error)
	walks  []*sessionWalk // for reuse
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
	k, err := s.keys.Append(s.key[:0], key)
	if err != nil {
		return nil, s.unencodable("a key", err)
	}
	s.key = appendSessionKey(k, start, end)
	return s.key, nil
}

func (s *sessionStore[K, V]) Put(key K, start, end int64, value V, timestamp int64) (stored bool, err error) {
	if s.isNull != nil {
		if v := value; s.isNull(&v) { // a copy, so that value does not escape when there is nothing to ask
			return s.Remove(key, start, end, timestamp)
		}
	}
	k, stored, err := s.admit(key, start, end)
	if err != nil || !stored {
		return false, err
	}
	v, err := s.values.Append(binary.BigEndian.AppendUint64(s.encoded[:0], uint64(timestamp)), value)
	if err != nil {
		return false, s.unencodable("a value", err)
	}
	s.encoded = v
	s.table.Put(k, v)
	return true, nil
}

func (s *sessionStore[K, V]) Remove(key K, start, end int64, timestamp int64) (stored bool, err error) {
	k, stored, err := s.admit(key, start, end)
	if err != nil || !stored {
		return false, err
	}
	s.delete(k, timestamp)
	return true, nil
}

// admit encodes the key of a session that is about to change and moves the store's time to it.
func (s *sessionStore[K, V]) admit(key K, start, end int64) (k []byte, alive bool, err error) {
	if start < 0 || end < start {
		return nil, false, fmt.Errorf("statestore: store %q: a session from %d to %d, want times since 1970, in order", s.name, start, end)
	}
	if k, err = s.sessionKey(key, start, end); err != nil {
		return nil, false, err
	}
	return k, s.observe(end), nil
}

func (s *sessionStore[K, V]) FindSessions(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return s.find(key, earliestEnd, latestStart, false)
}

func (s *sessionStore[K, V]) FindSessionsBackwards(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return s.find(key, earliestEnd, latestStart, true)
}

func (s *sessionStore[K, V]) Fetch(key K) iter.Seq2[SessionEntry[K, V], error] {
	return s.find(key, 0, endOfTime, false)
}

func (s *sessionStore[K, V]) find(key K, earliestEnd, latestStart int64, reverse bool) iter.Seq2[SessionEntry[K, V], error] {
	return func(yield func(SessionEntry[K, V], error) bool) {
		k, err := s.keys.Append(s.key[:0], key)
		if err != nil {
			yield(SessionEntry[K, V]{}, s.unencodable("a key", err))
			return
		}
		s.key = k
		w := s.newWalk()
		w.ofAll(s.segments, earliestEnd, endOfTime)
		w.ofKey(k, latestStart)
		s.walk(w, reverse, yield)
	}
}

func (s *sessionStore[K, V]) FetchAll(from, to int64) iter.Seq2[SessionEntry[K, V], error] {
	return s.fetchAll(from, to, false)
}

func (s *sessionStore[K, V]) FetchAllBackwards(from, to int64) iter.Seq2[SessionEntry[K, V], error] {
	return s.fetchAll(from, to, true)
}

func (s *sessionStore[K, V]) fetchAll(from, to int64, reverse bool) iter.Seq2[SessionEntry[K, V], error] {
	return func(yield func(SessionEntry[K, V], error) bool) {
		w := s.newWalk()
		w.ofAll(s.segments, from, to)
		s.walk(w, reverse, yield)
	}
}

func (s *sessionStore[K, V]) All() iter.Seq2[SessionEntry[K, V], error] {
	return s.FetchAll(0, endOfTime)
}

// sessionWalk is a walk over some sessions of a store, kept for reuse with its memory.
type sessionWalk struct {
	sessionFetch
	merged merged
}

func (w *sessionWalk) next() bool                 { return w.sessionFetch.next(&w.merged) }
func (w *sessionWalk) entry() (key, value []byte) { return w.merged.entry() }
func (w *sessionWalk) close() error               { return w.merged.close() }

func (s *sessionStore[K, V]) newWalk() *sessionWalk {
	if n := len(s.walks); n > 0 {
		w := s.walks[n-1]
		s.walks = s.walks[:n-1]
		return w
	}
	return new(sessionWalk)
}

// walk yields the sessions of a fetch.
func (s *sessionStore[K, V]) walk(w *sessionWalk, reverse bool, yield func(SessionEntry[K, V], error) bool) {
	if w.earliest <= w.latest {
		if err := s.begin(&w.merged, w.lo, w.hi, w.earliest, saturate(w.latest), reverse); err != nil {
			yield(SessionEntry[K, V]{}, err)
			return
		}
		walkEntries(w, s.decode, yield)
	}
	s.walks = append(s.walks, w)
}

func (s *sessionStore[K, V]) NoteHeaders(headers []Header) { s.note(s.key, headers) }

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
