package statestore

import (
	"fmt"

	"github.com/millrace-io/millrace/stream/serde"
)

// fetch is a range of windows: keys in [lo, hi), starts in [from, to), and, for one key, the length of its windows' keys.
type fetch struct {
	lo, hi   []byte // nil is open
	from, to int64
	length   int    // 0: any
	bounds   []byte // memory of lo and hi
}

// ofAll makes f the range of all keys' windows that start in [from, to) and are alive.
func (f *fetch) ofAll(s *segments, from, to int64) {
	*f = fetch{from: max(from, s.observed-s.retention+1, 0), to: to, bounds: f.bounds}
}

// ofKey narrows f to the windows of one key. Keys are laid one after another without a mark between, so that windows of a longer key may lie among those of a
// key that it begins with; they are told by their length.
func (f *fetch) ofKey(key []byte) {
	f.length = len(key) + windowSuffixBytes
	b := appendWindowKey(append(f.bounds[:0], key...), f.from, 0)
	b = appendWindowKey(append(b, key...), f.to, 0)
	f.lo, f.hi, f.bounds = b[:f.length:f.length], b[f.length:], b
}

// next moves a walk over [lo, hi) to the next window of the fetch.
func (f *fetch) next(w walker) bool {
	for w.next() {
		key, _ := w.entry()
		if len(key) < windowSuffixBytes {
			return true // decodeWindow reports it
		}
		if start := windowStart(key); start < f.from || start >= f.to {
			continue
		}
		if f.length == 0 || len(key) == f.length {
			return true
		}
	}
	return false
}

// fetchWalk is a fetch from an engine alone.
type fetchWalk struct {
	fetch
	engine engineWalk
}

func (w *fetchWalk) next() bool                 { return w.fetch.next(w.engine) }
func (w *fetchWalk) entry() (key, value []byte) { return w.engine.entry() }
func (w *fetchWalk) close() error               { return w.engine.close() }

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
	r.segments.noteSeq(windowSeq(key))
	r.key = r.segments.engineKey(r.key[:0], key)
	return r.values.Add(b, r.key, value, timestamp)
}

func (r *windowRestorer) Seal(b Batch) error { return r.segments.seal(b, r.partition) }
