package statestore

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/statestore/internal/overlay"
	"github.com/millrace-io/millrace/stream/serde"
)

// The key of a window, in the changelog as Kafka Streams writes it:
//
//	┌─────────┬───────────┬──────────┐
//	│ key   n │ start   8 │ seq    4 │   big-endian; seq tells values of equal key and start apart in a store that keeps duplicates, else 0
//	└─────────┴───────────┴──────────┘
const (
	windowSeqBytes    = 4
	windowSuffixBytes = 8 + windowSeqBytes
)

// windows is the kind of window stores. It has no state to share.
var windows = &timed{
	what:     "a window",
	suffix:   windowSuffixBytes,
	numbered: true,
	timeOf:   windowStart,
	valid:    func(key []byte) bool { return windowStart(key) >= 0 },
}

// appendWindowKey appends the key of a window whose encoded key is in dst.
func appendWindowKey(dst []byte, start int64, seq uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(dst, uint64(start)), seq)
}

// windowStart is the start in the key of a window.
func windowStart(key []byte) int64 {
	return int64(binary.BigEndian.Uint64(key[len(key)-windowSuffixBytes:]))
}

// windowSeq is the sequence number in the key of a window.
func windowSeq(key []byte) uint32 { return binary.BigEndian.Uint32(key[len(key)-windowSeqBytes:]) }

// windowDecoder decodes the entries of a window store.
func windowDecoder[K, V any](store string, keys serde.Serde[K], values serde.Serde[V]) func(key, value []byte) (WindowEntry[K, V], error) {
	return func(key, value []byte) (w WindowEntry[K, V], err error) {
		e, err := decodeTimed(windows, store, keys, values, key, value)
		if err != nil {
			return w, err
		}
		return WindowEntry[K, V]{Key: e.Key, Start: windowStart(key), Value: e.Value, Timestamp: e.Timestamp}, nil
	}
}

// Open returns the store over its part of an engine; it is a [WindowStore] of the spec's types.
func (s *WindowSpec[K, V]) Open(b Backend) (Store, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	w := &windowStore[K, V]{timedStore: newTimedStore(windows, s.key, s.value, windowDecoder(s.name, s.key, s.value))}
	return w, w.open(s.name, b, !s.noCache, s.retention.Milliseconds())
}

// Restore begins to fill a partition from the changelog.
func (s *WindowSpec[K, V]) Restore(p Partition) (Restorer, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return newTimedRestorer(windows, s.name, p, s.retention.Milliseconds())
}

// windowStore is a WindowStore.
type windowStore[K, V any] struct {
	timedStore[K, V, WindowEntry[K, V]]
	warm []byte // scratch: keys for Warm
}

// maxWarm bounds the windows of one call of Warm: more would push each other out of the processor's cache.
const maxWarm = 64

// Warm is an optional ability of a window store: it tells that the windows of a key that start at first, first + step and so on up to last are asked for next, one after
// another, so that waiting for memory is done for all at once. It changes nothing.
func (s *windowStore[K, V]) Warm(key K, first, last, step int64) {
	k, err := s.encodeKey(key)
	if err != nil {
		return // the call that follows tells
	}
	s.warm = s.warm[:0]
	for n := 0; n < maxWarm && first <= last; n++ {
		s.warm = appendWindowKey(append(s.warm, k...), first, 0)
		if first > endOfTime-step {
			break
		}
		first += step
	}
	s.table.Warm(s.warm, len(k)+windowSuffixBytes)
}

func (s *windowStore[K, V]) Fetch(key K, start int64) (value V, found bool, err error) {
	value, _, found, err = s.FetchWithTime(key, start)
	return value, found, err
}

func (s *windowStore[K, V]) FetchWithTime(key K, start int64) (value V, timestamp int64, found bool, err error) {
	if start < 0 || !s.alive(start) {
		return value, 0, false, nil
	}
	k, err := s.windowKey(key, start)
	if err != nil {
		return value, 0, false, err
	}
	v, found, err := s.get(k)
	if err != nil || !found {
		return value, 0, false, err
	}
	if value, err = decodeValue(s.name, s.values, v); err != nil {
		return value, 0, false, err
	}
	return value, timeOf(v), true, nil
}

func (s *windowStore[K, V]) windowKey(key K, start int64) ([]byte, error) {
	k, err := s.encodeKey(key)
	if err != nil {
		return nil, err
	}
	s.key = appendWindowKey(k, start, 0)
	return s.key, nil
}

func (s *windowStore[K, V]) Put(key K, start int64, value V, timestamp int64) (stored bool, err error) {
	if s.null(value) {
		return s.Delete(key, start, timestamp)
	}
	if stored, err = s.admit(key, start); err != nil || !stored {
		return false, err
	}
	err = s.put(value, timestamp)
	return err == nil, err
}

func (s *windowStore[K, V]) Delete(key K, start int64, timestamp int64) (stored bool, err error) {
	if stored, err = s.admit(key, start); err != nil || !stored {
		return false, err
	}
	s.delete(s.key, timestamp)
	return true, nil
}

// admit encodes the key of a window that is about to change and moves the store's time to it.
func (s *windowStore[K, V]) admit(key K, start int64) (alive bool, err error) {
	if start < 0 {
		return false, fmt.Errorf("statestore: store %q: a window starts at %d, want a time since 1970", s.name, start)
	}
	if _, err := s.windowKey(key, start); err != nil {
		return false, err
	}
	return s.observe(start), nil
}

func (s *windowStore[K, V]) FetchRange(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return s.fetchKey(key, from, before(to), endOfTime, false)
}

func (s *windowStore[K, V]) FetchRangeBackwards(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return s.fetchKey(key, from, before(to), endOfTime, true)
}

func (s *windowStore[K, V]) FetchKeys(keys Range[K], from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return s.fetchKeys(keys, from, before(to), endOfTime)
}

func (s *windowStore[K, V]) FetchAll(from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return s.FetchKeys(Range[K]{}, from, to)
}

func (s *windowStore[K, V]) FetchAllBackwards(from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return s.FetchKeys(Range[K]{}.Backwards(), from, to)
}

func (s *windowStore[K, V]) All() iter.Seq2[WindowEntry[K, V], error] {
	return s.FetchAll(0, endOfTime)
}

func (s *windowStore[K, V]) OnFlush(withOld bool, forward func(*Update[WindowKey[K], V]) error) bool {
	var u Update[WindowKey[K], V]
	return s.onFlush(withOld, func(p overlay.Pending) error {
		end := len(p.Key) - windowSuffixBytes
		key, err := s.keys.Decode(p.Key[:end])
		if err != nil {
			return s.fail("decode a key", err)
		}
		start := windowStart(p.Key)
		if err := fillUpdate(&s.core, &u, s.values, p); err != nil {
			return err
		}
		u.Key = WindowKey[K]{Key: key, Start: start}
		return forward(&u)
	})
}
