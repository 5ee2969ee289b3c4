package commitlog

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
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

	files, err := l.openDirty(dirty, dir, parent)
	defer files.release()
	if IsRefusal(err) {
		return fmt.Errorf("commitlog: %s: flush: %w", l.dir, err) // nothing was tried yet
	}
	if err == nil {
		err = l.sync(files)
	}
	if err != nil {
		return l.fail(fmt.Errorf("flush: %w", err))
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.recoveryPoint = max(l.recoveryPoint, end)
	return nil
}

// unflushed is what a flush has to write to the disk.
type unflushed struct {
	segments []*segment // each with a reference
	files    []*logFile // of the segments
	dirs     []vfs.File // the log's, and the one above when the log's is new
}

// openDirty opens what is to be flushed. The caller releases it, also after an error. flushMu is held, mu is not: appends and reads go on.
func (l *Log) openDirty(dirty []*segment, dir, parent bool) (u unflushed, err error) {
	for _, s := range dirty {
		if !s.acquire() {
			continue // deleted meanwhile
		}
		u.segments = append(u.segments, s)
		f, err := s.open()
		if err != nil {
			return u, fmt.Errorf("segment %s: %w", s.name(), err)
		}
		u.files = append(u.files, f)
	}
	var paths []string
	if dir {
		paths = append(paths, l.dir)
		if parent {
			paths = append(paths, l.fs.PathDir(l.dir))
		}
	}
	for _, path := range paths {
		d, err := l.fs.OpenDir(path)
		if err != nil {
			return u, fmt.Errorf("directory: %w", err)
		}
		u.dirs = append(u.dirs, d)
	}
	return u, nil
}

// release closes what only the flush needed.
func (u *unflushed) release() {
	for _, s := range u.segments {
		_ = s.release() // the file of a segment that was deleted meanwhile
	}
	for _, d := range u.dirs {
		_ = d.Close() // it was flushed, or the flush has failed
	}
}

// sync writes the segments' bytes and then the directories to the disk.
func (l *Log) sync(u unflushed) error {
	for i, f := range u.files {
		if err := f.SyncData(); err != nil {
			return fmt.Errorf("segment %s: %w", u.segments[i].name(), err)
		}
	}
	if len(u.dirs) == 0 {
		return nil
	}
	// The flags go down before: what is created meanwhile sets them again.
	l.mu.Lock()
	l.dirDirty = false
	if len(u.dirs) > 1 {
		l.parentDirty = false
	}
	l.mu.Unlock()
	for _, d := range u.dirs {
		if err := d.Sync(); err != nil {
			return fmt.Errorf("directory: %w", err)
		}
	}
	return nil
}

// syncDirs makes the log's directory and its place in the one above durable.
func (l *Log) syncDirs() error {
	return errors.Join(syncDir(l.fs, l.dir), syncDir(l.fs, l.fs.PathDir(l.dir)))
}
