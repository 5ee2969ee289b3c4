package statestore

import (
	"encoding/binary"
	"fmt"
)

// A versioned store is a record of what was said of each key: a value or nothing, from a time on. It lies in the engine in two parts:
//
//	┌──────┬─────────┐      ┌──────────────┬─────────────┐
//	│ ff 1 │ key   n │  ─▶  │ timestamp  8 │ value     n │   latest: the last thing said, if it is a value
//	└──────┴─────────┘      └──────────────┴─────────────┘
//	┌───────────┬─────────┬────────────┐      ┌──────────────┬───────┬─────────────┐
//	│ segment 8 │ key   n │ validTo  8 │  ─▶  │ validFrom  8 │ has 1 │ value     n │   history: what was said before, until validTo; has is 0 for nothing
//	└───────────┴─────────┴────────────┘      └──────────────┴───────┴─────────────┘
//
// Times at which something was said are the validFrom and validTo of the history and the time of the latest. A deletion that has nothing before it leaves an entry from
// its time to its time. A time that no entry covers had nothing. The history is cut into segments of validTo and forgotten with them, see segments.
//
// A deletion at the time of the latest takes back what was said of that time, as in Kafka Streams: unless something ends there, nothing is known of it any more, and a value
// that comes late for an earlier time is the latest.
const (
	latestPrefix    = 0xff // segments are not negative
	historySuffix   = 8
	historyHead     = 8 + 1
	hasNone, hasOne = 0, 1
)

// versions is a versioned store below its types. Owned by the task's goroutine.
type versions struct {
	latest  core
	history retained
	notes   versionNotes

	walk           merged
	key, engineOld []byte // scratch: a key of the history; a value that moves there
	value          []byte // scratch
}

func historyEnd(key []byte) int64 {
	return int64(binary.BigEndian.Uint64(key[len(key)-historySuffix:]))
}

func (s *versions) open(name string, b Backend, history int64) error {
	half := b
	half.CacheBytes /= 2
	s.latest = newCore(name, half, false, prefixed(latestPrefix))
	s.notes = newVersionNotes()
	return s.history.open(name, half, false, history, historyEnd)
}

// period is something said of a key.
type period struct {
	from, to int64
	has      bool
	value    []byte // valid until the store's next call
}

// next returns the first period of a key that ends after a time.
func (s *versions) next(key []byte, after int64) (p period, found bool, err error) {
	m := &s.walk
	if err := s.periods(m, key, after, false); err != nil {
		return p, false, err
	}
	if found = nextPeriod(m, key); found {
		p, err = s.period(m)
		s.value = append(s.value[:0], p.value...)
		p.value = s.value
	}
	if closeErr := m.close(); err == nil && closeErr != nil {
		err = s.history.fail("scan", closeErr)
	}
	return p, found && err == nil, err
}

// lastTime returns the last time at which something was said of a key that has no latest value.
func (s *versions) lastTime(key []byte) (t int64, found bool, err error) {
	m := &s.walk
	if err := s.periods(m, key, -1, true); err != nil {
		return 0, false, err
	}
	if found = nextPeriod(m, key); found {
		t = historyEnd(m.key)
	}
	if err := m.close(); err != nil {
		return 0, false, s.history.fail("scan", err)
	}
	return t, found, nil
}

// periods begins a walk over the periods of a key that end after a time. Those of longer keys may be among them.
func (s *versions) periods(m *merged, key []byte, after int64, reverse bool) error {
	bounds := binary.BigEndian.AppendUint64(append(make([]byte, 0, 2*len(key)+2*historySuffix+1), key...), uint64(saturate(after)))
	lo := bounds[:len(bounds):len(bounds)]
	hi := append(binary.BigEndian.AppendUint64(append(bounds, key...), endOfTime), 0)[len(lo):]
	return s.history.begin(m, lo, hi, saturate(after), endOfTime, reverse)
}

// nextPeriod moves a walk to the next period of the key.
func nextPeriod(m *merged, key []byte) bool {
	for m.next() {
		if len(m.key) == len(key)+historySuffix {
			return true
		}
	}
	return false
}

// period reads what a walk stands at.
func (s *versions) period(m *merged) (period, error) {
	if len(m.value) < historyHead {
		return period{}, errShortValue(s.history.name, len(m.value))
	}
	return period{from: timeOf(m.value), to: historyEnd(m.key), has: m.value[8] == hasOne, value: m.value[historyHead:]}, nil
}

// keep stages a period of the history.
func (s *versions) keep(key []byte, p period) {
	s.key = binary.BigEndian.AppendUint64(append(s.key[:0], key...), uint64(p.to))
	s.engineOld = append(binary.BigEndian.AppendUint64(s.engineOld[:0], uint64(p.from)), flagOf(p.has))
	s.engineOld = append(s.engineOld, p.value...)
	s.history.table.Put(s.key, s.engineOld)
}

func flagOf(has bool) byte {
	if has {
		return hasOne
	}
	return hasNone
}

