package commitlog

import (
	"sort"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// Section is whole batches of one segment whose checksums have been verified since the log was opened: they can be sent without a look at them, a piece at a
// time. A section keeps its bytes readable, whatever becomes of the segment and the log, until Release. One goroutine uses it.
type Section struct {
	Next Offset // the offset after the last batch

	segment *segment
	file    *logFile
	pos     int64
	n       int
}

// Len is the number of bytes.
func (s *Section) Len() int { return s.n }

// ReadAt reads exactly len(p) bytes, off bytes from the section's beginning.
func (s *Section) ReadAt(p []byte, off int64) (int, error) {
	if err := readFull(s.file, p, s.pos+off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// FD returns the file's descriptor and where the section begins in it, for a system call that sends files; ok is false when the file is none of the operating
// system's. The descriptor is good until Release.
func (s *Section) FD() (fd uintptr, pos int64, ok bool) {
	fd = s.file.Fd()
	return fd, s.pos, fd != vfs.InvalidFd
}

// Release ends the use of the section.
func (s *Section) Release() {
	_ = s.segment.release() // an error of closing a file that was only read changes nothing
}

const (
	// minSection is where sections begin to pay: finding a section's end costs a few reads of headers.
	minSection = 64 << 10

	// maxHops bounds these reads. Beyond the last entry of the index lie few batches: an entry covers 4 KiB of a small segment and a 2048th of a large one.
	maxHops = 32
)

// Section returns what a [Log.Read] with the same options would, as a section. ok is false when there is none: too little, not verified yet, or something
// that Read has to explain.
func (l *Log) Section(from Offset, o ReadOptions) (s Section, ok bool) {
	if cuts := l.cuts.Load(); cuts%2 == 0 {
		if s, ok = l.section(from, o); ok && cuts != l.cuts.Load() {
			s.Release()
			return Section{}, false
		}
	}
	return s, ok
}

func (l *Log) section(from Offset, o ReadOptions) (Section, bool) {
	if l.usable() != nil || from < l.LogStart() || from >= min(o.UpTo, l.End()) || o.MaxBytes < minSection {
		return Section{}, false
	}
	s := l.acquireFor(from)
	if s == nil {
		return Section{}, false
	}
	if f, err := s.open(); err == nil {
		if pos, err := l.locate(s, f, from, s.size.Load()); err == nil {
			if end, next := s.verifiedEnd(f, pos, pos+int64(o.MaxBytes), o.UpTo); end-pos >= minSection {
				s.leaveCursor(next, end)
				return Section{Next: next, segment: s, file: f, pos: pos, n: int(end - pos)}, true
			}
		}
	}
	_ = s.release() // as in Release
	return Section{}, false
}

// verifiedEnd returns the largest position up to limit at which a verified batch ends, of those behind pos and below upTo, and the offset after it; pos if there is
// none.
func (s *segment) verifiedEnd(f *logFile, pos, limit int64, upTo Offset) (int64, Offset) {
	s.mu.Lock()
	lo, hi, all := s.mu.goodLo, s.mu.goodHi, s.mu.idx.next
	from := s.mu.idx.lastEntryIn(pos, min(limit, hi), upTo)
	s.mu.Unlock()
	if pos < lo {
		return pos, 0
	}
	// The verified range and the index grow together: when it reaches the end of what readers see, or is ahead of them, it ends where the index does.
	if hi >= s.size.Load() && hi <= limit && all <= upTo {
		return hi, all
	}
	end, next := pos, Offset(0)
	limit = min(limit, hi)
	var head [record.HeaderSize]byte
	for range maxHops {
		if from+record.HeaderSize > limit || readFull(f, head[:], from) != nil {
			break
		}
		b := record.Batch(head[:])
		if from > end { // an entry of the index: what lies before its batch is whole, and below upTo as the batch is
			end, next = from, b.BaseOffset()
		}
		size, err := record.SizeOf(b)
		if err != nil || from+int64(size) > limit || b.LastOffset() >= upTo {
			break
		}
		from += int64(size)
		end, next = from, b.NextOffset()
	}
	return end, next
}

// lastEntryIn returns the position of the last batch in [from, to) that the index knows and whose offsets lie below upTo, or from.
func (x *index) lastEntryIn(from, to int64, upTo Offset) int64 {
	i := sort.Search(len(x.offsets), func(i int) bool {
		e := &x.offsets[i]
		return int64(e.pos) >= to || x.base+Offset(e.rel) >= upTo
	})
	if i == 0 {
		return from
	}
	return max(int64(x.offsets[i-1].pos), from)
}
