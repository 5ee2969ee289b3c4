package statestore

import (
	"fmt"

	"github.com/millrace-io/millrace/stream/serde"
)

// fetch is a range of windows: keys in [lo, hi), starts in [from, to), and, for one key, the length of its windows' keys.
type fetch struct {
	lo, hi   []byte
	from, to int64
	length   int // 0: any
}

// fetchOfKey is the range of one key's windows. Keys are laid one after another without a mark between, so that windows of a longer key may lie among those of
// a key that it begins with; they are told by their length.
func fetchOfKey[K any](s *segments, keys serde.Serde[K], key K, from, to int64) (fetch, error) {
	f := fetchOfAll(s, from, to)
	k, err := keys.Append(nil, key)
	if err != nil {
		return f, err
	}
	f.length = len(k) + windowSuffixBytes
	f.lo = appendWindowKey(k[:len(k):len(k)], f.from, 0)
	f.hi = appendWindowKey(k[:len(k):len(k)], f.to, 0)
	return f, nil
}

// fetchOfAll is the range of all keys' windows that start in [from, to) and are alive.
func fetchOfAll(s *segments, from, to int64) fetch {
	return fetch{from: max(from, s.observed-s.retention+1, 0), to: to}
}

// fetchWalk leaves out what lies between the windows of a fetch.
type fetchWalk struct {
	walker
	fetch fetch
}

func (w *fetchWalk) next() bool {
	for w.walker.next() {
		key, _ := w.walker.entry()
		if len(key) < windowSuffixBytes {
			return true // decodeWindow reports it
		}
		if start := windowStart(key); start < w.fetch.from || start >= w.fetch.to {
			continue
		}
		if w.fetch.length == 0 || len(key) == w.fetch.length {
			return true
		}
	}
	return false
}

// decodeWindow decodes an entry of a window store.
func decodeWindow[K, V any](store string, keys serde.Serde[K], values serde.Serde[V], key, value []byte) (w WindowEntry[K, V], err error) {
	if len(key) < windowSuffixBytes {
		return w, fmt.Errorf("statestore: store %q: a key of %d bytes, want %d or more", store, len(key), windowSuffixBytes)
	}
	e, err := decodeEntry(store, keys, values, key[:len(key)-windowSuffixBytes], value)
	return WindowEntry[K, V]{Key: e.Key, Start: windowStart(key), Value: e.Value, Timestamp: e.Timestamp}, err
}

// windowRestorer fills a window store. It keeps the store's time, so that what is too old at the end of the changelog is not written.
type windowRestorer struct {
	name      string
	partition Partition
	segments  *segments
	key       []byte // scratch
	values    keyValueRestorer
}

func newWindowRestorer(name string, p Partition, retention int64) (*windowRestorer, error) {
	s, err := openSegments(p, retention, windowStart)
	if err != nil {
		return nil, fmt.Errorf("statestore: store %q: %w", name, err)
	}
	return &windowRestorer{name: name, partition: p, segments: s, values: keyValueRestorer{partition: p}}, nil
}

func (r *windowRestorer) Add(b Batch, key, value []byte, timestamp int64) error {
	if len(key) < windowSuffixBytes || windowStart(key) < 0 {
		return fmt.Errorf("statestore: store %q: the changelog has a key of %d bytes that is not a window's: it is not this store's changelog", r.name, len(key))
	}
	if !r.segments.observe(windowStart(key)) {
		return nil
	}
	r.key = r.segments.engineKey(r.key[:0], key)
	return r.values.Add(b, r.key, value, timestamp)
}

func (r *windowRestorer) Seal(b Batch) error { return r.segments.seal(b, r.partition) }
