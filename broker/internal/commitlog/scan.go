package commitlog

import (
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/millrace-io/millrace/internal/record"
)

const (
	// verifyWindow is how much of a segment is read at once when every byte must be seen.
	verifyWindow = 1 << 20
	// hopWindow is how much is read at once when only headers matter: a few batches when they are small, little waste when they are large.
	hopWindow = 16 << 10
	// maxControlBatch bounds a control batch, which a scan reads as a whole.
	maxControlBatch = 4 << 10
)

var scanBuffers = sync.Pool{New: func() any { b := make([]byte, verifyWindow); return &b }}

// scanner walks the batches of one segment, in order. It keeps one window of the file in memory; a batch larger than that is seen piece by
// piece, so that no length on disk makes it allocate.
type scanner struct {
	src    io.ReaderAt
	size   int64 // bytes to walk
	pos    int64 // where the next batch begins
	verify bool  // check the checksums

	head     [record.HeaderSize]byte
	buf      []byte // the window's memory
	pooled   *[]byte
	winStart int64
	win      []byte // the bytes at winStart
}

// found is one batch that a scanner met.
type found struct {
	header record.Batch // the header alone, or the whole batch when it is a control batch; valid until the next step
	pos    int64
	size   int
}

// newScanner returns a scanner over the batches in [from, size); close it after use.
func newScanner(src io.ReaderAt, from, size int64, verify bool) *scanner {
	s := &scanner{src: src, pos: from, size: size, verify: verify}
	s.pooled = scanBuffers.Get().(*[]byte)
	s.buf = *s.pooled
	if !verify {
		s.buf = s.buf[:hopWindow]
	}
	return s
}

func (s *scanner) close() {
	if s.pooled != nil {
		scanBuffers.Put(s.pooled)
		s.pooled, s.buf, s.win = nil, nil, nil
	}
}

// next returns the next batch. At the end it returns io.EOF. [record.ErrShort], [record.ErrCorrupt] and [record.ErrOldFormat] say that no
// whole batch begins at s.pos; any other error is the file system's.
func (s *scanner) next() (found, error) {
	if s.pos == s.size {
		return found{}, io.EOF
	}
	head, err := s.window(record.HeaderSize)
	if err != nil {
		return found{}, err
	}
	size, err := record.SizeOf(head)
	if err != nil {
		return found{}, err
	}
	if int64(size) > s.size-s.pos {
		return found{}, record.ErrShort
	}
	b := record.Batch(s.head[:copy(s.head[:], head)])
	if b.Attributes().IsControl() && size > maxControlBatch {
		return found{}, fmt.Errorf("%w: control batch of %d bytes", record.ErrCorrupt, size)
	}
	if err := checkLayout(b, size); err != nil {
		return found{}, err
	}
	if b.Attributes().IsControl() || (s.verify && size <= len(s.buf)) {
		if head, err = s.window(size); err != nil {
			return found{}, err
		}
	}
	if s.verify {
		if err := s.checksum(b.CRC(), size); err != nil {
			return found{}, err
		}
	}
	if b.Attributes().IsControl() {
		b = record.Batch(head[:size:size])
	}
	f := found{header: b, pos: s.pos, size: size}
	s.pos += int64(size)
	return f, nil
}

// checkLayout is [record.Batch.CheckHeader] for a header whose batch has size bytes.
func checkLayout(b record.Batch, size int) error {
	if b.BaseOffset() < 0 || b.LastOffsetDelta() < 0 || b.Count() < 0 || b.LastOffset() < b.BaseOffset() ||
		int64(b.Count()) > int64(b.LastOffsetDelta())+1 {
		return fmt.Errorf("%w: base offset %d, last offset delta %d, %d records in %d bytes", record.ErrCorrupt, b.BaseOffset(), b.LastOffsetDelta(), b.Count(), size)
	}
	return nil
}

