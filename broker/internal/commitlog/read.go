package commitlog

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace-io/millrace/internal/record"
)

// Read appends to dst the whole batches from the one that holds from, as they lie on disk, until o is reached. A buffer with room for
// o.MaxBytes is not grown, but for a first batch that is larger.
//
// A batch's checksum is verified when it is first read after the log was opened. A batch that does not hold is never returned: the read ends
// before it, or fails with [ErrCorrupt] if it is the first.
func (l *Log) Read(dst []byte, from Offset, o ReadOptions) (ReadResult, error) {
	for {
		cuts := l.cuts.Load()
		if cuts%2 == 1 {
			l.awaitCut()
			continue
		}
		res, err := l.read(dst, from, o)
		if cuts == l.cuts.Load() {
			return res, err
		}
	}
}

// awaitCut waits for a truncation that is running: it holds mu.
func (l *Log) awaitCut() {
	l.mu.Lock()
	defer l.mu.Unlock()
}

func (l *Log) read(dst []byte, from Offset, o ReadOptions) (ReadResult, error) {
	res := ReadResult{Bytes: dst, First: from, Next: from}
	if err := l.usable(); err != nil {
		return res, err
	}
	end := l.End()
	if start := l.LogStart(); from < start || from > end {
		return res, fmt.Errorf("%w: %d is not in [%d, %d]", ErrOffsetOutOfRange, from, start, end)
	}
	upTo := min(o.UpTo, end)
	left, first := o.MaxBytes, true
	for next := from; next < upTo && (left > 0 || (first && o.AtLeastOne)); {
		s := l.acquireFor(next)
		if s == nil {
			break
		}
		n, more, err := l.readSegment(s, &res, next, left, upTo, first && o.AtLeastOne)
		err = errors.Join(err, s.release())
		if err != nil {
			return l.readFailed(res, dst, from, err)
		}
		left -= n
		first = first && n == 0
		if !more {
			break
		}
		// The segment has nothing at or after next: the offsets up to the following one were compacted away.
		following, ok := l.following(s.base)
		if !ok {
			break
		}
		next = max(next, res.Next, following)
	}
	return res, nil
}

// readFailed decides what a failed read returns: whole batches that came before the fault are good.
func (l *Log) readFailed(res ReadResult, dst []byte, from Offset, err error) (ReadResult, error) {
	if closed := l.usable(); isNotExist(err) && errors.Is(closed, ErrClosed) {
		err = closed // removed meanwhile
	}
	if isNotExist(err) && from < l.LogStart() {
		return ReadResult{Bytes: dst, First: from, Next: from}, fmt.Errorf("%w: %d was deleted", ErrOffsetOutOfRange, from)
	}
	if errors.Is(err, ErrCorrupt) && len(res.Bytes) > len(dst) {
		return res, nil
	}
	return ReadResult{Bytes: dst, First: from, Next: from}, err
}

// following returns the base of the segment after the one with the given base.
func (l *Log) following(base Offset) (Offset, bool) {
	segs := l.segs()
	if i := segmentFor(segs, base) + 1; i < len(segs) {
		return segs[i].base, true
	}
	return 0, false
}

// readSegment appends batches of s to res. It returns how many bytes, and whether the read may go on in the next segment.
func (l *Log) readSegment(s *segment, res *ReadResult, from Offset, maxBytes int, upTo Offset, atLeastOne bool) (n int, more bool, err error) {
	f, err := s.open()
	if err != nil {
		return 0, false, err
	}
	size := s.size.Load()
	pos, err := l.locate(s, f, from, size)
	if err != nil {
		return 0, false, err
	}
	if pos == size {
		return 0, true, nil
	}
	start := len(res.Bytes)
	defer func() {
		if err != nil { // what was read before the fault stays, what is in doubt goes
			res.Bytes = res.Bytes[:start+n]
		}
	}()
	want := int(min(int64(max(maxBytes, 0)), size-pos))
	if atLeastOne {
		want = max(want, int(min(record.HeaderSize, size-pos)))
	}
	if res.Bytes, err = readInto(f, res.Bytes, pos, want); err != nil {
		return 0, false, l.readError(s, pos, err)
	}
	got := res.Bytes[start:]
	if atLeastOne {
		if got, err = l.firstBatch(s, f, res, start, pos, size); err != nil {
			return 0, false, err
		}
	}
	whole, last, err := l.cutWhole(s, got, pos, from, upTo)
	if whole > 0 { // also before a fault: its cause may be a length of what seems whole
		if n, l, e := verifyRange(s, got[:whole], pos, last); e != nil {
			whole, last, err = n, l, e
		}
	} else if err == nil && atLeastOne {
		// Nothing below upTo, so says the first batch's header. It must not say so for a flipped bit.
		if b, _, e := record.Next(got); e == nil {
			_, _, err = verifyRange(s, b, pos, last)
		}
	}
	res.Bytes = res.Bytes[:start+whole]
	if whole > 0 {
		if res.First == res.Next {
			res.First = record.Batch(got).BaseOffset()
		}
		res.Next = last + 1
		s.leaveCursor(res.Next, pos+int64(whole))
	}
	return whole, err == nil && pos+int64(whole) == size, err
}

