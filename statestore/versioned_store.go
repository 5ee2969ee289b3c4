package statestore

import (
	"fmt"
	"iter"
	"math"

	"github.com/millrace-io/millrace/stream/serde"
)

// Open returns the store over its part of an engine; it is a [VersionedStore] of the spec's types.
func (s *VersionedSpec[K, V]) Open(b Backend) (Store, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	st := newVersionedStore(s)
	return st, st.open(s.name, b, s.history.Milliseconds())
}

func newVersionedStore[K, V any](s *VersionedSpec[K, V]) *versionedStore[K, V] {
	return &versionedStore[K, V]{keys: s.key, values: s.value, isNull: serde.NullCheck[V]()}
}

// Restore begins to fill a partition from the changelog.
func (s *VersionedSpec[K, V]) Restore(p Partition) (Restorer, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	r := new(versionedRestorer)
	return r, r.versions.open(s.name, Backend{Partition: p, CacheBytes: math.MaxInt}, s.history.Milliseconds())
}

// versionedRestorer fills a versioned store: it says again what was said. What it has put into a batch that is not committed yet it keeps in memory.
type versionedRestorer struct {
	versions versions
	sealed   bool // the batch was about to be committed
}

// restoreStageBytes is how much a restorer collects before it puts it into the batch, whose size then tells how much there is.
const restoreStageBytes = 256 << 10

func (r *versionedRestorer) Add(b Batch, key, value []byte, timestamp int64) error {
	if r.sealed {
		r.versions.Discard()
		r.sealed = false
	}
	if _, err := r.versions.put(key, value, timestamp); err != nil {
		return err
	}
	r.versions.notes.discard()
	if r.versions.StagedBytes() < restoreStageBytes {
		return nil
	}
	return r.stage(b)
}

func (r *versionedRestorer) stage(b Batch) error {
	if err := r.versions.Stage(b); err != nil {
		return err
	}
	r.versions.Committed()
	return nil
}

func (r *versionedRestorer) Seal(b Batch) error {
	r.sealed = true
	return r.stage(b)
}

// versionedStore is a VersionedStore: types over versions.
type versionedStore[K, V any] struct {
	versions
	keys    serde.Serde[K]
	values  serde.Serde[V]
	isNull  func(*V) bool // nil when no V is null
	encoded []byte        // scratch: the encoded key of the current call
	content []byte        // scratch: the encoded value
}

func (s *versionedStore[K, V]) encodeKey(key K) ([]byte, error) {
	k, err := s.keys.Append(s.encoded[:0], key)
	if err != nil {
		return nil, s.latest.unencodable("a key", err)
	}
	s.encoded = k
	return k, nil
}

func (s *versionedStore[K, V]) Put(key K, value V, timestamp int64) (validTo int64, err error) {
	if s.isNull != nil {
		if v := value; s.isNull(&v) { // a copy, so that value does not escape when there is nothing to ask
			return s.Delete(key, timestamp)
		}
	}
	k, err := s.encodeKey(key)
	if err != nil {
		return NotPut, err
	}
	if s.content == nil {
		s.content = make([]byte, 0, 16) // an empty value is not nothing
	}
	v, err := s.values.Append(s.content[:0], value)
	if err != nil {
		return NotPut, s.latest.unencodable("a value", err)
	}
	s.content = v
	return s.put(k, v, timestamp)
}

func (s *versionedStore[K, V]) Delete(key K, timestamp int64) (validTo int64, err error) {
	k, err := s.encodeKey(key)
	if err != nil {
		return NotPut, err
	}
	return s.put(k, nil, timestamp)
}

func (s *versionedStore[K, V]) Get(key K) (value V, timestamp int64, found bool, err error) {
	return s.GetAsOf(key, endOfTime)
}

func (s *versionedStore[K, V]) GetAsOf(key K, asOf int64) (value V, timestamp int64, found bool, err error) {
	k, err := s.encodeKey(key)
	if err != nil {
		return value, 0, false, err
	}
	p, found, err := s.get(k, asOf)
	if err != nil || !found {
		return value, 0, false, err
	}
	if value, err = s.decode(p.value); err != nil {
		return value, 0, false, err
	}
	return value, p.from, true, nil
}

func (s *versionedStore[K, V]) decode(b []byte) (value V, err error) {
	if value, err = s.values.Decode(b); err != nil {
		return value, s.latest.fail("decode a value", err)
	}
	return value, nil
}

func (s *versionedStore[K, V]) Versions(key K, from, to int64) iter.Seq2[Version[V], error] {
	return func(yield func(Version[V], error) bool) {
		k, err := s.keys.Append(nil, key) // of this walk's own: the loop's body may use the store
		if err != nil {
			yield(Version[V]{}, s.latest.unencodable("a key", err))
			return
		}
		if s.yieldHistory(k, from, to, false, yield) {
			s.yieldLatest(k, to, yield)
		}
	}
}

