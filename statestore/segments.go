package statestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// A store with retention cuts its part of the engine into segments of stream time, so that what is too old goes by one range deletion and not key by key:
//
//	┌───────────────┬───────────────────────────┐
//	│ segment     8 │ key of the changelog    n │   segment = time of the key / interval, big-endian
//	└───────────────┴───────────────────────────┘
//	┌───────────────┐     ┌───────────┬────────────┬─────────────┬─────────────┬───────┐
//	│ (empty key)   │  ─▶ │ version 2 │ interval 8 │ retention 8 │ observed  8 │ seq 4 │   the metadata, times in ms
//	└───────────────┘     └───────────┴────────────┴─────────────┴─────────────┴───────┘
//
// The interval is chosen when the partition is filled for the first time and stays, whatever the retention becomes later.

const (
	segmentBytes    = 8
	metadataVersion = 2
	metadataBytes   = 1 + 3*8 + 4
	// minSegmentInterval bounds the range deletions of stores with a short retention.
	minSegmentInterval = time.Minute
)

// errMetadata is the cause in errors about damaged metadata.
var errMetadata = errors.New("the store's metadata is damaged")

// segments is the layout and the clock of a store with retention. All times are milliseconds since 1970 and not negative.
type segments struct {
	interval  int64
	retention int64
	unseen    int64               // how much of the retention views do not see
	observed  int64               // the latest time that was put, -1 before the first
	seq       uint32              // the number given out last, of 31 bits, in a store that numbers its entries
	timeOf    func([]byte) int64  // the time in a key
	dropped   int64               // segments before this one are deleted
	saved     [metadataBytes]byte // what the engine has, or a zero version
}

// openSegments reads the metadata of a partition, or starts afresh.
func openSegments(p Partition, retention int64, timeOf func([]byte) int64) (*segments, error) {
	s := &segments{interval: max(retention/2, minSegmentInterval.Milliseconds()), retention: retention, observed: -1, timeOf: timeOf}
	return s, s.load(p)
}

// load reads interval and observed from the engine. A partition without metadata leaves them as they are.
func (s *segments) load(p Partition) error {
	m, found, err := p.Get(nil, nil)
	if err != nil {
		return fmt.Errorf("read the metadata: %w", err)
	}
	if !found {
		return nil
	}
	if len(m) != metadataBytes || m[0] != metadataVersion {
		return fmt.Errorf("read the metadata: version and size (% x): %w", m[:min(len(m), 1)], errMetadata)
	}
	interval, observed := int64(binary.BigEndian.Uint64(m[1:])), int64(binary.BigEndian.Uint64(m[17:]))
	if interval <= 0 || observed < -1 {
		return fmt.Errorf("read the metadata: interval %d, observed time %d: %w", interval, observed, errMetadata)
	}
	s.interval, s.observed, s.seq = interval, observed, binary.BigEndian.Uint32(m[25:])
	s.saved = [metadataBytes]byte(m)
	return nil
}

// metadata is the value to save.
func (s *segments) metadata() (m [metadataBytes]byte) {
	m[0] = metadataVersion
	binary.BigEndian.PutUint64(m[1:], uint64(s.interval))
	binary.BigEndian.PutUint64(m[9:], uint64(s.retention-s.unseen))
	binary.BigEndian.PutUint64(m[17:], uint64(s.observed))
	binary.BigEndian.PutUint32(m[25:], s.seq)
	return m
}

// savedRetention is the retention that views of the store go by, as it was last written, 0 when it never was.
func (s *segments) savedRetention() int64 { return int64(binary.BigEndian.Uint64(s.saved[9:])) }

// observe moves the store's time and says whether time t is within the retention.
func (s *segments) observe(t int64) bool {
	s.observed = max(s.observed, t)
	return s.alive(t)
}

// seqBits are those of a sequence number: Kafka's are not negative.
const seqBits = 1<<31 - 1

// nextSeq gives out a number. After 2^31 of them they begin again, when what had them is long gone.
func (s *segments) nextSeq() uint32 {
	s.seq = (s.seq + 1) & seqBits
	return s.seq
}

