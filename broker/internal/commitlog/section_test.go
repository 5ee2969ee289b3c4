package commitlog

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// fill appends batches of up to a few records and sizes up to size.
func fill(l *testLog, draw *rand.Rand, batches, size int) {
	l.t.Helper()
	for i := range batches {
		var records []kv
		for range 1 + draw.IntN(4) {
			records = append(records, kv{key: strconv.Itoa(i), value: string(make([]byte, draw.IntN(size)))})
		}
		if _, err := l.Append(makeBatch(batchOpts{}, records...), AppendOptions{Now: t0}); err != nil {
			l.t.Fatal(err)
		}
	}
}

// bytesOf reads a section in two parts and releases it.
func bytesOf(t *testing.T, s Section) []byte {
	t.Helper()
	defer s.Release()
	b := make([]byte, s.Len())
	for _, part := range [][2]int{{0, len(b) / 3}, {len(b) / 3, len(b)}} {
		if n, err := s.ReadAt(b[part[0]:part[1]], int64(part[0])); err != nil || n != part[1]-part[0] {
			t.Fatalf("reading %v of %d bytes: %d, %v", part, len(b), n, err)
		}
	}
	return b
}

// TestSectionsAreWhatReadReturns: for any offset, bound and end, a section is whole batches that Read returns too, from the same one on.
func TestSectionsAreWhatReadReturns(t *testing.T) {
	for name, size := range map[string]int{"small batches": 200, "middle batches": 20_000, "large batches": 150_000} {
		t.Run(name, func(t *testing.T) {
			const seed = 11
			draw := rand.New(rand.NewPCG(seed, 0))
			l := openLog(t, vfs.NewMem(), Config{SegmentBytes: 3 << 20, IndexBytes: 16 * offsetEntrySize}, OpenOptions{})
			defer l.Close()
			fill(l, draw, 5<<20/(size+100), size)
			found := 0
			for range 100 {
				from := Offset(draw.Int64N(int64(l.End())))
				o := ReadOptions{MaxBytes: draw.IntN(1 << 20), UpTo: from + Offset(draw.Int64N(int64(l.End()-from)+1)), AtLeastOne: draw.IntN(2) == 0}
				want, err := l.Read(nil, from, o)
				if err != nil {
					t.Fatal(err)
				}
				s, ok := l.Section(from, o)
				if !ok {
					continue
				}
				found++
				next := s.Next
				got := bytesOf(t, s)
				if len(got) < minSection || !bytes.HasPrefix(want.Bytes, got) {
					t.Fatalf("seed %d, from %d, %+v: a section of %d bytes is not what the read of %d bytes begins with", seed, from, o, len(got), len(want.Bytes))
				}
				var last record.Batch
				for b, err := range record.All(got) {
					if err != nil || b.Check() != nil {
						t.Fatalf("seed %d, from %d, %+v: %v", seed, from, o, err)
					}
					last = b
				}
				if next < last.NextOffset() || next > o.UpTo {
					t.Fatalf("seed %d, from %d, %+v: the section ends at %d, its last batch at %d", seed, from, o, next, last.NextOffset())
				}
			}
			if found < 20 {
				t.Errorf("%d sections of 100 reads", found)
			}
		})
	}
}

// TestAReaderInSequenceGetsAllOfTheLogInSections, but for what is left at the ends of segments.
func TestAReaderInSequenceGetsAllOfTheLogInSections(t *testing.T) {
	draw := rand.New(rand.NewPCG(5, 0))
	l := openLog(t, vfs.NewMem(), Config{SegmentBytes: 3 << 20}, OpenOptions{})
	defer l.Close()
	fill(l, draw, 500, 10_000)
	sections, total := 0, int64(0)
	for next := Offset(0); next < l.End(); {
		o := ReadOptions{MaxBytes: 1 << 20, UpTo: l.End(), AtLeastOne: true}
		if s, ok := l.Section(next, o); ok {
			next = s.Next
			sections++
			total += int64(s.Len())
			s.Release()
			continue
		}
		got, err := l.Read(nil, next, o)
		if err != nil || got.Next == next {
			t.Fatalf("read at %d: %d bytes, %v", next, len(got.Bytes), err)
		}
		next = got.Next
		total += int64(len(got.Bytes))
	}
	if total != l.Size() || sections < 4 {
		t.Errorf("%d sections and %d bytes of %d", sections, total, l.Size())
	}
}

