package commitlog

import (
	"errors"
	"io"

	"github.com/millrace-io/millrace/internal/record"
)

// AbortedIn appends to dst the aborted transactions whose batches lie in [from, upTo): what a read_committed reader of that range must leave
// out (T11). They come in the order of their markers, as Kafka answers; those of one producer, which is what clients go by, are in the order
// of their first offsets too.
func (l *Log) AbortedIn(dst []AbortedTxn, from, upTo Offset) ([]AbortedTxn, error) {
	if err := l.usable(); err != nil {
		return dst, err
	}
	at := len(dst)
	segs := l.segs()
	for _, s := range segs[min(max(segmentFor(segs, from), 0), len(segs)):] {
		if !s.acquire() {
			continue // deleted or replaced meanwhile; nobody reads it any more
		}
		found, done, err := l.abortedInSegment(dst, s, from, upTo)
		if err = errors.Join(err, s.release()); err != nil {
			return dst[:at], err
		}
		dst = found
		if done {
			break
		}
	}
	return dst, nil
}

// AbortedUpTo is AbortedIn for a reader who was given the batches below next. Like Apache Kafka it goes as far as the index tells without a look at the log: up to
// the first indexed batch from next on, or the segment's end. What is told too early is told again, and does no harm to readers.
func (l *Log) AbortedUpTo(dst []AbortedTxn, from, next Offset) ([]AbortedTxn, error) {
	upTo, err := l.indexedFrom(next)
	if err != nil {
		return dst, err
	}
	return l.AbortedIn(dst, from, upTo)
}

// indexedFrom returns the first offset from next on that the index of the segment which ends there or goes on names, or that segment's end.
func (l *Log) indexedFrom(next Offset) (Offset, error) {
	end, segs := l.End(), l.segs()
	at := segmentFor(segs, next-1)
	if at < 0 || at >= len(segs) || !segs[at].acquire() {
		return max(next, end), nil
	}
	s := segs[at]
	err := l.ensureIndex(s)
	if err == nil {
		if at+1 < len(segs) {
			end = segs[at+1].base
		}
		s.mu.Lock()
		if o, ok := s.mu.idx.firstFrom(next); ok {
			end = o
		}
		s.mu.Unlock()
	}
	return max(next, end), errors.Join(err, s.release())
}

