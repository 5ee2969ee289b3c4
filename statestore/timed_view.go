package statestore

import (
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/stream/serde"
)

// timedView is the committed state of some partitions of a timed store, whose entries are E. Each partition has its own time and keeps its entries by that.
// Immutable.
type timedView[K, V, E any] struct {
	kind       *timed
	name       string
	keys       serde.Serde[K]
	values     serde.Serde[V]
	partitions []Partition
	decode     func(key, value []byte) (E, error)
}

// viewSegments reads the clock of a committed store with retention.
func viewSegments(store string, p Partition, timeOf func(key []byte) int64) (*segments, error) {
	s, err := openSegments(p, 0, timeOf)
	if err != nil {
		return nil, fmt.Errorf("statestore: store %q: %w", store, err)
	}
	s.retention = s.savedRetention()
	return s, nil
}

// get returns the value of a key, suffix adding what follows it in the store, and the time of that value.
func (w *timedView[K, V, E]) get(key K, suffix func([]byte) []byte) (value V, timestamp int64, found bool, err error) {
	k, err := w.keys.Append(nil, key)
	if err != nil {
		return value, 0, false, unencodable(w.name, "a key", err)
	}
	k = suffix(k)
	if !w.kind.valid(k) {
		return value, 0, false, nil
	}
	for _, p := range w.partitions {
		s, err := viewSegments(w.name, p, w.kind.timeOf)
		if err != nil {
			return value, 0, false, err
		}
		if !s.alive(w.kind.timeOf(k)) {
			continue
		}
		v, found, err := p.Get(nil, s.engineKey(nil, k))
		if err != nil {
			return value, 0, false, fmt.Errorf("statestore: store %q: get: %w", w.name, err)
		}
		if found {
			if value, err = decodeValue(w.name, w.values, v); err != nil {
				return value, 0, false, err
			}
			return value, timeOf(v), true, nil
		}
	}
	return value, 0, false, nil
}

// fetchKey walks over the entries of one key. latestStart is for sessions.
func (w *timedView[K, V, E]) fetchKey(key K, earliest, latest, latestStart int64, reverse bool) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		k, err := w.keys.Append(nil, key)
		if err != nil {
			var none E
			yield(none, unencodable(w.name, "a key", err))
			return
		}
		w.walk(reverse, yield, func(f *fetch, s *segments) {
			f.ofAll(w.kind, s, earliest, latest)
			f.ofKey(k)
			f.latestStart = latestStart
		})
	}
}

// fetchKeys walks over the entries of a range of keys.
func (w *timedView[K, V, E]) fetchKeys(keys Range[K], earliest, latest, latestStart int64) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		lo, hi, none, err := keys.bounds(w.keys)
		if err != nil {
			var none E
			yield(none, unencodable(w.name, "a key", err))
			return
		}
		if none {
			return
		}
		w.walk(keys.reverse, yield, func(f *fetch, s *segments) {
			f.ofAll(w.kind, s, earliest, latest)
			f.ofKeys(encodedRange{lo, hi})
			f.latestStart = latestStart
		})
	}
}

// walk yields what a fetch finds in every partition.
func (w *timedView[K, V, E]) walk(reverse bool, yield func(E, error) bool, of func(*fetch, *segments)) {
	for _, p := range w.partitions {
		walk, err := w.open(p, reverse, of)
		if err != nil {
			var none E
			yield(none, err)
			return
		}
		if !walkEntries(walk, w.decode, yield) {
			return
		}
	}
}

func (w *timedView[K, V, E]) open(p Partition, reverse bool, of func(*fetch, *segments)) (*fetchWalk, error) {
	s, err := viewSegments(w.name, p, w.kind.timeOf)
	if err != nil {
		return nil, err
	}
	walk := new(fetchWalk)
	of(&walk.fetch, s)
	it, err := s.scan(p, walk.lo, walk.hi, walk.earliest, saturate(walk.latest), reverse)
	if err != nil {
		return nil, fmt.Errorf("statestore: store %q: scan: %w", w.name, err)
	}
	walk.engine = engineWalk{it}
	return walk, nil
}

// fetchWalk is a fetch from an engine alone.
type fetchWalk struct {
	fetch
	engine engineWalk
}

func (w *fetchWalk) next() bool                 { return w.fetch.next(w.engine) }
func (w *fetchWalk) entry() (key, value []byte) { return w.engine.entry() }
func (w *fetchWalk) close() error               { return w.engine.close() }
