package diskstore

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const damagedEntries = 2000

// filled makes a database of one table on disk.
func filled(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	e := mustOpen(t, "state", Options{FS: fs})
	p, err := e.Partition("s", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	defer b.Close()
	for n := range damagedEntries {
		if err := b.Set(p, fmt.Appendf(nil, "key%06d", n), fmt.Appendf(nil, "value %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(b.SetCheckpoint(p, []byte("here")), b.Commit(), e.Flush(), p.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	return fs
}

// flipBit turns a bit of each file whose name has a part.
func flipBit(t *testing.T, fs vfs.FS, part string, at float64) {
	t.Helper()
	names, err := fs.List("state")
	if err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for _, name := range names {
		if !strings.Contains(name, part) {
			continue
		}
		f, err := fs.OpenReadWrite(fs.PathJoin("state", name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 {
			pos := int(at * float64(len(b)))
			if _, err := f.WriteAt([]byte{b[pos] ^ 4}, int64(pos)); err != nil {
				t.Fatal(err)
			}
			flipped++
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if flipped == 0 {
		t.Fatalf("nothing in %s among %v", part, names)
	}
}

// walk reads all entries and returns how many there are.
func walk(e *Engine) (n int, checkpoint string, err error) {
	p, err := e.Partition("s", 0)
	if err != nil {
		return 0, "", err
	}
	defer p.Close()
	c, err := p.Checkpoint()
	if err != nil {
		return 0, "", err
	}
	it, err := p.Scan(nil, nil, false)
	if err != nil {
		return 0, "", err
	}
	for it.Next() {
		n++
	}
	return n, string(c), it.Close()
}

// A bit that is flipped anywhere is met at the opening or at a read, or does no harm. The opening after that has an empty database that works: never one that is damaged
// again, or holds a part.
func TestADamagedDatabaseGivesWayToAnEmptyOne(t *testing.T) {
	met := 0
	for _, part := range []string{".sst", "MANIFEST-", "marker.manifest"} {
		for step := range 20 {
			fs := filled(t)
			at := float64(step) / 20
			if part == "marker.manifest" {
				if step > 0 {
					break
				}
				names, err := fs.List("state")
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range names {
					if strings.HasPrefix(name, "MANIFEST-") { // what the marker names is gone
						if err := fs.Remove(fs.PathJoin("state", name)); err != nil {
							t.Fatal(err)
						}
					}
				}
			} else {
				flipBit(t, fs, part, at)
			}
			var log strings.Builder
			o := Options{FS: fs, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			for life := range 3 {
				e, err := Open("state", o)
				var n int
				var checkpoint string
				if err == nil {
					n, checkpoint, err = walk(e)
					if closeErr := e.Close(); err == nil {
						err = closeErr
					}
				}
				whole, empty := n == damagedEntries && checkpoint == "here", n == 0 && checkpoint == ""
				switch {
				case err != nil && life > 0:
					t.Fatalf("%s, a bit at %.2f: opening %d: %v", part, at, life, err)
				case err != nil:
					met++
				case !whole && !empty:
					t.Fatalf("%s, a bit at %.2f: opening %d has %d entries and the checkpoint %q", part, at, life, n, checkpoint)
				case empty && part == ".sst" && !strings.Contains(log.String(), "emptied"): // a manifest that ends early is an earlier state
					t.Fatalf("%s, a bit at %.2f: opening %d has nothing, and the log says %q", part, at, life, log.String())
				case empty:
					met++
				}
			}
		}
	}
	if met < 10 {
		t.Errorf("%d damages were met", met)
	}
}