// noteSeq tells of a number that was given out before. Those in a store lie within less than half of all numbers, so that the later of two can be told, also after
// the numbers began again.
func (s *segments) noteSeq(seq uint32) {
	if ahead := (seq - s.seq) & seqBits; s.seq == 0 || ahead <= seqBits/2 {
		s.seq = seq
	}
}

// alive is the one rule of retention: what is not alive can be neither read nor written.
func (s *segments) alive(t int64) bool { return t > s.observed-s.retention }

// first is the first segment that holds something alive.
func (s *segments) first() int64 { return max(0, s.observed-s.retention+1) / s.interval }

// engineKey appends segment | key.
func (s *segments) engineKey(dst, key []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.timeOf(key)/s.interval))
	return append(dst, key...)
}

// seal adds the deletion of what is too old and the metadata to a batch, where they changed.
func (s *segments) seal(b Batch, p Partition) error {
	if first := s.first(); first > s.dropped {
		if err := b.DeleteRange(p, segmentKey(0), segmentKey(first)); err != nil {
			return err
		}
		s.dropped = first
	}
	m := s.metadata()
	if s.observed < 0 || m == s.saved {
		return nil
	}
	s.saved = m
	return b.Set(p, nil, m[:])
}

// segmentKey is the first key of a segment.
func segmentKey(segment int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(segment))
}

// scan returns the engine's entries with keys in [lo, hi) and segments that reach into the times [from, to), as the store's keys in their order. Entries of
// other times may be among them.
func (s *segments) scan(p Partition, lo, hi []byte, from, to int64, reverse bool) (Iterator, error) {
	from = max(from, s.observed-s.retention+1, 0)
	to = min(to, saturate(s.observed)) // nothing is later
	if from >= to {
		return noEntries, nil
	}
	m := &segmentMerge{reverse: reverse}
	for segment := from / s.interval; segment <= (to-1)/s.interval; segment++ {
		upper := segmentKey(segment + 1)
		if hi != nil {
			upper = append(segmentKey(segment), hi...)
		}
		it, err := p.Scan(append(segmentKey(segment), lo...), upper, reverse)
		if err != nil {
			m.Close()
			return nil, err
		}
		m.parts = append(m.parts, segmentPart{it: it, used: true})
	}
	return m, nil
}

// noEntries is a walk over nothing. It has no state to share.
var noEntries Iterator = &segmentMerge{}

// segmentMerge merges the scans of some segments; there are three or four unless the retention grew after the store was made.
type segmentMerge struct {
	parts   []segmentPart
	reverse bool
	current int
	err     error
}

type segmentPart struct {
	it   Iterator
	used bool // its entry has been returned
}

func (m *segmentMerge) Next() bool {
	best := -1
	for i := 0; i < len(m.parts); {
		p := &m.parts[i]
		if p.used {
			if p.used = !p.it.Next(); p.used {
				m.drop(i)
				continue
			}
		}
		if best >= 0 {
			c := bytes.Compare(p.it.Key()[segmentBytes:], m.parts[best].it.Key()[segmentBytes:])
			if m.reverse {
				c = -c
			}
			if c >= 0 {
				i++
				continue
			}
		}
		best = i
		i++
	}
	if best < 0 || m.err != nil {
		return false
	}
	m.current = best
	m.parts[best].used = true
	return true
}

// drop closes a part that has ended.
func (m *segmentMerge) drop(i int) {
	if err := m.parts[i].it.Close(); m.err == nil {
		m.err = err
	}
	m.parts = append(m.parts[:i], m.parts[i+1:]...)
}

func (m *segmentMerge) Key() []byte   { return m.parts[m.current].it.Key()[segmentBytes:] }
func (m *segmentMerge) Value() []byte { return m.parts[m.current].it.Value() }

func (m *segmentMerge) Close() error {
	for len(m.parts) > 0 {
		m.drop(len(m.parts) - 1)
	}
	return m.err
}

// endOfTime is the end of an open time range.
const endOfTime = math.MaxInt64

// saturate is t + 1, or the end of time.
func saturate(t int64) int64 { return max(t, t+1) }

// before is the last time before t, or the beginning of time.
func before(t int64) int64 { return min(t, t-1) }
