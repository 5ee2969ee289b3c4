package commitlog

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// closedByUs closes a log of three segments with three batches of one record each, and returns what its owner keeps.
func closedByUs(t *testing.T, mem vfs.FS) Checkpoint {
	t.Helper()
	l := openLog(t, mem, Config{}, OpenOptions{})
	for n := range 9 {
		if n == 3 || n == 6 {
			if err := l.Roll(t0); err != nil {
				t.Fatal(err)
			}
		}
		b := makeBatch(batchOpts{}, values(10+n, 1)...)
		if _, err := l.Append(b, AppendOptions{LeaderEpoch: 0, Now: t0}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Checkpoint()
}

// kafkaKeeps does to a segment what Kafka's cleaner does: only the first batches stay, the indexes are new ones, and it knows nothing of our summary.
func kafkaKeeps(t *testing.T, mem vfs.FS, base Offset, batches int) {
	t.Helper()
	data := fileBytes(t, mem, fileName(base, suffixLog))
	setFile(t, mem, fileName(base, suffixLog), data[:len(data)/3*batches])
	setFile(t, mem, fileName(base, suffixIndex), nil)
	var times []timeEntry
	if batches > 0 {
		times = []timeEntry{{time: t0.UnixMilli() + 10 + int64(base) + int64(batches) - 1, rel: uint32(batches - 1)}}
	}
	setFile(t, mem, fileName(base, suffixTime), appendTimeIndex(nil, times))
}

// A directory that was closed here, went to Apache Kafka and came back is none that lost files, whatever Kafka's retention and its cleaner took from it; and the mark of a
// clean stop, with all that its owner knows, is of the time before.
func TestWhatKafkaTookFromALogOfOursIsNotLost(t *testing.T) {
	retained := func(t *testing.T, mem vfs.FS, first Offset) {
		t.Helper()
		for base := Offset(0); base < first; base += 3 {
			for _, suffix := range []string{suffixLog, suffixIndex, suffixTime, suffixSnapshot} {
				if err := removeIfExists(mem, mem.PathJoin(testDir, fileName(base, suffix))); err != nil {
					t.Fatal(err)
				}
			}
		}
		setFile(t, mem, epochFile, fmt.Appendf(nil, "0\n1\n0 %d\n", first))
	}
	for _, c := range []struct {
		name    string
		do      func(*testing.T, vfs.FS)
		start   Offset
		records int
	}{
		{"its first segment is gone", func(t *testing.T, mem vfs.FS) { retained(t, mem, 3) }, 3, 6},
		{"two segments are gone", func(t *testing.T, mem vfs.FS) { retained(t, mem, 6) }, 6, 3},
		{"the middle is compacted", func(t *testing.T, mem vfs.FS) { kafkaKeeps(t, mem, 3, 1) }, 0, 7},
		{"nothing is left of the middle", func(t *testing.T, mem vfs.FS) { kafkaKeeps(t, mem, 3, 0) }, 0, 6},
		{"nothing is left of the first", func(t *testing.T, mem vfs.FS) { kafkaKeeps(t, mem, 0, 0) }, 0, 6},
		{"another log in its place", func(t *testing.T, mem vfs.FS) {
			retained(t, mem, 3)
			for _, name := range []string{fileName(6, suffixLog), fileName(6, suffixIndex), fileName(6, suffixTime), fileName(6, suffixSummary), fileName(3, suffixSummary), epochSummaryFile} {
				if err := mem.Remove(mem.PathJoin(testDir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			point := closedByUs(t, mem)
			c.do(t, mem)
			for round := range 3 {
				l, err := tryOpen(mem, Config{Compact: true}, OpenOptions{Checkpoint: point, Clean: true, Now: t0.Add(time.Hour)})
				if err != nil {
					t.Fatalf("opening %d: %v", round, err)
				}
				r := &testLog{Log: l, t: t, now: t0}
				if n := r.LogStart(); n != c.start {
					t.Errorf("opening %d: it begins at %d, want %d", round, n, c.start)
				}
				if n := len(r.readAll(1<<20)) / len(makeBatch(batchOpts{}, values(10, 1)...)); n != c.records+round {
					t.Errorf("opening %d: %d records, want %d", round, n, c.records+round)
				}
				if _, err := r.Append(makeBatch(batchOpts{}, values(20, 1)...), AppendOptions{Now: t0}); err != nil {
					t.Fatal(err)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				point = r.Checkpoint()
			}
		})
	}
}

// What Kafka's cleaner left of a segment, without its last offsets, is cleaned again by ours.
func TestASegmentThatKafkaCleanedIsStillReadAfterOursCleanedIt(t *testing.T) {
	for kept := range 3 {
		mem := vfs.NewMem()
		point := closedByUs(t, mem)
		kafkaKeeps(t, mem, 3, kept)
		cfg := Config{Compact: true, SegmentBytes: 300} // no two are cleaned into one
		l := openLog(t, mem, cfg, OpenOptions{Checkpoint: point, Clean: true})
		if err := l.Roll(t0); err != nil {
			t.Fatal(err)
		}
		l.append(makeBatch(batchOpts{}, values(10, 9)...)) // the keys of all records
		if err := l.Roll(t0); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Clean(CleanOptions{UpTo: l.End(), Now: t0.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		want := l.readAll(1 << 20)
		l = l.reopenClean()
		if got := l.readAll(1 << 20); string(got) != string(want) {
			t.Errorf("%d batches kept: %d bytes, want %d", kept, len(got), len(want))
		}
	}
}