// firstBatch sees to it that the whole first batch is in the buffer.
func (l *Log) firstBatch(s *segment, f io.ReaderAt, res *ReadResult, start int, pos, size int64) ([]byte, error) {
	n, err := record.SizeOf(res.Bytes[start:])
	if err != nil || int64(n) > size-pos {
		return nil, corruptAt(s.name(), Position(pos), errors.Join(err, errPastEnd(n, size-pos)))
	}
	if have := len(res.Bytes) - start; have < n {
		if res.Bytes, err = readInto(f, res.Bytes, pos+int64(have), n-have); err != nil {
			return nil, l.readError(s, pos, err)
		}
	}
	return res.Bytes[start:], nil
}

func errPastEnd(n int, room int64) error {
	if int64(n) > room {
		return fmt.Errorf("batch says %d bytes, the segment ends after %d", n, room)
	}
	return nil
}

// readInto appends n bytes at pos to dst.
func readInto(f io.ReaderAt, dst []byte, pos int64, n int) ([]byte, error) {
	at := len(dst)
	dst = slices.Grow(dst, n)
	if err := readFull(f, dst[at:at+n], pos); err != nil {
		return dst, err
	}
	return dst[:at+n], nil
}

// readError explains a failed read. A file that ends before its batches do has lost them.
func (l *Log) readError(s *segment, pos int64, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return corruptAt(s.name(), Position(pos), "the file ends before its last batch")
	}
	return fmt.Errorf("commitlog: segment %s: read at %d: %w", s.name(), pos, err)
}

// cutWhole returns how many bytes of buf, read at pos, are whole batches below upTo, and the last offset of them. The first batch must reach
// from, and all must ascend below the next segment.
func (l *Log) cutWhole(s *segment, buf []byte, pos int64, from, upTo Offset) (n int, last Offset, err error) {
	last = s.base - 1
	end, ok := l.following(s.base)
	if !ok {
		end = l.End()
	}
	for n+record.HeaderSize <= len(buf) {
		size, err := record.SizeOf(buf[n:])
		if err != nil {
			return n, last, corruptAt(s.name(), Position(pos+int64(n)), err)
		}
		b := record.Batch(buf[n:])
		if b.BaseOffset() <= last || b.LastOffsetDelta() < 0 || b.LastOffset() < from || b.LastOffset() >= end {
			return n, last, corruptAt(s.name(), Position(pos+int64(n)), fmt.Errorf("batch of offsets %d to %d after %d and before %d", b.BaseOffset(), b.LastOffset(), last, end))
		}
		if n+size > len(buf) || b.LastOffset() >= upTo {
			break
		}
		last = b.LastOffset()
		n += size
	}
	return n, last, nil
}

// verifyRange checks the batches in buf, read at pos, unless that was done before. It returns what comes before the first that does not hold.
func verifyRange(s *segment, buf []byte, pos int64, last Offset) (int, Offset, error) {
	if s.isGood(pos, pos+int64(len(buf))) {
		return len(buf), last, nil
	}
	n, end := 0, s.base-1
	for rest := buf; len(rest) > 0; {
		b, r, err := record.Next(rest)
		if err == nil {
			err = b.Check()
		}
		if err != nil {
			return n, end, corruptAt(s.name(), Position(pos+int64(n)), err)
		}
		n += len(b)
		end = b.LastOffset()
		rest = r
	}
	s.markGood(pos, pos+int64(n))
	return n, end, nil
}

// locate returns the position of the first batch of s whose last offset is at least o, or size if there is none.
func (l *Log) locate(s *segment, f io.ReaderAt, o Offset, size int64) (int64, error) {
	if err := l.ensureIndex(s); err != nil {
		return 0, err
	}
	s.mu.Lock()
	pos, ok := s.cursorFor(o)
	if !ok {
		pos = s.mu.idx.positionBefore(o)
	}
	s.mu.Unlock()
	if ok || o <= s.base {
		return min(pos, size), nil
	}
	return hopTo(s, f, pos, size, func(b record.Batch) bool { return b.LastOffset() >= o })
}

// hopTo walks the headers from pos and returns the position of the first batch that is wanted, or size. What it skips must hold: a header with
// a flipped bit would make records vanish.
func hopTo(s *segment, f io.ReaderAt, pos, size int64, wanted func(record.Batch) bool) (int64, error) {
	start, verify := pos, !s.isGood(pos, size)
	sc := newScanner(f, pos, size, verify)
	defer sc.close()
	for {
		b, err := sc.next()
		switch {
		case err == io.EOF:
			pos = size
		case err != nil:
			return 0, scanFailed(s, sc.pos, err)
		case wanted(b.header):
			pos = b.pos
		default:
			continue
		}
		if verify {
			s.markGood(start, pos)
		}
		return pos, nil
	}
}

// scanFailed turns a scanner's error in a segment that should be whole into ErrCorrupt, unless the file system failed.
func scanFailed(s *segment, pos int64, err error) error {
	if errors.Is(err, record.ErrShort) || errors.Is(err, record.ErrCorrupt) || errors.Is(err, record.ErrOldFormat) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corruptAt(s.name(), Position(pos), err)
	}
	return fmt.Errorf("commitlog: segment %s: read at %d: %w", s.name(), pos, err)
}