// put says what a key has from a time on, nil being nothing, and returns until when.
func (s *versions) put(key, value []byte, timestamp int64) (validTo int64, err error) {
	if timestamp < 0 {
		return NotPut, fmt.Errorf("statestore: store %q: a version from %d on, want a time since 1970", s.history.name, timestamp)
	}
	s.history.observe(timestamp)
	if timestamp < s.oldest() {
		return NotPut, nil
	}
	latest, found, err := s.latest.get(key)
	if err != nil {
		return NotPut, err
	}
	if found && timestamp < timeOf(latest) {
		return s.insert(key, value, timestamp, timeOf(latest))
	}
	if !found {
		switch _, later, err := s.next(key, timestamp); {
		case err != nil:
			return NotPut, err
		case later:
			return s.insert(key, value, timestamp, StillValid)
		}
	}
	if found && timestamp > timeOf(latest) {
		s.keep(key, period{from: timeOf(latest), to: timestamp, has: true, value: latest[timestampBytes:]})
	}
	if value == nil {
		err = s.remove(key, timestamp, found, found && timestamp == timeOf(latest))
	} else {
		s.latest.encoded = append(binary.BigEndian.AppendUint64(s.latest.encoded[:0], uint64(timestamp)), value...)
		s.latest.table.Put(key, s.latest.encoded)
	}
	s.notes.add(key, value, timestamp, false)
	return StillValid, err
}

// oldest is the first time of the history.
func (s *versions) oldest() int64 { return s.history.observed - s.history.retention }

// remove removes the latest value, if one was found. The history remembers the time of it, but for a value of the same time, which is taken back.
func (s *versions) remove(key []byte, timestamp int64, found, takenBack bool) error {
	if found {
		s.latest.delete(key, timestamp)
	}
	if takenBack {
		return nil
	}
	s.key = binary.BigEndian.AppendUint64(append(s.key[:0], key...), uint64(timestamp))
	_, known, err := s.history.get(s.key)
	if err == nil && !known {
		s.keep(key, period{from: timestamp, to: timestamp})
	}
	return err
}

// insert says something that ends at the next time at which something was said, at limit at the latest.
func (s *versions) insert(key, value []byte, timestamp, limit int64) (validTo int64, err error) {
	p, found, err := s.next(key, timestamp)
	if err != nil {
		return NotPut, err
	}
	validTo = limit
	switch {
	case found && p.from > timestamp: // before all that was said, or in a time that had nothing
		validTo = p.from
	case found:
		validTo = p.to
		if p.from < timestamp {
			s.keep(key, period{from: p.from, to: timestamp, has: p.has, value: p.value})
		}
	}
	s.keep(key, period{from: timestamp, to: validTo, has: value != nil, value: value})
	s.notes.add(key, value, timestamp, true)
	return validTo, nil
}

// get returns what a key had at a time, valid until the store's next call.
func (s *versions) get(key []byte, asOf int64) (p period, found bool, err error) {
	latest, found, err := s.latest.get(key)
	switch {
	case err != nil:
		return p, false, err
	case found && timeOf(latest) <= asOf:
		return period{from: timeOf(latest), to: StillValid, has: true, value: latest[timestampBytes:]}, true, nil
	case asOf < s.oldest() || asOf < 0 || asOf == endOfTime: // nothing ends later than that
		return p, false, nil
	}
	p, found, err = s.next(key, asOf)
	return p, found && p.has && p.from <= asOf, err
}

func (s *versions) StoreName() string { return s.latest.name }

// ObservedTime is the store's time.
func (s *versions) ObservedTime() int64 { return s.history.observed }

// Flush does nothing: versioned stores hold nothing back.
func (s *versions) Flush() error { return nil }

func (s *versions) StagedBytes() int {
	return s.latest.StagedBytes() + s.history.StagedBytes() + s.notes.stagedBytes()
}

// Changelog emits all that was said since the last commit, in that order, and then says the latest version of each key again after one of its past: else compaction would
// keep the late one alone.
func (s *versions) Changelog(emit func(key, value []byte, timestamp int64) error) error {
	if err := s.notes.each(emit); err != nil {
		return err
	}
	return s.notes.eachLate(func(key []byte) error {
		latest, found, err := s.latest.get(key)
		if err != nil {
			return err
		}
		if found {
			return emit(key, latest[timestampBytes:], timeOf(latest))
		}
		last, found, err := s.lastTime(key)
		if err != nil || !found {
			return err
		}
		return emit(key, nil, last)
	})
}

func (s *versions) Stage(b Batch) error {
	if err := s.latest.Stage(b); err != nil {
		return err
	}
	return s.history.Stage(b)
}

func (s *versions) Committed() {
	s.latest.Committed()
	s.history.Committed()
	s.notes.discard()
}

func (s *versions) Discard() {
	s.latest.Discard()
	s.history.Discard()
	s.notes.discard()
}

func (s *versions) Close() error {
	s.Discard()
	return nil
}
