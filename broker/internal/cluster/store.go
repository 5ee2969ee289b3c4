package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
)

const (
	snapshotSuffix = ".snapshot"
	logSuffix      = ".log"
	tempSuffix     = ".tmp"

	// writeCategory is what Pebble's file system calls a writer in its statistics.
	writeCategory = vfs.DiskWriteCategory("millrace-metadata")
)

// store is the metadata on disk. Its methods are called by one goroutine at a time.
type store struct {
	fs   vfs.FS
	dir  string
	log  vfs.File
	size int64 // bytes of whole frames in log
	torn int64 // bytes beyond that a refused write may have left
	base int64 // bytes in the snapshot before it
	buf  []byte
}

// errRefused is a write that the operating system refused for want of room or rights: nothing of it counts, and it may be tried again.
var errRefused = errors.New("the metadata cannot be written now")

// writeError says in which of the two ways a call other than a flush failed.
func writeError(what string, err error) error {
	if commitlog.IsRefusal(err) {
		return fmt.Errorf("cluster: %s: %w: %w", what, errRefused, err)
	}
	return fmt.Errorf("cluster: %s: %w", what, err)
}

// load returns the image on disk; nil when there is none yet. After a clean end no frame is torn: what looks so is damage, and what it held was acknowledged.
func (s *store) load(clean bool) (*controller.Image, error) {
	if err := s.fs.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	snapshots := numbered(names, snapshotSuffix)
	if len(snapshots) == 0 {
		if logs := numbered(names, logSuffix); len(logs) > 0 { // a log is begun after its snapshot
			return nil, fmt.Errorf("cluster: %s: the metadata's snapshot is gone: bring %s back", s.dir, s.path(logs[len(logs)-1], snapshotSuffix))
		}
		return nil, nil
	}
	index := snapshots[len(snapshots)-1]
	im, err := s.loadSnapshot(index)
	if err != nil {
		return nil, err
	}
	for _, n := range numbered(names, logSuffix) {
		if im, err = s.replay(im, n, clean); err != nil {
			return nil, err
		}
	}
	return im, im.Check()
}

func (s *store) loadSnapshot(index uint64) (*controller.Image, error) {
	path := s.path(index, snapshotSuffix)
	b, err := s.readAll(path)
	if err != nil {
		return nil, err
	}
	at, records, _, err := readFrame(b)
	if err != nil {
		return nil, fmt.Errorf("cluster: %s: %w", path, err)
	}
	if at != index {
		return nil, fmt.Errorf("cluster: %s: the snapshot says that it was taken at index %d", path, at)
	}
	im, err := controller.Restore(index, records)
	if err != nil {
		return nil, fmt.Errorf("cluster: %s: %w", path, err)
	}
	return im, nil
}

// replay applies what log n holds beyond im.
func (s *store) replay(im *controller.Image, n uint64, clean bool) (*controller.Image, error) {
	path := s.path(n, logSuffix)
	b, err := s.readAll(path)
	if err != nil {
		return nil, err
	}
	for pos := 0; len(b) > 0; {
		index, records, rest, err := readFrame(b)
		if errors.Is(err, errTorn) {
			if at, ok := frameBehind(b, im.Index()); ok {
				return nil, fmt.Errorf("cluster: %s: frame at %d is damaged, and there is a whole one at %d: nothing behind it is given up", path, pos, pos+at)
			}
			if clean && len(bytes.Trim(b, "\x00")) > 0 {
				return nil, fmt.Errorf("cluster: %s: frame at %d is damaged: the log was closed whole", path, pos)
			}
			return im, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cluster: %s: frame at %d: %w", path, pos, err)
		}
		pos += len(b) - len(rest)
		b = rest
		if index < im.Index() {
			continue // the snapshot has it
		}
		if index > im.Index() {
			return nil, fmt.Errorf("cluster: %s: records from %d to %d are missing", path, im.Index(), index)
		}
		if im, err = controller.Apply(im, records...); err != nil {
			return nil, fmt.Errorf("cluster: %s: %w", path, err)
		}
	}
	return im, nil
}

