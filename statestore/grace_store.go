package statestore

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace-io/millrace/stream/serde"
)

// The key of a record in a grace buffer, in the changelog as Kafka Streams writes it:
//
//	┌─────┬────────┬─────────┬───────┐
//	│ 0 1 │ time 8 │ key   n │ seq 4 │   big-endian
//	└─────┴────────┴─────────┴───────┘
const (
	graceHeadBytes = 1 + 8
	graceSeqBytes  = 4
)

// Open returns the store over its part of an engine; it is a [GraceBufferStore] of the spec's types.
func (s *GraceBufferSpec[K, V]) Open(b Backend) (Store, error) {
	if err := check(&s.common, s.key, s.value); err != nil {
		return nil, err
	}
	g := &graceStore[K, V]{keys: s.key, values: s.value}
	if err := g.open(s.name, b, 1); err != nil {
		return nil, err
	}
	return g, g.loadSeq()
}

// Restore begins to fill a partition from the changelog.
func (s *GraceBufferSpec[K, V]) Restore(p Partition) (Restorer, error) {
	return &checkedRestorer{name: s.name, values: keyValueRestorer{partition: p}, check: checkGrace}, nil
}

// checkGrace tells whether a changelog record is one of a grace buffer.
func checkGrace(key, value []byte) error {
	if len(key) < graceHeadBytes+graceSeqBytes || key[0] != 0 || int64(binary.BigEndian.Uint64(key[1:])) < 0 {
		return fmt.Errorf("a key of %d bytes that is no time, key and number", len(key))
	}
	if value == nil {
		return nil
	}
	_, err := parseBuffered(value)
	return err
}

// graceStore is a GraceBufferStore: types over a timeline.
type graceStore[K, V any] struct {
	timeline
	keys    serde.Serde[K]
	values  serde.Serde[V]
	numbers segments // only for its sequence
	key     []byte   // scratch
}

// loadSeq finds the number given out last. The buffer holds what arrived within a grace period, so that a look at all keys costs little.
func (s *graceStore[K, V]) loadSeq() error {
	it, err := s.partition.Scan(nil, nil, false)
	if err != nil {
		return s.fail("scan", err)
	}
	for it.Next() {
		if k := it.Key(); len(k) >= graceHeadBytes+graceSeqBytes {
			s.numbers.noteSeq(binary.BigEndian.Uint32(k[len(k)-graceSeqBytes:]))
		}
	}
	if err := it.Close(); err != nil {
		return s.fail("scan", err)
	}
	return nil
}

func (s *graceStore[K, V]) Add(key K, value V, from *RecordContext) error {
	if err := s.load(); err != nil {
		return err
	}
	if from.Timestamp < 0 {
		return fmt.Errorf("statestore: store %q: a record at %d, want a time since 1970", s.name, from.Timestamp)
	}
	k, err := s.keys.Append(binary.BigEndian.AppendUint64(append(s.key[:0], 0), uint64(from.Timestamp)), key)
	if err != nil {
		return s.unencodable("a key", err)
	}
	s.key = binary.BigEndian.AppendUint32(k, s.numbers.nextSeq())
	v := appendContext(binary.BigEndian.AppendUint64(s.encoded[:0], uint64(from.Timestamp)), from)
	v = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(v, lengthNull), lengthNull)
	at := len(v)
	if v, err = s.values.Append(append(v, 0, 0, 0, 0), value); err != nil {
		return s.unencodable("a value", err)
	}
	binary.BigEndian.PutUint32(v[at:], uint32(len(v)-at-4))
	s.encoded = binary.BigEndian.AppendUint64(v, 0)
	s.put(s.key, s.encoded)
	return nil
}

func (s *graceStore[K, V]) Pop(until, now int64) (e GraceEntry[K, V], ok bool, err error) {
	if err := s.load(); err != nil {
		return e, false, err
	}
	if s.empty || s.timeAt(s.floor) > until {
		return e, false, nil
	}
	m, err := s.begin()
	if err != nil {
		return e, false, err
	}
	if ok = m.next(); ok {
		s.key = append(s.key[:0], m.key...)
		if ok = s.timeAt(s.key) <= until; ok {
			e, err = s.decode(m.key, m.value)
		}
		s.rise(s.key, false)
	} else {
		s.rise(nil, true)
	}
	if endErr := s.end(m); err == nil {
		err = endErr
	}
	if err != nil || !ok {
		return e, false, err
	}
	s.delete(s.key, now)
	return e, true, nil
}

func (s *graceStore[K, V]) decode(key, value []byte) (e GraceEntry[K, V], err error) {
	if len(value) < timestampBytes {
		return e, errShortValue(s.name, len(value))
	}
	if err := checkGrace(key, nil); err != nil {
		return e, s.fail("read", err)
	}
	v, err := parseBuffered(value[timestampBytes:])
	if err != nil {
		return e, s.fail("read", err)
	}
	if e.Key, err = s.keys.Decode(key[graceHeadBytes : len(key)-graceSeqBytes]); err != nil {
		return e, s.fail("decode a key", err)
	}
	if e.Value, err = s.values.Decode(v.new); err != nil {
		return e, s.fail("decode a value", err)
	}
	e.Context = v.context()
	return e, nil
}
