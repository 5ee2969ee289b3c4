package statestore

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/millrace-io/millrace/stream/serde"
)

// timed is a kind of store whose keys end with a time, by which it forgets: windows, sessions, the records of a join. Immutable.
//
//	┌─────────┬──────────┬────────────┐
//	│ key   n │ time   8 │ rest     n │   big-endian
//	└─────────┴──────────┴────────────┘
type timed struct {
	what     string // an entry of such a store, for errors
	suffix   int    // bytes after the key
	numbered bool   // the rest is a sequence number
	timeOf   func(key []byte) int64
	valid    func(key []byte) bool // whether a key that is long enough is one of the kind
}

// encodedRange is a range of encoded keys in [lo, hi), nil being open.
type encodedRange struct{ lo, hi []byte }

func (r encodedRange) holds(key []byte) bool {
	return bytes.Compare(key, r.lo) >= 0 && (r.hi == nil || bytes.Compare(key, r.hi) < 0)
}

// end returns a bound after all keys of the range with what follows them in a store, when no time is after latest. That is hi itself unless a key of the range is the
// beginning of hi: then the time after the key decides.
func (r encodedRange) end(latest int64) []byte {
	if r.hi == nil {
		return nil
	}
	last := appendLast(nil, latest)
	end := r.hi
	for n := range r.hi {
		key := r.hi[:n]
		if bytes.Compare(last, r.hi[n:]) <= 0 || bytes.Compare(key, r.lo) < 0 {
			continue
		}
		if b := append(bytes.Clone(key), last...); bytes.Compare(b, end) > 0 {
			end = b
		}
	}
	return end
}

// appendLast appends what is after a time and all that may follow it in a key: neither times nor sequence numbers are negative.
func appendLast(dst []byte, latest int64) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(latest)), 0xff)
}

// fetch is a range of a timed store: store keys in [lo, hi), times from earliest to latest, and what else the keys must have.
type fetch struct {
	lo, hi           []byte // nil is open
	earliest, latest int64  // both included
	latestStart      int64  // of sessions: they have a start too
	suffix           int    // bytes after the key
	length           int    // of the encoded key, for one key; -1: any
	keys             encodedRange
	bounds           []byte // memory of lo and hi
}

// ofAll makes f the range of all keys' entries with times from earliest to latest that are alive.
func (f *fetch) ofAll(k *timed, s *segments, earliest, latest int64) {
	*f = fetch{
		earliest:    max(earliest, s.observed-s.retention+1, 0),
		latest:      min(latest, s.observed), // nothing is later
		latestStart: endOfTime,
		suffix:      k.suffix,
		length:      -1,
		bounds:      f.bounds,
	}
}

// ofKey narrows f to one key. Keys are laid before their times without a mark between, so that entries of a longer key may lie among those of a key that it begins
// with; they are told by their length.
func (f *fetch) ofKey(key []byte) {
	f.length = len(key)
	b := binary.BigEndian.AppendUint64(append(f.bounds[:0], key...), uint64(f.earliest))
	n := len(b)
	b = appendLast(append(b, key...), f.latest)
	f.lo, f.hi, f.bounds = b[:n:n], b[n:], b
}

// ofKeys narrows f to a range of keys. Entries of keys outside the range may lie among them, as with one key; they are told by their keys.
func (f *fetch) ofKeys(r encodedRange) {
	f.keys = r
	f.lo, f.hi = r.lo, r.end(max(f.latest, 0))
}

// isEmpty says that nothing can be found.
func (f *fetch) isEmpty() bool { return f.earliest > f.latest }

// next moves a walk over [lo, hi) to the next entry of the fetch.
func (f *fetch) next(w walker) bool {
	for w.next() {
		key, _ := w.entry()
		n := len(key) - f.suffix
		if n < 0 {
			return true // whoever decodes it reports it
		}
		if f.length >= 0 && n != f.length || f.length < 0 && !f.keys.holds(key[:n]) {
			continue
		}
		if t := timeOf(key[n:]); t < f.earliest || t > f.latest {
			continue
		}
		if f.suffix == sessionSuffixBytes && sessionStart(key) > f.latestStart {
			continue
		}
		return true
	}
	return false
}

// decodeTimed decodes an entry of a timed store, but for its times.
func decodeTimed[K, V any](k *timed, store string, keys serde.Serde[K], values serde.Serde[V], key, value []byte) (e Entry[K, V], err error) {
	if len(key) < k.suffix {
		return e, fmt.Errorf("statestore: store %q: a key of %d bytes, want %d or more", store, len(key), k.suffix)
	}
	return decodeEntry(store, keys, values, key[:len(key)-k.suffix], value)
}

// timedRestorer fills a timed store. It keeps the store's time, so that what is too old at the end of the changelog is not written.
type timedRestorer struct {
	kind      *timed
	name      string
	partition Partition
	segments  *segments
	key       []byte // scratch
	values    keyValueRestorer
}

func newTimedRestorer(kind *timed, name string, p Partition, retention int64) (*timedRestorer, error) {
	s, err := openSegments(p, retention, kind.timeOf)
	if err != nil {
		return nil, fmt.Errorf("statestore: store %q: %w", name, err)
	}
	return &timedRestorer{kind: kind, name: name, partition: p, segments: s, values: keyValueRestorer{partition: p}}, nil
}

func (r *timedRestorer) Add(b Batch, key, value []byte, timestamp int64) error {
	if len(key) < r.kind.suffix || !r.kind.valid(key) {
		return fmt.Errorf("statestore: store %q: the changelog has a key of %d bytes that is not %s's: it is not this store's changelog", r.name, len(key), r.kind.what)
	}
	if !r.segments.observe(r.kind.timeOf(key)) {
		return nil
	}
	if r.kind.numbered {
		r.segments.noteSeq(windowSeq(key))
	}
	r.key = r.segments.engineKey(r.key[:0], key)
	return r.values.Add(b, r.key, value, timestamp)
}

func (r *timedRestorer) Seal(b Batch) error { return r.segments.seal(b, r.partition) }
