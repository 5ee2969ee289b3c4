package commitlog

import (
	"bufio"
	"errors"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// eachBatch calls f with every batch of s, whole and verified. The batch is valid until f returns.
func (c *cleaner) eachBatch(s *segment, f func(record.Batch) error) error {
	src, err := s.open()
	if err != nil {
		return err
	}
	size := s.size.Load()
	r := bufio.NewReaderSize(io.NewSectionReader(src, 0, size), verifyWindow)
	var buf []byte
	for pos := int64(0); pos < size; pos += int64(len(buf)) {
		if err := c.interrupted(); err != nil {
			return err
		}
		head, err := r.Peek(record.HeaderSize)
		if err != nil {
			return scanFailed(s, pos, unexpected(err))
		}
		n, err := record.SizeOf(head)
		if err == nil && int64(n) > size-pos {
			err = record.ErrShort
		}
		if err != nil {
			return scanFailed(s, pos, err)
		}
		buf = slices.Grow(buf[:0], n)[:n]
		if _, err := io.ReadFull(r, buf); err != nil {
			return scanFailed(s, pos, unexpected(err))
		}
		b := record.Batch(buf)
		if err := b.Check(); err != nil {
			return scanFailed(s, pos, err)
		}
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

// unexpected makes an early end of the file what it is.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// cleanedFile is a segment that the cleaner writes aside.
type cleanedFile struct {
	fs   vfs.FS
	path string
	file vfs.File
	w    *bufio.Writer
	idx  index
	size int64
}

func (c *cleaner) createCleaned(base Offset) (*cleanedFile, error) {
	l := c.l
	out := &cleanedFile{fs: l.fs, path: l.fs.PathJoin(l.dir, fileName(base, suffixCleaned))}
	f, err := l.fs.Create(out.path, diskCategory)
	if err != nil {
		return nil, err
	}
	out.file, out.w = f, bufio.NewWriterSize(f, verifyWindow)
	out.idx = newIndex(base, int64(c.cfg.IndexInterval), c.cfg.indexEntries())
	return out, nil
}

// add appends a batch.
func (f *cleanedFile) add(b record.Batch) error {
	f.idx.add(b, f.size, len(b))
	f.size += int64(len(b))
	_, err := f.w.Write(b)
	return err
}

// finish makes the file durable.
func (f *cleanedFile) finish() error {
	err := f.w.Flush()
	if err == nil {
		err = f.file.Sync()
	}
	return errors.Join(err, f.file.Close())
}

// discard removes the file.
func (f *cleanedFile) discard() error { return removeIfExists(f.fs, f.path) }
