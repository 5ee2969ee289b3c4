package statestore

import (
	"bytes"
	"encoding/binary"

	"github.com/millrace-io/millrace/stream/serde"
)

// Open returns the store over its part of an engine; it is a [BufferStore] of the spec's types.
func (s *BufferSpec[K, V]) Open(b Backend) (Store, error) {
	if err := check(&s.common, s.key, s.value); err != nil {
		return nil, err
	}
	st := &bufferStore[K, V]{core: newCore(s.name, b, false, plain{}), keys: s.key, values: s.value, isNull: serde.NullCheck[V]()}
	st.absent = func([]byte) bool { return st.loaded && st.queue.len() == 0 }
	return st, st.load()
}

// Restore begins to fill a partition from the changelog.
func (s *BufferSpec[K, V]) Restore(p Partition) (Restorer, error) {
	return &checkedRestorer{name: s.name, values: keyValueRestorer{partition: p}, check: checkBuffer}, nil
}

// checkBuffer tells whether a changelog record is one of a buffer.
func checkBuffer(_, value []byte) error {
	if value == nil {
		return nil
	}
	_, err := parseBuffered(value)
	return err
}

// bufferStore is a BufferStore: a core of encoded slots by key, and their order in memory.
type bufferStore[K, V any] struct {
	core
	keys   serde.Serde[K]
	values serde.Serde[V]
	isNull func(*V) bool // nil when no V is null

	loaded bool // queue and bytes are those of the slots; not so after Discard
	queue  slotQueue
	bytes  int64

	key        []byte // scratch: the encoded key of the current call
	prior, old []byte // scratch
}

// load puts the engine's slots in order. The overlay must be empty.
func (s *bufferStore[K, V]) load() error {
	if s.loaded {
		return nil
	}
	s.queue.reset()
	s.bytes = 0
	it, err := s.partition.Scan(nil, nil, false)
	if err != nil {
		return s.fail("scan", err)
	}
	for it.Next() {
		v, err := s.parse(it.Value())
		if err != nil {
			it.Close()
			return err
		}
		s.queue.push(v.time, it.Key())
		s.bytes += v.size(it.Key())
	}
	if err := it.Close(); err != nil {
		return s.fail("scan", err)
	}
	s.loaded = true
	return nil
}

// parse reads a value of the engine.
func (s *bufferStore[K, V]) parse(value []byte) (buffered, error) {
	if len(value) < timestampBytes {
		return buffered{}, errShortValue(s.name, len(value))
	}
	v, err := parseBuffered(value[timestampBytes:])
	if err != nil {
		return buffered{}, s.fail("read", err)
	}
	return v, nil
}

// slot returns the slot of a key, as valid as what get returns.
func (s *bufferStore[K, V]) slot(key K) (v buffered, found bool, err error) {
	if err := s.load(); err != nil {
		return v, false, err
	}
	k, err := s.keys.Append(s.key[:0], key)
	if err != nil {
		return v, false, s.unencodable("a key", err)
	}
	s.key = k
	b, found, err := s.get(k)
	if err != nil || !found {
		return v, false, err
	}
	v, err = s.parse(b)
	return v, err == nil, err
}

func (s *bufferStore[K, V]) Put(time int64, key K, change Buffered[V], from *RecordContext) error {
	v, found, err := s.slot(key)
	if err != nil {
		return err
	}
	hasOld, err := s.encode(&s.old, change.Old, change.HasOld)
	if err != nil {
		return err
	}
	hasPrior := hasOld
	if found {
		hasPrior, time = v.prior != nil, v.time
		s.prior = append(s.prior[:0], v.prior...)
	} else {
		s.prior = append(s.prior[:0], s.old...)
	}
	if s.prior == nil {
		s.prior = []byte{} // empty is not null
	}
	b := appendContext(binary.BigEndian.AppendUint64(s.encoded[:0], uint64(from.Timestamp)), from)
	if hasPrior {
		b = appendPart(b, s.prior)
	} else {
		b = binary.BigEndian.AppendUint32(b, lengthNull)
	}
	switch {
	case !hasOld:
		b = binary.BigEndian.AppendUint32(b, lengthNull)
	case hasPrior && bytes.Equal(s.prior, s.old):
		b = binary.BigEndian.AppendUint32(b, lengthPrior)
	default:
		b = appendPart(b, s.old)
	}
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, lengthNull)
	if change.HasNew && !s.null(change.New) {
		if b, err = s.values.Append(b, change.New); err != nil {
			return s.unencodable("a value", err)
		}
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	s.encoded = binary.BigEndian.AppendUint64(b, uint64(time))
	if found {
		s.bytes -= v.size(s.key)
	} else {
		s.queue.push(time, s.key)
	}
	s.table.Put(s.key, s.encoded)
	v, err = s.parse(s.encoded)
	s.bytes += v.size(s.key)
	return err
}

