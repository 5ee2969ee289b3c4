package commitlog

import (
	"errors"
	"fmt"
	"io"

	"github.com/millrace-io/millrace/internal/invariant"
	"github.com/millrace-io/millrace/internal/record"
)

// recoverSegment reads segment i of segs after an unclean end. Batches at flushed or above have their checksums verified, all of them if all
// is set. It sets the log's end; cut tells that the log was cut here and that no segment follows any more.
//
//	whole, next segment begins where it ends ──▶ go on
//	bad batch or gap below flushed           ──▶ ErrCorrupt
//	bad batch, nothing valid after it        ──▶ torn tail: cut
//	bad batch, valid ones after it           ──▶ ErrCorrupt, but for writes that a power failure lost: cut
//	gap before the next segment              ──▶ what was not flushed is lost: cut; but for a gap that compaction left
func (l *Log) recoverSegment(segs []*segment, i int, flushed Offset, all bool) (cut bool, err error) {
	s := segs[i]
	f, err := s.open()
	if err != nil {
		return false, err
	}
	cfg := l.config()
	idx := newIndex(s.base, int64(cfg.IndexInterval), cfg.indexEntries())
	pos, floor, bad, err := l.scanSegment(s, f, &idx, flushed, all)
	if err != nil {
		return false, err
	}
	if bad != nil {
		if idx.next < flushed {
			return false, corruptAt(s.name(), Position(pos), fmt.Errorf("%w (below the recovery point %d)", bad, flushed))
		}
		if err := l.judge(s, segs[i+1:], f, pos, floor, bad); err != nil {
			return false, err
		}
		return true, l.cutAt(segs, i, pos, &idx)
	}
	s.mu.Lock()
	s.mu.idx = idx // not loaded: the aborted transactions are not known yet
	s.mu.Unlock()
	l.end.Store(int64(idx.next))
	if i+1 == len(segs) || segs[i+1].base == idx.next {
		return false, nil
	}
	if segs[i+1].base > idx.next && l.gapIsCompaction(s) {
		return false, nil
	}
	if idx.next < flushed || segs[i+1].base < idx.next {
		return false, corruptAt(s.name(), Position(s.size.Load()), fmt.Errorf("it ends at offset %d, the next begins at %d", idx.next, segs[i+1].base))
	}
	return true, l.cutAt(segs, i, pos, &idx)
}

// scanSegment walks s, fills idx and returns where it stopped: at the end, or at a batch with the fault bad. Batches that come after it have
// offsets of floor or more: that is where the batch before began, or the one before that ended, in case its base offset is the fault.
func (l *Log) scanSegment(s *segment, f io.ReaderAt, idx *index, flushed Offset, all bool) (pos int64, floor Offset, bad, err error) {
	floor = s.base
	// Headers below the recovery point are hopped over; from there on every byte is read.
	sc := newScanner(f, 0, s.size.Load(), all || s.base >= flushed)
	defer func() { sc.close() }()
	for {
		if !sc.verify && idx.next >= flushed {
			at := sc.pos
			sc.close()
			sc = newScanner(f, at, s.size.Load(), true)
		}
		b, err := sc.next()
		switch {
		case err == io.EOF:
			return sc.pos, floor, nil, nil
		case errors.Is(err, record.ErrShort), errors.Is(err, record.ErrCorrupt), errors.Is(err, record.ErrOldFormat):
			return sc.pos, floor, err, nil
		case err != nil:
			return 0, 0, nil, fmt.Errorf("segment %s: read at %d: %w", s.name(), sc.pos, err)
		}
		if first := b.header.BaseOffset(); first < idx.next {
			return b.pos, floor, fmt.Errorf("%w: base offset %d after %d", record.ErrCorrupt, first, idx.next-1), nil
		}
		if sc.verify {
			l.recovery.ScannedBytes += int64(b.size)
			s.markGood(b.pos, b.pos+int64(b.size))
		}
		floor = idx.next
		idx.add(b.header, b.pos, b.size)
	}
}

// judge decides whether a bad batch at pos may be cut off with all that follows; nil means that it may.
func (l *Log) judge(s *segment, later []*segment, f io.ReaderAt, pos int64, floor Offset, bad error) error {
	size := s.size.Load()
	// A batch that only goes back is whole itself, so that the search begins at it.
	after, err := validAfter(f, pos-1, size, floor)
	if err != nil {
		return err
	}
	until := size
	if after >= 0 {
		until = after
	}
	for _, t := range later {
		if after >= 0 {
			break
		}
		if t.size.Load() == 0 {
			continue
		}
		g, err := t.open()
		if err != nil {
			return err
		}
		if after, err = validAfter(g, -1, t.size.Load(), floor); err != nil {
			return err
		}
	}
	if after < 0 {
		return nil
	}
	lost, err := hasLostBlock(f, pos, until)
	if err != nil {
		return err
	}
	if lost || (errors.Is(bad, record.ErrShort) && until == size && !l.indexMatches(s)) {
		return nil // writes that never reached the disk before the power failed
	}
	return corruptAt(s.name(), Position(pos), fmt.Errorf("%w (and valid batches follow)", bad))
}

// indexMatches tells whether the index files of s hold for the size that it has: then it lost no bytes since it was closed.
func (l *Log) indexMatches(s *segment) bool {
	idx := newIndex(s.base, 1, 1)
	_, ok := readIndexFiles(l.fs, l.dir, &idx, s.size.Load())
	return ok
}

// gapIsCompaction tells whether the offsets between the end of s and the next segment were compacted away. Our cleaner leaves none of its own; of
// a segment from Kafka nobody can tell, and nothing is thrown away for a doubt.
func (l *Log) gapIsCompaction(s *segment) bool {
	return l.config().Compact && l.fromKafka(s) && (s.size.Load() > 0 || kafkaHad(l.fs, l.dir, false)) // a power failure leaves empty files too
}

// fromKafka tells whether Kafka wrote a segment: it has a time index, and no summary of ours that speaks of its indexes. Kafka's cleaner may leave nothing of a segment; the
// time index is as empty then.
func (l *Log) fromKafka(s *segment) bool {
	if summarized(l.fs, l.dir, s.base) {
		return false
	}
	data, err := readSmallFile(l.fs, s.path(suffixTime), maxSegmentBytes)
	if err != nil || s.size.Load() == 0 {
		return err == nil && allZero(data)
	}
	return len(data) >= timeEntrySize && len(data)%timeEntrySize == 0 && !allZero(data[:timeEntrySize])
}

// cutAt makes pos in segment i the log's end.
func (l *Log) cutAt(segs []*segment, i int, pos int64, idx *index) error {
	s := segs[i]
	l.recovery.TruncatedAt = idx.next
	l.recovery.TruncatedBytes += s.size.Load() - pos
	for _, t := range segs[i+1:] {
		l.recovery.TruncatedBytes += t.size.Load()
	}
	if err := l.dropAfter(i); err != nil {
		return err
	}
	s.size.Store(pos)
	if err := errors.Join(l.cutFile(s, pos), removeIfExists(l.fs, s.path(suffixSummary)), syncDir(l.fs, l.dir)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.idx = *idx
	invariant.Always(s.mu.goodHi <= pos, "commitlog: segment %s: bytes up to %d were verified, the cut is at %d", s.name(), s.mu.goodHi, pos)
	l.end.Store(int64(idx.next))
	return nil
}
