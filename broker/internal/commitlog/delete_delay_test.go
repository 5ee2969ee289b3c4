package commitlog

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// deletedFiles are the files of deleted segments that are still there.
func (l *testLog) deletedFiles() []string {
	l.t.Helper()
	names, err := l.fs.List(testDir)
	if err != nil {
		l.t.Fatal(err)
	}
	slices.Sort(names) // a file system in memory lists them in no order
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, suffixDeleted) })
}

func (l *testLog) purge(now time.Time) {
	l.t.Helper()
	if err := l.PurgeDeleted(now); err != nil {
		l.t.Fatal(err)
	}
}

// threeSegments is a log of three segments, the first two of which are below the start.
func threeSegments(t *testing.T, fsys vfs.FS, delay time.Duration) *testLog {
	t.Helper()
	l := openLog(t, fsys, Config{DeleteDelay: delay}, OpenOptions{})
	for n := range 3 {
		l.append(makeBatch(batchOpts{}, values(3*n, 3)...))
		if n < 2 {
			if err := l.Roll(l.now); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.AdvanceLogStart(7); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDeletedSegmentsStayForTheirDelay(t *testing.T) {
	l := threeSegments(t, vfs.NewMem(), time.Minute)
	want := []string{"00000000000000000000.log.deleted", "00000000000000000003.log.deleted"}
	if got := l.deletedFiles(); !slices.Equal(got, want) {
		t.Fatalf("after the deletion there are %v, want %v", got, want)
	}
	if n := l.SegmentCount(); n != 1 {
		t.Errorf("%d segments are read from, want 1", n)
	}
	l.purge(t0)
	l.purge(t0.Add(time.Minute - time.Second))
	if got := l.deletedFiles(); len(got) != 2 {
		t.Errorf("before the delay is over %v are left", got)
	}
	l.purge(t0.Add(-time.Hour)) // the clock is set back: the delay is from now on, not for an hour
	l.purge(t0.Add(-time.Hour + time.Minute))
	if got := l.deletedFiles(); len(got) != 0 {
		t.Errorf("after the delay %v are left", got)
	}
}

func TestWithoutADelayDeletedSegmentsGoAtOnce(t *testing.T) {
	if got := threeSegments(t, vfs.NewMem(), 0).deletedFiles(); len(got) != 0 {
		t.Errorf("%v are left", got)
	}
}

func TestAnOpeningRemovesDeletedSegments(t *testing.T) {
	l := threeSegments(t, vfs.NewMem(), time.Hour)
	cp := l.Checkpoint()
	for name, again := range map[string]func() *testLog{"killed": func() *testLog { return l.reopenDirty(cp) }, "closed": l.reopenClean} {
		l = again()
		if got := l.deletedFiles(); len(got) != 0 {
			t.Errorf("%s: %v are left", name, got)
		}
		if start, end := l.LogStart(), l.End(); start != 7 || end != 9 {
			t.Errorf("%s: the log holds [%d, %d), want [7, 9)", name, start, end)
		}
	}
}