func (s *versionedStore[K, V]) VersionsBackwards(key K, from, to int64) iter.Seq2[Version[V], error] {
	return func(yield func(Version[V], error) bool) {
		k, err := s.keys.Append(nil, key) // of this walk's own: the loop's body may use the store
		if err != nil {
			yield(Version[V]{}, s.latest.unencodable("a key", err))
			return
		}
		if s.yieldLatest(k, to, yield) {
			s.yieldHistory(k, from, to, true, yield)
		}
	}
}

// yieldHistory yields the versions before the latest that were valid at some time in [from, to), and says whether to go on.
func (s *versionedStore[K, V]) yieldHistory(key []byte, from, to int64, reverse bool, yield func(Version[V], error) bool) bool {
	m := new(merged)
	if err := s.periods(m, key, max(from, s.oldest(), 0), reverse); err != nil {
		yield(Version[V]{}, err)
		return false
	}
	w := &versionWalk{merged: m, key: key}
	return walkEntries(w, func(key, value []byte) (v Version[V], err error) {
		p, err := s.period(m)
		if err != nil {
			return v, err
		}
		v.ValidFrom, v.ValidTo = p.from, p.to
		v.Value, err = s.decode(p.value)
		return v, err
	}, func(v Version[V], err error) bool {
		return err == nil && v.ValidFrom >= to || yield(v, err)
	})
}

// yieldLatest yields the latest version if it began before a time, and says whether to go on.
func (s *versionedStore[K, V]) yieldLatest(key []byte, to int64, yield func(Version[V], error) bool) bool {
	b, found, err := s.latest.get(key)
	if err != nil {
		yield(Version[V]{}, err)
		return false
	}
	if !found || timeOf(b) >= to {
		return true
	}
	value, err := s.decode(b[timestampBytes:])
	return yield(Version[V]{Value: value, ValidFrom: timeOf(b), ValidTo: StillValid}, err) && err == nil
}

// versionWalk is a walk over the periods of a key that had a value.
type versionWalk struct {
	*merged
	key []byte
}

func (w *versionWalk) next() bool {
	for nextPeriod(w.merged, w.key) {
		if v := w.merged.value; len(v) < historyHead || v[8] == hasOne {
			return true
		}
	}
	return false
}

// View returns the committed state of some partitions of the store; see KeyValueSpec.View. Each partition has its own time and keeps its history by that.
func (s *VersionedSpec[K, V]) View(partitions []Partition) ReadOnlyVersioned[K, V] {
	return &versionedView[K, V]{spec: s, partitions: partitions}
}

// versionedView is immutable.
type versionedView[K, V any] struct {
	spec       *VersionedSpec[K, V]
	partitions []Partition
}

// open makes a store over one partition for one read. It keeps the history that the partition was written with.
func (w *versionedView[K, V]) open(p Partition) (*versionedStore[K, V], error) {
	saved, err := viewSegments(w.spec.name, p, historyEnd)
	if err != nil {
		return nil, err
	}
	st := newVersionedStore(w.spec)
	return st, st.open(w.spec.name, Backend{Partition: p}, saved.retention)
}

func (w *versionedView[K, V]) Get(key K) (value V, timestamp int64, found bool, err error) {
	return w.GetAsOf(key, endOfTime)
}

func (w *versionedView[K, V]) GetAsOf(key K, asOf int64) (value V, timestamp int64, found bool, err error) {
	for _, p := range w.partitions {
		s, err := w.open(p)
		if err != nil {
			return value, 0, false, err
		}
		if value, timestamp, found, err = s.GetAsOf(key, asOf); err != nil || found {
			return value, timestamp, found, err
		}
	}
	return value, 0, false, nil
}

func (w *versionedView[K, V]) Versions(key K, from, to int64) iter.Seq2[Version[V], error] {
	return w.walk(func(s *versionedStore[K, V]) iter.Seq2[Version[V], error] { return s.Versions(key, from, to) })
}

func (w *versionedView[K, V]) VersionsBackwards(key K, from, to int64) iter.Seq2[Version[V], error] {
	return w.walk(func(s *versionedStore[K, V]) iter.Seq2[Version[V], error] { return s.VersionsBackwards(key, from, to) })
}

// walk walks over something of every partition.
func (w *versionedView[K, V]) walk(of func(*versionedStore[K, V]) iter.Seq2[Version[V], error]) iter.Seq2[Version[V], error] {
	return func(yield func(Version[V], error) bool) {
		for _, p := range w.partitions {
			s, err := w.open(p)
			if err != nil {
				yield(Version[V]{}, fmt.Errorf("statestore: store %q: %w", w.spec.name, err))
				return
			}
			for v, err := range of(s) {
				if !yield(v, err) {
					return
				}
			}
		}
	}
}
