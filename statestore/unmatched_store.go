package statestore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/stream/serde"
)

// A record's place and the records in it, in the changelog as Kafka Streams writes them:
//
//	┌─────────────┬─────────┬──────────┐      ┌──────┬──────────┬───────────┬─────────┬─────────────┬───
//	│ timestamp 8 │ side  1 │ key    n │  ─▶  │ 1  1 │ count  4 │ length  4 │ side  1 │ value     n │ … count times
//	└─────────────┴─────────┴──────────┘      └──────┴──────────┴───────────┴─────────┴─────────────┴───
//
// All numbers are big-endian; a length counts its side too. The 1 at the beginning says that the values have lengths of their own.
const (
	unmatchedHeadBytes = 8 + 1
	listHeadBytes      = 1 + 4
	listVariable       = 1
)

// Open returns the store over its part of an engine; it is an [UnmatchedStore] of the spec's types.
func (s *UnmatchedSpec[K, L, R]) Open(b Backend) (Store, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	u := &unmatchedStore[K, L, R]{keys: s.key, left: s.left, right: s.right}
	return u, u.open(s.name, b, 0)
}

// Restore begins to fill a partition from the changelog.
func (s *UnmatchedSpec[K, L, R]) Restore(p Partition) (Restorer, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return &checkedRestorer{name: s.name, values: keyValueRestorer{partition: p}, check: checkUnmatched}, nil
}

// checkUnmatched tells whether a changelog record is one of an unmatched store.
func checkUnmatched(key, value []byte) error {
	if len(key) < unmatchedHeadBytes || int64(binary.BigEndian.Uint64(key)) < 0 || key[8] > byte(Left) {
		return fmt.Errorf("a key of %d bytes that is no time, side and key", len(key))
	}
	if value == nil {
		return nil
	}
	return checkList(value)
}

// checkList tells whether a list is whole and holds no more.
func checkList(list []byte) error {
	if len(list) < listHeadBytes || list[0] != listVariable {
		return fmt.Errorf("a list of %d bytes without its head", len(list))
	}
	count, list := binary.BigEndian.Uint32(list[1:]), list[listHeadBytes:]
	for i := range count {
		if len(list) < 4 {
			return fmt.Errorf("a list that ends before record %d of %d", i, count)
		}
		n := int64(binary.BigEndian.Uint32(list))
		if n < 1 || n > int64(len(list)-4) {
			return fmt.Errorf("a list whose record %d has %d bytes of %d", i, n, len(list)-4)
		}
		list = list[4+n:]
	}
	if len(list) > 0 {
		return fmt.Errorf("a list with %d bytes after its %d records", len(list), count)
	}
	return nil
}

// unmatchedStore is an UnmatchedStore: types over a timeline.
type unmatchedStore[K, L, R any] struct {
	timeline
	keys  serde.Serde[K]
	left  serde.Serde[L]
	right serde.Serde[R]
	key   []byte // scratch: the encoded key of the current call
	list  []byte // scratch
}

// place encodes where records are kept.
func (s *unmatchedStore[K, L, R]) place(side Side, key K, timestamp int64) error {
	if timestamp < 0 {
		return fmt.Errorf("statestore: store %q: a record at %d, want a time since 1970", s.name, timestamp)
	}
	k, err := s.keys.Append(append(binary.BigEndian.AppendUint64(s.key[:0], uint64(timestamp)), byte(side)), key)
	if err != nil {
		return s.unencodable("a key", err)
	}
	s.key = k
	return nil
}

func (s *unmatchedStore[K, L, R]) AddLeft(key K, timestamp int64, value L) error {
	return addUnmatched(s, Left, key, timestamp, s.left, value)
}

func (s *unmatchedStore[K, L, R]) AddRight(key K, timestamp int64, value R) error {
	return addUnmatched(s, Right, key, timestamp, s.right, value)
}

