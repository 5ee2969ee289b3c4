package commitlog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/internal/record"
)

// Truncate removes every batch that holds an offset of to or above and returns the new end, which lies below to when to was in the middle of
// a batch. A follower cuts its log so when its leader's went another way. The cut is durable when Truncate returns.
//
// The owner of the directory must have lowered the recovery point in its checkpoint to `to` before: what is appended in place of the cut part
// is not flushed.
func (l *Log) Truncate(to Offset) (Offset, error) {
	l.stopCleaning()
	defer l.cleanMu.Unlock()
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	if to >= l.End() {
		return l.End(), nil
	}
	if to < l.LogStart() {
		return 0, fmt.Errorf("%w: truncation to %d below the log's start %d", ErrOffsetOutOfRange, to, l.LogStart())
	}
	end, err := l.truncate(to)
	if err != nil {
		return 0, l.fail(fmt.Errorf("truncate to %d: %w", to, err))
	}
	return end, nil
}

// truncate does what Truncate promises. cleanMu, flushMu and mu are held.
func (l *Log) truncate(to Offset) (Offset, error) {
	l.filed = false
	l.cuts.Add(1)
	defer l.cuts.Add(1)
	segs := l.segs()
	keep := max(segmentFor(segs, to), 0)
	s := segs[keep]
	if err := l.ensureIndex(s); err != nil {
		return 0, err
	}
	f, err := s.open()
	if err != nil {
		return 0, err
	}
	cut, err := hopTo(s, f, 0, s.size.Load(), func(b record.Batch) bool { return b.LastOffset() >= to })
	if err != nil {
		return 0, err
	}
	l.end.Store(int64(to)) // before anything goes, so that no reader starts on it
	if err := l.dropAfter(keep); err != nil {
		return 0, err
	}
	s.size.Store(cut)
	if err := errors.Join(l.cutFile(s, cut), removeIfExists(l.fs, s.path(suffixSummary)), syncDir(l.fs, l.dir)); err != nil {
		return 0, err
	}
	last, err := l.rescan(s, cut)
	if err != nil {
		return 0, err
	}
	end := max(last, l.LogStart())
	l.end.Store(int64(end))
	l.recoveryPoint, l.cleaned = min(l.recoveryPoint, end), min(l.cleaned, end)
	l.epochs.cutEnd(end)
	l.active.tornTail = false
	snapshots, err := l.snapshotOffsets()
	if err != nil {
		return 0, err
	}
	if err := l.dropSnapshots(snapshots, end); err != nil {
		return 0, err
	}
	if err := l.replay(&l.producers, replayTo{end: end, snapshots: snapshots, snapshotBy: end, now: l.active.created}); err != nil {
		return 0, err
	}
	return end, l.epochs.save(l.fs, l.dir, end)
}

// dropAfter deletes the segments after the one at index keep, newest first, so that a crash in between leaves no gap.
func (l *Log) dropAfter(keep int) error {
	segs := l.segs()
	l.setSegs(slices.Clone(segs[:keep+1]))
	var errs []error
	for _, s := range slices.Backward(segs[keep+1:]) {
		_, err := s.open()
		errs = append(errs, err, s.removeFiles(), removeIfExists(l.fs, s.path(suffixSnapshot)), s.release())
	}
	if len(segs) > keep+1 {
		errs = append(errs, syncDir(l.fs, l.dir))
	}
	return errors.Join(errs...)
}

// rescan builds the indexes of a segment that was cut to size and returns the offset after its last batch.
func (l *Log) rescan(s *segment, size int64) (Offset, error) {
	cfg := l.config()
	idx := newIndex(s.base, int64(cfg.IndexInterval), cfg.indexEntries())
	if err := l.scanIndex(s, &idx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.idx, s.mu.loaded = idx, true
	s.mu.aborted = slices.DeleteFunc(s.mu.aborted, func(a AbortedTxn) bool { return a.LastOffset >= idx.next })
	s.mu.goodLo, s.mu.goodHi = min(s.mu.goodLo, size), min(s.mu.goodHi, size)
	for i := range s.mu.cursors {
		s.mu.cursors[i].off = -1
	}
	return idx.next, nil
}

// dropSnapshots deletes those producer snapshots, among the given ones, that lie above end: they speak of more than is left.
func (l *Log) dropSnapshots(offsets []Offset, end Offset) error {
	var errs []error
	for _, o := range offsets {
		if o > end {
			errs = append(errs, removeIfExists(l.fs, l.fs.PathJoin(l.dir, fileName(o, suffixSnapshot))))
		}
	}
	return errors.Join(errs...)
}

// Reset removes everything and lets the log begin anew, empty, at start. A follower does so when its leader no longer has what would follow
// the follower's end. The reset is durable when Reset returns.
func (l *Log) Reset(start Offset) error {
	l.stopCleaning()
	defer l.cleanMu.Unlock()
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if err := l.reset(start); err != nil {
		return l.fail(fmt.Errorf("reset to %d: %w", start, err))
	}
	return nil
}

func (l *Log) reset(start Offset) error {
	l.filed = false
	l.cuts.Add(1)
	defer l.cuts.Add(1)
	had, created := l.activeSegment() != nil, l.active.created
	if had {
		if err := l.dropAfter(-1); err != nil {
			return err
		}
	}
	l.start.Store(int64(start))
	l.end.Store(int64(start))
	l.recoveryPoint, l.cleaned = start, start
	l.epochs = epochCache{}
	l.producers.reset()
	clear(l.verifications)
	l.active = activeState{}
	if !had {
		return nil
	}
	snapshots, err := l.snapshotOffsets()
	if err != nil {
		return err
	}
	if err := l.dropSnapshots(snapshots, -1); err != nil {
		return err
	}
	if err := l.roll(created); err != nil {
		return err
	}
	if err := l.epochs.save(l.fs, l.dir, start); err != nil {
		return err
	}
	return syncDir(l.fs, l.dir)
}
