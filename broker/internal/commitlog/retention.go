package commitlog

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/internal/record"
)

// AdvanceLogStart makes everything below to unreadable, as DeleteRecords asks, and deletes the segments that hold nothing else. An offset at
// or below the log's start changes nothing. The owner checkpoints the log's start before it answers.
func (l *Log) AdvanceLogStart(to Offset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if to > l.End() {
		return fmt.Errorf("%w: log start %d past the end %d", ErrOffsetOutOfRange, to, l.End())
	}
	if to <= l.LogStart() {
		return nil
	}
	l.moveStart(to)
	_, err := l.dropBelowStart()
	return err
}

// moveStart moves the log's start. mu is held.
func (l *Log) moveStart(to Offset) {
	l.start.Store(int64(to))
	l.epochs.cutStart(to)
}

// dropBelowStart deletes the segments that lie wholly below the log's start. The active one stays. mu is held.
func (l *Log) dropBelowStart() (int, error) {
	segs := l.segs()
	n := 0
	for n+1 < len(segs) && segs[n+1].base <= l.LogStart() {
		n++
	}
	return n, l.dropFirst(n)
}

// dropFirst deletes the first n segments, oldest first, so that a crash in between leaves no gap. Their files may stay for a while, under names that no
// opening takes for segments. mu is held.
func (l *Log) dropFirst(n int) error {
	if n == 0 {
		return nil
	}
	segs := l.segs()
	l.setSegs(segs[n:])
	var errs []error
	for _, s := range segs[:n] {
		_, err := s.open() // so that a reader that holds the segment can finish
		if isNotExist(err) {
			err = nil
		}
		errs = append(errs, err, l.doom(s), s.removeFiles(), removeIfExists(l.fs, s.path(suffixSnapshot)), s.release())
	}
	l.dirDirty = true
	return errors.Join(errs...)
}

// doomedFile is the file of a deleted segment that stays for Config.DeleteDelay.
type doomedFile struct {
	path string
	due  time.Time // zero until PurgeDeleted first saw it
}

// doom puts a segment's file aside when the configuration asks for a delay. mu is held.
func (l *Log) doom(s *segment) error {
	if l.config().DeleteDelay <= 0 {
		return nil
	}
	path := s.path(suffixLog)
	if err := l.fs.Rename(path, path+suffixDeleted); err != nil {
		if isNotExist(err) {
			return nil
		}
		return fmt.Errorf("commitlog: %w", err)
	}
	l.doomed = append(l.doomed, doomedFile{path: path + suffixDeleted})
	return nil
}

// PurgeDeleted removes the files of deleted segments whose delay is over; a delay begins with the first call that finds the file. The owner calls it
// from time to time. An opening removes what is left.
func (l *Log) PurgeDeleted(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.doomed) == 0 {
		return nil
	}
	if err := l.usable(); err != nil {
		return err
	}
	delay := l.config().DeleteDelay
	var errs []error
	kept := l.doomed[:0]
	for _, d := range l.doomed {
		if d.due.IsZero() || d.due.After(now.Add(delay)) { // new, or the clock was set back, or the delay was shortened
			d.due = now.Add(delay)
		}
		if d.due.After(now) {
			kept = append(kept, d)
			continue
		}
		errs = append(errs, removeIfExists(l.fs, d.path))
	}
	l.doomed = kept
	return errors.Join(errs...)
}

// DeleteOldSegments deletes the segments that the retention rules give up: by age, by size, and whatever lies below the log's start. Nothing
// at or above upTo, the high watermark, is deleted. It returns how many segments went.
//
// The active segment is closed and deleted as well when all its records are too old (C7).
func (l *Log) DeleteOldSegments(now time.Time, upTo Offset) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	cfg := l.config()
	if cfg.Delete {
		n, err := l.expired(cfg, now, upTo)
		if err != nil {
			return 0, err
		}
		if segs := l.segs(); n > 0 && n == len(segs) {
			if err := l.roll(now); err != nil {
				return 0, err
			}
		}
		if n > 0 {
			l.moveStart(max(l.LogStart(), l.segs()[n].base))
		}
	}
	return l.dropBelowStart()
}

// expired returns how many of the oldest segments retention gives up. mu is held.
func (l *Log) expired(cfg *Config, now time.Time, upTo Offset) (int, error) {
	segs := l.segs()
	surplus := int64(0)
	if cfg.RetentionBytes > 0 {
		surplus = l.Size() - cfg.RetentionBytes
	}
	for n, s := range segs {
		end, active := l.End(), n == len(segs)-1
		if !active {
			end = segs[n+1].base
		}
		size := s.size.Load()
		if end > upTo || (active && size == 0) {
			return n, nil
		}
		bySize := surplus-size >= 0 && surplus > 0 && !active
		byAge := false
		if cfg.Retention > 0 && !bySize {
			newest, err := l.newest(s)
			if err != nil {
				return 0, err
			}
			byAge = newest != record.NoTimestamp && newest < now.Add(-cfg.Retention).UnixMilli()
		}
		if !bySize && !byAge {
			return n, nil
		}
		surplus -= size
	}
	return len(segs), nil
}

// newest returns the largest timestamp in a segment, or that of its file when its records have none.
func (l *Log) newest(s *segment) (int64, error) {
	if err := l.ensureIndex(s); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.idx.maxTime != record.NoTimestamp || s.size.Load() == 0 {
		return s.mu.idx.maxTime, nil
	}
	f, err := s.openLocked()
	if err != nil {
		return 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.ModTime().UnixMilli(), nil
}