func addUnmatched[K, L, R, V any](s *unmatchedStore[K, L, R], side Side, key K, timestamp int64, values serde.Serde[V], value V) error {
	if err := s.load(); err != nil {
		return err
	}
	if err := s.place(side, key, timestamp); err != nil {
		return err
	}
	old, found, err := s.get(s.key)
	if err != nil {
		return err
	}
	count, records := uint32(0), []byte(nil)
	if found {
		if err := checkUnmatched(s.key, old[timestampBytes:]); err != nil {
			return s.fail("read", err)
		}
		count = binary.BigEndian.Uint32(old[timestampBytes+1:])
		records = old[timestampBytes+listHeadBytes:]
	}
	b := append(binary.BigEndian.AppendUint64(s.list[:0], uint64(timestamp)), listVariable)
	b = append(binary.BigEndian.AppendUint32(b, count+1), records...)
	at := len(b)
	b, err = values.Append(append(b, 0, 0, 0, 0, byte(side)), value)
	if err != nil {
		return s.unencodable("a value", err)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	s.list = b
	s.put(s.key, b)
	return nil
}

func (s *unmatchedStore[K, L, R]) Delete(side Side, key K, timestamp int64, now int64) (deleted bool, err error) {
	if err := s.load(); err != nil {
		return false, err
	}
	if timestamp < 0 {
		return false, nil
	}
	if err := s.place(side, key, timestamp); err != nil {
		return false, err
	}
	if _, found, err := s.get(s.key); err != nil || !found {
		return false, err
	}
	s.delete(s.key, now)
	return true, nil
}

func (s *unmatchedStore[K, L, R]) OldestTime() (timestamp int64, ok bool) {
	switch {
	case !s.loaded:
		return 0, true
	case s.empty:
		return 0, false
	}
	return s.timeAt(s.floor), true
}

func (s *unmatchedStore[K, L, R]) Oldest() iter.Seq2[UnmatchedEntry[K, L, R], error] {
	return func(yield func(UnmatchedEntry[K, L, R], error) bool) {
		m, err := s.begin()
		if err != nil {
			yield(UnmatchedEntry[K, L, R]{}, err)
			return
		}
		ended := false
		defer func() { // a panic of the loop's body must not leave the engine's iterator open
			if !ended {
				s.end(m)
			}
		}()
		gone, puts := true, s.puts // whether all that the walk has passed is gone; what is put meanwhile may lie there
		for m.next() {
			if gone && puts == s.puts {
				s.rise(m.key, false)
			}
			if !s.yieldAll(m.entry, yield) {
				return
			}
			if gone {
				_, has, err := s.get(m.key)
				if err != nil {
					yield(UnmatchedEntry[K, L, R]{}, err)
					return
				}
				gone = !has
			}
		}
		ended = true
		if err := s.end(m); err != nil {
			yield(UnmatchedEntry[K, L, R]{}, err)
		} else if gone && puts == s.puts {
			s.rise(nil, true)
		}
	}
}

// yieldAll yields the records of one place.
func (s *unmatchedStore[K, L, R]) yieldAll(entry func() (key, value []byte), yield func(UnmatchedEntry[K, L, R], error) bool) bool {
	var e UnmatchedEntry[K, L, R]
	fail := func(err error) bool {
		yield(UnmatchedEntry[K, L, R]{}, s.fail("read", err))
		return false
	}
	key, value := entry()
	if len(value) < timestampBytes {
		yield(e, errShortValue(s.name, len(value)))
		return false
	}
	list := bytes.Clone(value[timestampBytes:]) // the loop's body may change the store
	if err := checkUnmatched(key, list); err != nil {
		return fail(err)
	}
	k, err := s.keys.Decode(key[unmatchedHeadBytes:])
	if err != nil {
		return fail(fmt.Errorf("decode a key: %w", err))
	}
	e.Key, e.Timestamp, e.Side = k, s.timeAt(key), Side(key[8])
	for list = list[listHeadBytes:]; len(list) > 0; {
		n := binary.BigEndian.Uint32(list)
		record := list[4 : 4+n]
		list = list[4+n:]
		if e.Side == Left {
			e.Left, err = s.left.Decode(record[1:])
		} else {
			e.Right, err = s.right.Decode(record[1:])
		}
		if err != nil {
			return fail(fmt.Errorf("decode a value: %w", err))
		}
		if !yield(e, nil) {
			return false
		}
	}
	return true
}
