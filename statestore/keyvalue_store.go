package statestore

import (
	"encoding/binary"
	"iter"

	"github.com/millrace-io/millrace/statestore/internal/overlay"
	"github.com/millrace-io/millrace/stream/serde"
)

// keyValueStore is a KeyValueStore: types over a core.
type keyValueStore[K, V any] struct {
	core
	keys   serde.Serde[K]
	values serde.Serde[V]
	isNull func(*V) bool // nil when no V is null
	key    []byte        // scratch: the encoded key of the current call
	sweep  sweep         // of a store that expires
}

func newKeyValueStore[K, V any](s *KeyValueSpec[K, V], b Backend) *keyValueStore[K, V] {
	st := &keyValueStore[K, V]{
		core:   newCore(s.name, b, !s.noCache, plain{}),
		keys:   s.key,
		values: s.value,
		isNull: serde.NullCheck[V](),
	}
	if s.ttl > 0 {
		ttl := s.ttl.Milliseconds()
		st.expired = func(value []byte) bool { return timeOf(value) <= b.StreamTime()-ttl }
	}
	return st
}

func (s *keyValueStore[K, V]) Get(key K) (value V, found bool, err error) {
	value, _, found, err = s.GetWithTime(key)
	return value, found, err
}

func (s *keyValueStore[K, V]) GetWithTime(key K) (value V, timestamp int64, found bool, err error) {
	k, err := s.encodeKey(key)
	if err != nil {
		return value, 0, false, err
	}
	v, found, err := s.get(k)
	if err != nil || !found || s.expired != nil && s.expired(v) {
		return value, 0, false, err
	}
	if value, err = decodeValue(s.name, s.values, v); err != nil {
		return value, 0, false, err
	}
	return value, timeOf(v), true, nil
}

func (s *keyValueStore[K, V]) encodeKey(key K) ([]byte, error) {
	k, err := s.keys.Append(s.key[:0], key)
	if err != nil {
		return nil, s.unencodable("a key", err)
	}
	s.key = k
	return k, nil
}

func (s *keyValueStore[K, V]) Put(key K, value V, timestamp int64) error {
	if s.isNull != nil {
		if v := value; s.isNull(&v) { // a copy, so that value does not escape when there is nothing to ask
			return s.Delete(key, timestamp)
		}
	}
	k, err := s.encodeKey(key)
	if err != nil {
		return err
	}
	v, err := s.values.Append(binary.BigEndian.AppendUint64(s.encoded[:0], uint64(timestamp)), value)
	if err != nil {
		return s.unencodable("a value", err)
	}
	s.encoded = v
	s.table.Put(k, v)
	return nil
}

func (s *keyValueStore[K, V]) Delete(key K, timestamp int64) error {
	k, err := s.encodeKey(key)
	if err != nil {
		return err
	}
	s.delete(k, timestamp)
	return nil
}

func (s *keyValueStore[K, V]) Range(r Range[K]) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		lo, hi, none, err := r.bounds(s.keys)
		if err != nil {
			yield(Entry[K, V]{}, s.unencodable("a key", err))
			return
		}
		if none {
			return
		}
		it, err := s.partition.Scan(lo, hi, r.reverse)
		if err != nil {
			yield(Entry[K, V]{}, s.fail("scan", err))
			return
		}
		m := &keyValueWalk{expired: s.expired}
		s.over(&m.merged, it, lo, hi, r.reverse)
		walkEntries(m, s.decodeEntry, yield)
	}
}

// keyValueWalk is a walk over what has not expired.
type keyValueWalk struct {
	merged
	expired func(value []byte) bool // nil: nothing has
}

func (w *keyValueWalk) next() bool {
	for w.merged.next() {
		if v := w.merged.value; w.expired == nil || len(v) < timestampBytes || !w.expired(v) {
			return true
		}
	}
	return false
}

func (s *keyValueStore[K, V]) All() iter.Seq2[Entry[K, V], error] { return s.Range(Range[K]{}) }

func (s *keyValueStore[K, V]) decodeEntry(key, value []byte) (e Entry[K, V], err error) {
	return decodeEntry(s.name, s.keys, s.values, key, value)
}

func (s *keyValueStore[K, V]) NoteHeaders(headers []Header) { s.note(s.key, headers) }

func (s *keyValueStore[K, V]) OnFlush(withOld bool, forward func(*Update[K, V]) error) bool {
	var u Update[K, V]
	return s.onFlush(withOld, func(p overlay.Pending) error {
		key, err := s.keys.Decode(p.Key)
		if err != nil {
			return s.fail("decode a key", err)
		}
		if err := fillUpdate(&s.core, &u, s.values, p); err != nil {
			return err
		}
		u.Key = key
		return forward(&u)
	})
}

// fillUpdate decodes the values of a pending change.
func fillUpdate[K, V any](c *core, u *Update[K, V], values serde.Serde[V], p overlay.Pending) (err error) {
	*u = Update[K, V]{HasNew: p.Has, Timestamp: timeOf(p.Value)}
	if p.Has {
		if u.New, err = decodeValue(c.name, values, p.Value); err != nil {
			return err
		}
	}
	if c.withOld && p.Old == overlay.OldPresent {
		u.HasOld = true
		if u.Old, err = decodeValue(c.name, values, p.OldValue); err != nil {
			return err
		}
	}
	return nil
}

// Stage adds the staged changes, and the deletion of some of what has expired.
func (s *keyValueStore[K, V]) Stage(b Batch) error {
	if s.expired != nil {
		if err := s.sweep.run(&s.core, b); err != nil { // first: what is staged for such a key wins
			return err
		}
	}
	return s.core.Stage(b)
}
