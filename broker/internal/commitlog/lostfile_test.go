package commitlog

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What somebody removed or cut between two batches, which no checksum tells, must not make a log look shorter than it was: nothing of it may be skipped (L4, L5).
func TestALogThatLostAFileIsNotShorter(t *testing.T) {
	remove := func(t *testing.T, fsys vfs.FS, name string) {
		t.Helper()
		if err := fsys.Remove(fsys.PathJoin(testDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	cut := func(batches int) func(*testing.T, vfs.FS, string) {
		return func(t *testing.T, fsys vfs.FS, name string) {
			t.Helper()
			data := fileBytes(t, fsys, name)
			setFile(t, fsys, name, data[:len(data)/3*batches]) // three batches of one size
		}
	}
	for _, damage := range []struct {
		name string
		do   func(*testing.T, vfs.FS, string)
	}{{"removed", remove}, {"empty", cut(0)}, {"cut after a batch", cut(1)}, {"cut before the last batch", cut(2)}} {
		for segment, where := range []string{"first", "middle", "last"} {
			for _, clean := range []bool{true, false} {
				mem := vfs.NewMem()
				l := openLog(t, mem, Config{}, OpenOptions{})
				for n := range 9 {
					if n == 3 || n == 6 {
						if err := l.Roll(t0); err != nil {
							t.Fatal(err)
						}
					}
					l.append(makeBatch(batchOpts{}, values(10, 1)...))
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				damage.do(t, mem, fileName(Offset(3*segment), suffixLog))
				if err := readsOrRefuses(mem, OpenOptions{Checkpoint: l.Checkpoint(), Clean: clean}); err != nil && (clean || segment > 0 || damage.name != "removed") {
					t.Errorf("the %s segment is %s, clean stop %t: %v", where, damage.name, clean, err)
				}
			}
		}
	}
}

// readsOrRefuses opens a log of nine records and returns an error when fewer are read without one.
func readsOrRefuses(fsys vfs.FS, o OpenOptions) error {
	l, err := tryOpen(fsys, Config{}, o)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			return err
		}
		return nil
	}
	defer l.Discard()
	var read []byte
	for next := Offset(0); next < l.End(); {
		res, err := l.Read(nil, next, ReadOptions{MaxBytes: 100, UpTo: l.End(), AtLeastOne: true})
		if errors.Is(err, ErrCorrupt) {
			return nil
		}
		if err != nil {
			return err
		}
		next, read = res.Next, append(read, res.Bytes...)
	}
	if n := bytes.Count(read, []byte("v10")); n != 9 {
		return errors.New("records were skipped in silence")
	}
	return nil
}