// abortedInSegment appends the entries of s that overlap [from, upTo); done tells that no later entry can.
func (l *Log) abortedInSegment(dst []AbortedTxn, s *segment, from, upTo Offset) (_ []AbortedTxn, done bool, err error) {
	if err := l.ensureIndex(s); err != nil {
		return dst, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.mu.aborted {
		if a.LastOffset >= from && a.FirstOffset < upTo {
			dst = append(dst, a)
		}
		if a.LastStable >= upTo {
			return dst, true, nil
		}
	}
	return dst, false, nil
}

// OffsetForTime returns the first record below upTo whose timestamp is ts or later; ok is false when there is none.
func (l *Log) OffsetForTime(ts int64, upTo Offset) (t TimestampOffset, ok bool, err error) {
	if err := l.usable(); err != nil {
		return t, false, err
	}
	for _, s := range l.segs() {
		if s.base >= upTo {
			break
		}
		if !s.acquire() {
			continue
		}
		t, ok, err = l.timeInSegment(s, ts, upTo)
		if err = errors.Join(err, s.release()); err != nil || ok {
			return t, ok, err
		}
	}
	return TimestampOffset{Offset: record.NoOffset, Timestamp: record.NoTimestamp, LeaderEpoch: record.NoLeaderEpoch}, false, nil
}

// MaxTimestamp returns the record with the largest timestamp below upTo, the first of them; ok is false when the log is empty. Among records without
// timestamps that is the first.
func (l *Log) MaxTimestamp(upTo Offset) (t TimestampOffset, ok bool, err error) {
	if err := l.usable(); err != nil {
		return t, false, err
	}
	best := TimestampOffset{Offset: record.NoOffset, Timestamp: record.NoTimestamp, LeaderEpoch: record.NoLeaderEpoch}
	for _, s := range l.segs() {
		if s.base >= upTo {
			break
		}
		if !s.acquire() {
			continue
		}
		top, err := l.topTime(s, upTo)
		if err == nil && (top > best.Timestamp || best.Offset == record.NoOffset) {
			if t, ok, err = l.timeInSegment(s, top, upTo); ok {
				best = t
			}
		}
		if err = errors.Join(err, s.release()); err != nil {
			return t, false, err
		}
	}
	return best, best.Offset != record.NoOffset, nil
}

// topTime returns the largest timestamp of the batches of s below upTo that hold a record at or above the log's start.
func (l *Log) topTime(s *segment, upTo Offset) (int64, error) {
	if err := l.ensureIndex(s); err != nil {
		return 0, err
	}
	s.mu.Lock()
	top, whole := s.mu.idx.maxTime, s.mu.idx.next <= upTo && s.base >= l.LogStart()
	s.mu.Unlock()
	if whole {
		return top, nil
	}
	// A part of the segment only: at most one at either end of the log.
	f, err := s.open()
	if err != nil {
		return 0, err
	}
	top = record.NoTimestamp
	start, cut := l.LogStart(), false
	_, err = hopTo(s, f, 0, s.size.Load(), func(b record.Batch) bool {
		switch {
		case b.BaseOffset() >= upTo:
			return true
		case b.BaseOffset() >= start:
			top = max(top, b.MaxTimestamp())
		case b.LastOffset() >= start:
			cut = true // its largest timestamp may be that of a record which is gone
		}
		return false
	})
	if err == nil && cut {
		var rest int64
		rest, err = l.topTimeInCut(s, f, start)
		top = max(top, rest)
	}
	return top, err
}

// topTimeInCut returns the largest timestamp that the batch which the log's start cuts in two has from there on.
func (l *Log) topTimeInCut(s *segment, f io.ReaderAt, start Offset) (int64, error) {
	pos, err := l.locate(s, f, start, s.size.Load())
	if err != nil {
		return 0, err
	}
	b, err := readBatchAt(s, f, pos)
	if err != nil {
		return 0, err
	}
	top := record.NoTimestamp
	err = l.eachRecord(s, b, func(r *record.Record) bool {
		if r.Offset >= start {
			top = max(top, r.Timestamp)
		}
		return true
	})
	return top, err
}

// timeInSegment returns the first record of s, in [log start, upTo), whose timestamp is ts or later.
func (l *Log) timeInSegment(s *segment, ts int64, upTo Offset) (t TimestampOffset, ok bool, err error) {
	if err := l.ensureIndex(s); err != nil {
		return t, false, err
	}
	s.mu.Lock()
	top, from := s.mu.idx.maxTime, s.mu.idx.offsetBefore(ts)
	s.mu.Unlock()
	if top < ts {
		return t, false, nil
	}
	f, err := s.open()
	if err != nil {
		return t, false, err
	}
	start, size := l.LogStart(), s.size.Load()
	pos, err := l.locate(s, f, max(from, start), size)
	for err == nil && !ok {
		var b record.Batch
		if pos, b, err = nextByTime(s, f, pos, size, ts); b == nil || b.BaseOffset() >= upTo {
			return t, false, err
		}
		pos += int64(len(b))
		t, ok, err = l.recordAt(s, b, ts, start, upTo)
	}
	return t, ok, err
}

// nextByTime returns the first whole batch from pos on that may hold a record of ts or later; nil at the end.
func nextByTime(s *segment, f io.ReaderAt, pos, size, ts int64) (int64, record.Batch, error) {
	pos, err := hopTo(s, f, pos, size, func(b record.Batch) bool { return b.MaxTimestamp() >= ts })
	if err != nil || pos == size {
		return pos, nil, err
	}
	b, err := readBatchAt(s, f, pos)
	return pos, b, err
}

// readBatchAt reads the batch that begins at pos.
func readBatchAt(s *segment, f io.ReaderAt, pos int64) (record.Batch, error) {
	head := make([]byte, record.HeaderSize)
	if err := readFull(f, head, pos); err != nil {
		return nil, scanFailed(s, pos, err)
	}
	n, err := record.SizeOf(head)
	if err != nil {
		return nil, scanFailed(s, pos, err)
	}
	b := make(record.Batch, n)
	if err := readFull(f, b, pos); err != nil {
		return nil, scanFailed(s, pos, err)
	}
	if err := b.Check(); err != nil {
		return nil, scanFailed(s, pos, err)
	}
	return b, nil
}

// eachRecord calls visit for the records of b, until it returns false.
func (l *Log) eachRecord(s *segment, b record.Batch, visit func(*record.Record) bool) error {
	err := withDecompressor(l.config().MaxDecompressed, func(d *record.Decompressor) error {
		it, err := b.Records(d)
		if err != nil {
			return err
		}
		var r record.Record
		for it.Next(&r) {
			if !visit(&r) {
				return nil
			}
		}
		return it.Err()
	})
	if err != nil {
		return corruptAt(s.name(), 0, err)
	}
	return nil
}

// recordAt returns the first record of b in [start, upTo) with a timestamp of ts or later.
func (l *Log) recordAt(s *segment, b record.Batch, ts int64, start, upTo Offset) (t TimestampOffset, ok bool, err error) {
	err = l.eachRecord(s, b, func(r *record.Record) bool {
		if r.Timestamp >= ts && r.Offset >= start && r.Offset < upTo {
			t, ok = TimestampOffset{Offset: r.Offset, Timestamp: r.Timestamp, LeaderEpoch: b.LeaderEpoch()}, true
		}
		return !ok
	})
	return t, ok && err == nil, err
}
