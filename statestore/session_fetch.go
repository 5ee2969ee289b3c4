package statestore

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace-io/millrace/stream/serde"
)

// The key of a session, in the changelog as Kafka Streams writes it:
//
//	┌─────────┬─────────┬───────────┐
//	│ key   n │ end   8 │ start   8 │   big-endian
//	└─────────┴─────────┴───────────┘
const sessionSuffixBytes = 16

// appendSessionKey appends the key of a session whose encoded key is in dst.
func appendSessionKey(dst []byte, start, end int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, uint64(end)), uint64(start))
}

// sessionEnd is the end in the key of a session.
func sessionEnd(key []byte) int64 {
	return int64(binary.BigEndian.Uint64(key[len(key)-sessionSuffixBytes:]))
}

// sessionStart is the start in the key of a session.
func sessionStart(key []byte) int64 { return int64(binary.BigEndian.Uint64(key[len(key)-8:])) }

// sessionFetch is a range of sessions: keys in [lo, hi), ends from earliest to latest, and, for one key, starts up to latestStart and the length of its sessions' keys.
type sessionFetch struct {
	lo, hi           []byte // nil is open
	earliest, latest int64
	latestStart      int64
	length           int    // 0: any
	bounds           []byte // memory of lo and hi
}

// ofAll makes f the range of all keys' sessions that end in [earliest, latest] and are alive.
func (f *sessionFetch) ofAll(s *segments, earliest, latest int64) {
	*f = sessionFetch{earliest: max(earliest, s.observed-s.retention+1, 0), latest: latest, latestStart: endOfTime, bounds: f.bounds}
}

// ofKey narrows f to the sessions of one key. Those of a longer key may lie among them, as with windows.
func (f *sessionFetch) ofKey(key []byte, latestStart int64) {
	f.length, f.latestStart = len(key)+sessionSuffixBytes, latestStart
	b := appendSessionKey(append(f.bounds[:0], key...), 0, f.earliest)
	b = append(appendSessionKey(append(b, key...), endOfTime, f.latest), 0) // the smallest key after the last one
	f.lo, f.hi, f.bounds = b[:f.length:f.length], b[f.length:], b
}

// next moves a walk over [lo, hi) to the next session of the fetch.
func (f *sessionFetch) next(w walker) bool {
	for w.next() {
		key, _ := w.entry()
		if len(key) < sessionSuffixBytes {
			return true // decodeSession reports it
		}
		if end := sessionEnd(key); end < f.earliest || end > f.latest || sessionStart(key) > f.latestStart {
			continue
		}
		if f.length == 0 || len(key) == f.length {
			return true
		}
	}
	return false
}

// decodeSession decodes an entry of a session store.
func decodeSession[K, V any](store string, keys serde.Serde[K], values serde.Serde[V], key, value []byte) (e SessionEntry[K, V], err error) {
	if len(key) < sessionSuffixBytes {
		return e, fmt.Errorf("statestore: store %q: a key of %d bytes, want %d or more", store, len(key), sessionSuffixBytes)
	}
	d, err := decodeEntry(store, keys, values, key[:len(key)-sessionSuffixBytes], value)
	return SessionEntry[K, V]{Key: d.Key, Start: sessionStart(key), End: sessionEnd(key), Value: d.Value, Timestamp: d.Timestamp}, err
}

// sessionRestorer fills a session store. It keeps the store's time, so that what is too old at the end of the changelog is not written.
type sessionRestorer struct {
	name      string
	partition Partition
	segments  *segments
	key       []byte // scratch
	values    keyValueRestorer
}

func newSessionRestorer(name string, p Partition, retention int64) (*sessionRestorer, error) {
	s, err := openSegments(p, retention, sessionEnd)
	if err != nil {
		return nil, fmt.Errorf("statestore: store %q: %w", name, err)
	}
	return &sessionRestorer{name: name, partition: p, segments: s, values: keyValueRestorer{partition: p}}, nil
}

func (r *sessionRestorer) Add(b Batch, key, value []byte, timestamp int64) error {
	if len(key) < sessionSuffixBytes || sessionStart(key) < 0 || sessionEnd(key) < sessionStart(key) {
		return fmt.Errorf("statestore: store %q: the changelog has a key of %d bytes that is not a session's: it is not this store's changelog", r.name, len(key))
	}
	if !r.segments.observe(sessionEnd(key)) {
		return nil
	}
	r.key = r.segments.engineKey(r.key[:0], key)
	return r.values.Add(b, r.key, value, timestamp)
}

func (r *sessionRestorer) Seal(b Batch) error { return r.segments.seal(b, r.partition) }
