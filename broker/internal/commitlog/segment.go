package commitlog

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/invariant"
)

// segment is one file of batches with its indexes.
//
// The log's list holds one reference to each of its segments, and every reader one while it reads; the last to go closes the file. A segment
// that left the list is never opened again: whoever removes or replaces its file opens it first.
type segment struct {
	fs   vfs.FS
	dir  string
	base Offset // immutable

	size atomic.Int64 // bytes of whole batches; grows under Log.mu
	refs atomic.Int32

	mu struct {
		sync.Mutex
		file    *logFile   // nil until first used
		retired []*logFile // former files of a segment that was cut by replacing its file
		idx     index
		loaded  bool // idx and aborted stand for the whole segment
		aborted []AbortedTxn
		cursors [cursorCount]cursor
		victim  int   // the cursor to replace next
		goodLo  int64 // the batches in [goodLo, goodHi) have had their checksums verified since the segment was opened
		goodHi  int64
	}
}

// cursor remembers that the first batch with an offset of at least off begins at pos, so that a reader in sequence finds its place at once.
type cursor struct {
	off Offset
	pos int64
}

// cursorCount is how many readers in sequence a segment remembers.
const cursorCount = 8

// newSegment returns a segment with the list's reference. Its indexes are empty and not loaded.
func newSegment(fsys vfs.FS, dir string, base Offset, cfg *Config) *segment {
	s := &segment{fs: fsys, dir: dir, base: base}
	s.refs.Store(1)
	s.mu.idx = newIndex(base, int64(cfg.IndexInterval), cfg.indexEntries())
	for i := range s.mu.cursors {
		s.mu.cursors[i].off = -1
	}
	return s
}

func (s *segment) name() string              { return fileName(s.base, suffixLog) }
func (s *segment) path(suffix string) string { return s.fs.PathJoin(s.dir, fileName(s.base, suffix)) }

// create makes the segment's file, which must not hold anything yet.
func (s *segment) create(preallocate int64) error {
	f, err := createLogFile(s.fs, s.path(suffixLog))
	if err != nil {
		return err
	}
	if preallocate > 0 {
		// A file system that cannot is as good as one that does: the room is a matter of speed.
		_ = f.Preallocate(0, preallocate)
		f.reserved = preallocate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.file, s.mu.loaded = f, true
	return nil
}

// trim gives the room back that a segment without further appends does not need.
func (s *segment) trim() error {
	s.mu.Lock()
	f := s.mu.file
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.trim(s.size.Load())
}

// open returns the segment's file, opened if need be. The caller holds a reference.
func (s *segment) open() (*logFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openLocked()
}

func (s *segment) openLocked() (*logFile, error) {
	if s.mu.file == nil {
		f, err := openLogFile(s.fs, s.path(suffixLog))
		if err != nil {
			return nil, err
		}
		s.mu.file = f
	}
	return s.mu.file, nil
}

// acquire takes a reference; false means that the segment is gone.
func (s *segment) acquire() bool {
	for {
		n := s.refs.Load()
		if n == 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives a reference back.
func (s *segment) release() error {
	n := s.refs.Add(-1)
	if n > 0 {
		return nil
	}
	invariant.Always(n == 0, "commitlog: segment %s released once too often", s.name())
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range append(s.mu.retired, s.mu.file) {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	s.mu.file, s.mu.retired = nil, nil
	return errors.Join(errs...)
}

// removeFiles deletes the segment's files. The log file goes first: without it the others mean nothing.
func (s *segment) removeFiles() error {
	var errs []error
	for _, suffix := range []string{suffixLog, suffixSummary, suffixIndex, suffixTime, suffixTxn} {
		errs = append(errs, removeIfExists(s.fs, s.path(suffix)))
	}
	return errors.Join(errs...)
}

// cursorFor returns where the batch with the first offset of at least o begins, if a reader left off there.
func (s *segment) cursorFor(o Offset) (int64, bool) {
	for i := range s.mu.cursors {
		if c := &s.mu.cursors[i]; c.off == o {
			return c.pos, true
		}
	}
	return 0, false
}

// leaveCursor remembers where a reader left off.
func (s *segment) leaveCursor(o Offset, pos int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.mu.cursors {
		if s.mu.cursors[i].off == o {
			s.mu.cursors[i].pos = pos
			return
		}
	}
	s.mu.cursors[s.mu.victim] = cursor{off: o, pos: pos}
	s.mu.victim = (s.mu.victim + 1) % cursorCount
}

// isGood tells whether the checksums in [from, to) were verified before.
func (s *segment) isGood(from, to int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return from >= s.mu.goodLo && to <= s.mu.goodHi
}

// markGood remembers that the checksums in [from, to) hold. One range is kept: readers in sequence, and the appends, make it grow.
func (s *segment) markGood(from, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markGoodLocked(from, to)
}

func (s *segment) markGoodLocked(from, to int64) {
	switch {
	case from <= s.mu.goodHi && to >= s.mu.goodLo:
		s.mu.goodLo, s.mu.goodHi = min(s.mu.goodLo, from), max(s.mu.goodHi, to)
	case to-from > s.mu.goodHi-s.mu.goodLo:
		s.mu.goodLo, s.mu.goodHi = from, to
	}
}
