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

// windowStore is a WindowStore: types over a retained core.
type windowStore[K, V any] struct {
	retained
	keys   serde.Serde[K]
	values serde.Serde[V]
	isNull func(*V) bool // nil when no V is null
	key    []byte        // scratch: the encoded key of the current call
	decode func(key, value []byte) (WindowEntry[K, V], error)
	walks  []*windowWalk // for reuse
}

func openWindowStore[K, V any](s *WindowSpec[K, V], b Backend) (*windowStore[K, V], error) {
	w := &windowStore[K, V]{
		keys:   s.key,
		values: s.value,
		isNull: serde.NullCheck[V](),
		decode: func(key, value []byte) (WindowEntry[K, V], error) {
			return decodeWindow(s.name, s.key, s.value, key, value)
		},
	}
	return w, w.open(s.name, b, !s.noCache, s.retention.Milliseconds(), windowStart)
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
	k, err := s.keys.Append(s.key[:0], key)
	if err != nil {
		return nil, s.unencodable("a key", err)
	}
	s.key = appendWindowKey(k, start, 0)
	return s.key, nil
}

func (s *windowStore[K, V]) Put(key K, start int64, value V, timestamp int64) (stored bool, err error) {
	if s.isNull != nil {
		if v := value; s.isNull(&v) { // a copy, so that value does not escape when there is nothing to ask
			return s.Delete(key, start, timestamp)
		}
	}
	k, stored, err := s.admit(key, start)
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

func (s *windowStore[K, V]) Delete(key K, start int64, timestamp int64) (stored bool, err error) {
	k, stored, err := s.admit(key, start)
	if err != nil || !stored {
		return false, err
	}
	s.delete(k, timestamp)
	return true, nil
}

// admit encodes the key of a window that is about to change and moves the store's time to it.
func (s *windowStore[K, V]) admit(key K, start int64) (k []byte, alive bool, err error) {
	if start < 0 {
		return nil, false, fmt.Errorf("statestore: store %q: a window starts at %d, want a time since 1970", s.name, start)
	}
	if k, err = s.windowKey(key, start); err != nil {
		return nil, false, err
	}
	return k, s.observe(start), nil
}

func (s *windowStore[K, V]) FetchRange(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return s.fetchKey(key, from, to, false)
}

func (s *windowStore[K, V]) FetchRangeBackwards(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return s.fetchKey(key, from, to, true)
}

func (s *windowStore[K, V]) fetchKey(key K, from, to int64, reverse bool) iter.Seq2[WindowEntry[K, V], error] {
	return func(yield func(WindowEntry[K, V], error) bool) {
		k, err := s.keys.Append(s.key[:0], key)
		if err != nil {
			yield(WindowEntry[K, V]{}, s.unencodable("a key", err))
			return
		}
		s.key = k
		w := s.newWalk()
		w.ofAll(s.segments, from, to)
		w.ofKey(k)
		s.walk(w, reverse, yield)
	}
}

func (s *windowStore[K, V]) FetchAll(from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return s.fetchAll(from, to, false)
}

func (s *windowStore[K, V]) FetchAllBackwards(from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return s.fetchAll(from, to, true)
}

func (s *windowStore[K, V]) fetchAll(from, to int64, reverse bool) iter.Seq2[WindowEntry[K, V], error] {
	return func(yield func(WindowEntry[K, V], error) bool) {
		w := s.newWalk()
		w.ofAll(s.segments, from, to)
		s.walk(w, reverse, yield)
	}
}

func (s *windowStore[K, V]) All() iter.Seq2[WindowEntry[K, V], error] {
	return s.FetchAll(0, endOfTime)
}

// windowWalk is a walk over some windows of a store, kept for reuse with its memory.
type windowWalk struct {
	fetch
	merged merged
}

func (w *windowWalk) next() bool                 { return w.fetch.next(&w.merged) }
func (w *windowWalk) entry() (key, value []byte) { return w.merged.entry() }
func (w *windowWalk) close() error               { return w.merged.close() }

func (s *windowStore[K, V]) newWalk() *windowWalk {
	if n := len(s.walks); n > 0 {
		w := s.walks[n-1]
		s.walks = s.walks[:n-1]
		return w
	}
	return new(windowWalk)
}

// walk yields the windows of a fetch.
func (s *windowStore[K, V]) walk(w *windowWalk, reverse bool, yield func(WindowEntry[K, V], error) bool) {
	if w.from < w.to {
		if err := s.begin(&w.merged, w.lo, w.hi, w.from, w.to, reverse); err != nil {
			yield(WindowEntry[K, V]{}, err)
			return
		}
		walkEntries(w, s.decode, yield)
	}
	s.walks = append(s.walks, w)
}

func (s *windowStore[K, V]) NoteHeaders(headers []Header) { s.note(s.key, headers) }

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