// rewrite begins a new generation: a snapshot of im and an empty log. The older files go last.
func (s *store) rewrite(im *controller.Image) error {
	index := im.Index()
	s.buf = appendFrame(s.buf[:0], index, im.Snapshot())
	if err := s.writeFile(s.path(index, snapshotSuffix), s.buf); err != nil {
		return err
	}
	s.base = int64(len(s.buf))
	log, err := s.fs.Create(s.path(index, logSuffix), writeCategory)
	if err != nil {
		return writeError("beginning a metadata log", err) // the one before goes on: what it holds beyond the snapshot counts
	}
	if err := s.syncDir(); err != nil {
		return errors.Join(err, log.Close())
	}
	if s.log != nil {
		// Everything in it was flushed; what closing it says changes nothing.
		_ = s.log.Close()
	}
	s.log, s.size, s.torn = log, 0, 0
	return s.removeOlder(index)
}

func (s *store) removeOlder(index uint64) error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, suffix := range []string{snapshotSuffix, logSuffix} {
		for _, n := range numbered(names, suffix) {
			if n >= index {
				continue
			}
			if err := s.fs.Remove(s.path(n, suffix)); err != nil {
				return writeError("removing what a snapshot stands for", err)
			}
		}
	}
	return nil
}

// append writes the records of one proposal and flushes them. What a refused write left is covered by the next one, with zeros behind its frame where that is shorter:
// nothing of it can come back as a frame.
func (s *store) append(index uint64, records []controller.Record) error {
	s.buf = appendFrame(s.buf[:0], index, records)
	size := int64(len(s.buf))
	if more := s.torn - size; more > 0 {
		s.buf = append(s.buf, make([]byte, more)...)
	}
	n, err := s.log.WriteAt(s.buf, s.size)
	s.torn = max(s.torn, int64(n))
	if err != nil {
		return writeError("writing the metadata log", err)
	}
	if err := s.log.Sync(); err != nil {
		return fmt.Errorf("cluster: flushing the metadata log: %w", err)
	}
	s.size, s.torn = s.size+size, s.torn-size
	return nil
}

func (s *store) close() error {
	if s.log == nil {
		return nil
	}
	err := errors.Join(s.cover(), s.log.Close())
	s.log = nil
	return err
}

// cover puts zeros over what a refused write left, so that a log that was closed ends with a whole frame and nothing else.
func (s *store) cover() error {
	if s.torn == 0 {
		return nil
	}
	if _, err := s.log.WriteAt(make([]byte, s.torn), s.size); err != nil {
		return fmt.Errorf("cluster: closing the metadata log: %w", err)
	}
	if err := s.log.Sync(); err != nil {
		return fmt.Errorf("cluster: closing the metadata log: %w", err)
	}
	s.torn = 0
	return nil
}

func (s *store) writeFile(path string, b []byte) error {
	f, err := s.fs.Create(path+tempSuffix, writeCategory)
	if err != nil {
		return writeError("beginning "+path, err)
	}
	if _, err = f.Write(b); err != nil {
		// What there was of it takes the room that is wanting.
		return writeError("writing "+path, errors.Join(err, f.Close(), s.fs.Remove(path+tempSuffix)))
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cluster: flushing %s: %w", path, err)
	}
	if err := s.fs.Rename(path+tempSuffix, path); err != nil {
		return writeError("naming "+path, err)
	}
	return s.syncDir()
}

func (s *store) syncDir() error {
	d, err := s.fs.OpenDir(s.dir)
	if err != nil {
		return writeError("opening "+s.dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("cluster: flushing %s: %w", s.dir, err)
	}
	return nil
}

func (s *store) readAll(path string) ([]byte, error) {
	f, err := s.fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("cluster: %s: %w", path, err)
	}
	return b, nil
}

func (s *store) path(index uint64, suffix string) string {
	return s.fs.PathJoin(s.dir, fmt.Sprintf("%020d%s", index, suffix))
}

// numbered returns the numbers of the files with a suffix, in order.
func numbered(names []string, suffix string) []uint64 {
	var out []uint64
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, suffix)
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
