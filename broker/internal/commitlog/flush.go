package commitlog

import (
	"errors"
	"fmt"
)

// Flush returns when everything below upTo is on the disk. Callers that come while a flush is running share the next one.
//
// After an error the log is offline: the operating system may have dropped the pages that it could not write and call them clean, so that a
// second try would succeed and mean nothing. Only a look at every byte, in a new [Open], tells what is there.
func (l *Log) Flush(upTo Offset) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.mu.Lock()
	if err := l.usable(); err != nil {
		l.mu.Unlock()
		return err
	}
	if l.recoveryPoint >= min(upTo, l.End()) && !l.dirDirty {
		l.mu.Unlock()
		return nil
	}
	end := l.End()
	dirty := l.segs()[max(segmentFor(l.segs(), l.recoveryPoint), 0):]
	dir, parent := l.dirDirty, l.parentDirty
	l.mu.Unlock()

	if err := l.flush(dirty, dir, parent); err != nil {
		return l.fail(fmt.Errorf("flush: %w", err))
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.recoveryPoint = max(l.recoveryPoint, end)
	return nil
}

// flush writes the segments' bytes and then the directories to the disk. flushMu is held, mu is not: appends and reads go on.
func (l *Log) flush(dirty []*segment, dir, parent bool) error {
	for _, s := range dirty {
		if !s.acquire() {
			continue // deleted meanwhile
		}
		f, err := s.open()
		if err == nil {
			err = f.SyncData()
		}
		if err = errors.Join(err, s.release()); err != nil {
			return fmt.Errorf("segment %s: %w", s.name(), err)
		}
	}
	if dir {
		if err := l.syncDirs(parent); err != nil {
			return err
		}
	}
	return nil
}

// syncDirs flushes the log's directory, and the one above when the log's is new. The flags go down before: what is created meanwhile sets
// them again.
func (l *Log) syncDirs(parent bool) error {
	l.mu.Lock()
	l.dirDirty, l.parentDirty = false, false
	l.mu.Unlock()
	if err := syncDir(l.fs, l.dir); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	if parent {
		if err := syncDir(l.fs, l.fs.PathDir(l.dir)); err != nil {
			return fmt.Errorf("parent directory: %w", err)
		}
	}
	return nil
}