// checksum verifies the batch at s.pos, window by window.
func (s *scanner) checksum(want uint32, size int) error {
	const covered = 21 // the checksum covers everything after itself
	var crc uint32
	for at, left := s.pos+covered, size-covered; left > 0; {
		n := min(left, len(s.buf))
		p, err := s.windowAt(at, n)
		if err != nil {
			return err
		}
		p = p[:n]
		crc = crc32.Update(crc, crcTable, p)
		at += int64(len(p))
		left -= len(p)
	}
	if crc != want {
		return fmt.Errorf("%w: crc mismatch (have %08x, want %08x)", record.ErrCorrupt, want, crc)
	}
	return nil
}

// window returns at least n bytes at s.pos, fewer only at the end: then the error is [record.ErrShort].
func (s *scanner) window(n int) ([]byte, error) { return s.windowAt(s.pos, n) }

func (s *scanner) windowAt(pos int64, n int) ([]byte, error) {
	if pos >= s.winStart && pos+int64(n) <= s.winStart+int64(len(s.win)) {
		return s.win[pos-s.winStart:], nil
	}
	if pos+int64(n) > s.size {
		return nil, record.ErrShort
	}
	p := s.buf[:min(int64(len(s.buf)), s.size-pos)]
	if err := readFull(s.src, p, pos); err != nil {
		s.win = nil
		return nil, err
	}
	s.win, s.winStart = p, pos
	return p, nil
}

// validAfter looks for a whole, valid batch in (pos, size) with a base offset of floor or more. It returns its position, or -1.
//
// It tells a torn tail from a hole in the middle. A candidate must name a base offset in [floor, floor+2^31): a segment holds no others. What
// looks like a batch and is none (records may hold anything) costs a checksum; after candidateBudget bytes of those there is none.
func validAfter(src io.ReaderAt, pos, size int64, floor Offset) (int64, error) {
	buf := scanBuffers.Get().(*[]byte)
	defer scanBuffers.Put(buf)
	const overlap = record.HeaderSize - 1
	budget := int64(candidateBudget)
	for start := pos + 1; start+record.HeaderSize <= size; start += int64(len(*buf)) - overlap {
		p := (*buf)[:min(int64(len(*buf)), size-start)]
		if err := readFull(src, p, start); err != nil {
			return -1, err
		}
		for i := 0; i+record.HeaderSize <= len(p); i++ {
			if p[i+16] != 2 || !plausible(record.Batch(p[i:i+record.HeaderSize]), size-start-int64(i), floor) {
				continue
			}
			s := newScanner(src, start+int64(i), size, true)
			_, err := s.next()
			s.close()
			if err == nil {
				return start + int64(i), nil
			}
			claimed, _ := record.SizeOf(p[i:])
			if budget -= max(int64(claimed), verifyWindow); budget < 0 {
				return -1, nil
			}
		}
	}
	return -1, nil
}

// candidateBudget bounds the work of one validAfter: a few seconds.
const candidateBudget = 16 << 30

// plausible tells whether a header could begin a batch that lies in room bytes and comes after floor.
func plausible(b record.Batch, room int64, floor Offset) bool {
	const segmentSpan = 1 << 31
	size, err := record.SizeOf(b)
	return err == nil && int64(size) <= room && b.BaseOffset() >= floor && b.BaseOffset()-floor < segmentSpan && checkLayout(b, size) == nil
}

// lostBlock is the unit in which a file system loses writes that were not flushed.
const lostBlock = 4096

// hasLostBlock tells whether [from, to) touches a block that is all zeros: the mark of writes that a power failure lost before later ones.
func hasLostBlock(src io.ReaderAt, from, to int64) (bool, error) {
	var block [lostBlock]byte
	for at := from / lostBlock * lostBlock; at < to; at += lostBlock {
		lo, hi := max(at, from), min(at+lostBlock, to)
		p := block[:hi-lo]
		if err := readFull(src, p, lo); err != nil {
			return false, err
		}
		if allZero(p) && len(p) >= minLostBytes {
			return true, nil
		}
	}
	return false, nil
}

// minLostBytes is how many zeros up to a block's border count as its loss: fewer may be a record's own.
const minLostBytes = 64

func allZero(p []byte) bool {
	for _, c := range p {
		if c != 0 {
			return false
		}
	}
	return true
}