// TestWhatWasNotVerifiedIsNoSection (L3): after the log was opened again its bytes are read and verified once before they are sent without a look.
func TestWhatWasNotVerifiedIsNoSection(t *testing.T) {
	l := openLog(t, vfs.NewMem(), Config{}, OpenOptions{})
	fill(l, rand.New(rand.NewPCG(3, 0)), 50, 20_000)
	l = l.reopenClean()
	defer l.Close()
	o := ReadOptions{MaxBytes: 1 << 20, UpTo: l.End()}
	if s, ok := l.Section(0, o); ok {
		t.Fatalf("%d bytes that nobody has verified", s.Len())
	}
	first, err := l.Read(nil, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := l.Section(0, o)
	if !ok || s.Len() > len(first.Bytes) {
		t.Fatalf("%v, %d bytes after %d were verified", ok, s.Len(), len(first.Bytes))
	}
	if !bytes.HasPrefix(first.Bytes, bytesOf(t, s)) {
		t.Error("the section is not what was verified")
	}
}

// TestASectionOutlivesItsSegment: who sends it is not disturbed by retention, or by the log's end.
func TestASectionOutlivesItsSegment(t *testing.T) {
	t.Chdir(t.TempDir()) // the operating system's files, which are closed when nobody uses them
	l := openLog(t, vfs.Default, Config{SegmentBytes: 1 << 20}, OpenOptions{})
	fill(l, rand.New(rand.NewPCG(3, 0)), 100, 20_000)
	want, err := l.Read(nil, 0, ReadOptions{MaxBytes: 200_000, UpTo: l.End()})
	if err != nil {
		t.Fatal(err)
	}
	s, ok := l.Section(0, ReadOptions{MaxBytes: 200_000, UpTo: l.End()})
	if !ok {
		t.Fatal("no section")
	}
	if _, _, known := s.FD(); !known {
		t.Error("the file has no descriptor")
	}
	if err := l.AdvanceLogStart(l.End()); err != nil {
		t.Fatal(err)
	}
	l.remove()
	if got := bytesOf(t, s); !bytes.HasPrefix(want.Bytes, got) {
		t.Error("the section has other bytes than were read before")
	}
	if _, ok := l.Section(0, ReadOptions{MaxBytes: 200_000, UpTo: 100}); ok {
		t.Error("a removed log has sections")
	}
}

// TestSectionsBesideAppends: whole batches below the end that the reader knew, whatever is appended meanwhile.
func TestSectionsBesideAppends(t *testing.T) {
	l := openLog(t, vfs.NewMem(), Config{SegmentBytes: 2 << 20}, OpenOptions{})
	defer l.Close()
	fill(l, rand.New(rand.NewPCG(1, 0)), 20, 20_000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		value := string(make([]byte, 10_000))
		for range 150 {
			if _, err := l.Append(makeBatch(batchOpts{}, kv{key: "k", value: value}), AppendOptions{Now: t0}); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for more := true; more; {
		select {
		case <-done:
			more = false
		default:
		}
		upTo := l.End()
		s, ok := l.Section(max(upTo-40, 0), ReadOptions{MaxBytes: 1 << 20, UpTo: upTo})
		if !ok {
			continue
		}
		for b, err := range record.All(bytesOf(t, s)) {
			if err != nil || b.Check() != nil || b.NextOffset() > upTo {
				t.Fatalf("a batch up to %d in a section below %d: %v", b.NextOffset(), upTo, err)
			}
		}
	}
}
