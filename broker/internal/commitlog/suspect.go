package commitlog

import (
	"errors"
	"fmt"
	"io"
)

// suspectFile lies in the directory of a log that went offline. The operating system may call pages clean that it could not write: they are read back as if they were on the
// disk, and a later flush passes over them. So the next opening reads every byte, whatever the owner of the directory knows, and writes again what was not flushed before.
const suspectFile = "offline"

// rewriteChunk is how much is read and written back at a time.
const rewriteChunk = 1 << 20

// suspect leaves the mark for the next opening. A disk on which that fails as well is past helping: what it kept is found by the checksums.
func (l *Log) suspect() {
	f, err := l.fs.Create(l.fs.PathJoin(l.dir, suspectFile), diskCategory)
	if err != nil {
		return
	}
	_ = errors.Join(f.Sync(), f.Close(), syncDir(l.fs, l.dir))
}

// isSuspect tells whether the log went offline when it was last open.
func (l *Log) isSuspect() (bool, error) {
	_, err := l.fs.Stat(l.fs.PathJoin(l.dir, suspectFile))
	if isNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

// clear makes a recovered log whole on the disk: segments that may hold unwritten pages are written again in place and flushed, and the mark goes.
func (l *Log) clear(flushed Offset) error {
	segs := l.segs()
	for _, s := range segs[max(segmentFor(segs, flushed), 0):] {
		f, err := s.open()
		if err != nil {
			return err
		}
		if err := rewriteInPlace(f, s.size.Load()); err != nil {
			return fmt.Errorf("segment %s: %w", s.name(), err)
		}
	}
	if err := l.syncDirs(); err != nil {
		return err
	}
	l.recoveryPoint = l.End()
	if err := removeIfExists(l.fs, l.fs.PathJoin(l.dir, suspectFile)); err != nil {
		return err
	}
	return syncDir(l.fs, l.dir)
}

// rewriteInPlace writes the first size bytes of a file over themselves, which makes every page dirty, and flushes them. A crash in between leaves what was there.
func rewriteInPlace(f *logFile, size int64) error {
	for pos := int64(0); pos < size; {
		// A buffer of its own for each write: some file systems of tests garble what they were given.
		buf := make([]byte, min(rewriteChunk, size-pos))
		if err := readFull(f, buf, pos); err != nil {
			return err
		}
		n, err := f.WriteAt(buf, pos)
		if err == nil && n < len(buf) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return err
		}
		pos += int64(len(buf))
	}
	return f.SyncData()
}