// encode encodes a value into dst, which is not nil after that, and says whether there is one.
func (s *bufferStore[K, V]) encode(dst *[]byte, value V, has bool) (bool, error) {
	if *dst == nil {
		*dst = make([]byte, 0, 16)
	}
	*dst = (*dst)[:0]
	if !has || s.null(value) {
		return false, nil
	}
	b, err := s.values.Append(*dst, value)
	if err != nil {
		return false, s.unencodable("a value", err)
	}
	*dst = b
	return true, nil
}

func (s *bufferStore[K, V]) null(value V) bool {
	if s.isNull == nil {
		return false
	}
	v := value // a copy, so that value does not escape when there is nothing to ask
	return s.isNull(&v)
}

func (s *bufferStore[K, V]) Prior(key K) (prior V, has, found bool, err error) {
	v, found, err := s.slot(key)
	if err != nil || !found {
		return prior, false, false, err
	}
	prior, has, err = s.decode(v.prior)
	return prior, has, err == nil, err
}

// decode decodes a part; nil is null.
func (s *bufferStore[K, V]) decode(b []byte) (value V, has bool, err error) {
	if b == nil {
		return value, false, nil
	}
	if value, err = s.values.Decode(b); err != nil {
		return value, false, s.fail("decode a value", err)
	}
	return value, true, nil
}

func (s *bufferStore[K, V]) OldestTime() (time int64, ok bool) {
	if s.load() != nil || s.queue.len() == 0 {
		return 0, false
	}
	time, _ = s.queue.first()
	return time, true
}

func (s *bufferStore[K, V]) Pop(now int64) (e BufferEntry[K, V], ok bool, err error) {
	if err := s.load(); err != nil || s.queue.len() == 0 {
		return e, false, err
	}
	time, k := s.queue.first()
	s.key = append(s.key[:0], k...)
	b, found, err := s.get(s.key)
	if err != nil {
		return e, false, err
	}
	if !found {
		return e, false, s.fail("read", errBuffered)
	}
	v, err := s.parse(b)
	if err != nil {
		return e, false, err
	}
	if e, err = s.entry(time, v); err != nil {
		return e, false, err
	}
	s.bytes -= v.size(s.key)
	s.queue.pop()
	s.delete(s.key, now)
	return e, true, nil
}

// entry decodes the slot whose key is in s.key.
func (s *bufferStore[K, V]) entry(time int64, v buffered) (e BufferEntry[K, V], err error) {
	e.Time = time
	if e.Key, err = s.keys.Decode(s.key); err != nil {
		return e, s.fail("decode a key", err)
	}
	if e.Prior, e.HasPrior, err = s.decode(v.prior); err != nil {
		return e, err
	}
	if e.Change.Old, e.Change.HasOld, err = s.decode(v.old); err != nil {
		return e, err
	}
	e.Change.New, e.Change.HasNew, err = s.decode(v.new)
	e.Context = v.context()
	return e, err
}

func (s *bufferStore[K, V]) Len() int {
	if s.load() != nil {
		return 0
	}
	return s.queue.len()
}

func (s *bufferStore[K, V]) Bytes() int64 {
	if s.load() != nil {
		return 0
	}
	return s.bytes
}

// Discard forgets staged changes and cached entries.
func (s *bufferStore[K, V]) Discard() {
	s.core.Discard()
	s.loaded = false
}
