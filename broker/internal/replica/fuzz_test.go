package replica

import (
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/internal/memtest"
)

// FuzzCheckpoint reads any bytes as the checkpoint. What is read is written and read back the same; damage is an error, never "nothing is known" (L6, L13).
func FuzzCheckpoint(f *testing.F) {
	mem := vfs.NewMem()
	points := map[string]commitlog.Checkpoint{"a-0": {LogStart: 3, RecoveryPoint: 9, Cleaned: 4}, "b-1": {RecoveryPoint: 1 << 40}}
	if err := writeCheckpoint(mem, "", points, []string{"a-0", "b-1"}); err != nil {
		f.Fatal(err)
	}
	good := readBytes(f, mem)
	f.Add(good, false)
	f.Add(good[:len(good)-1], false)
	f.Add([]byte(checkpointHeader+"x 1 2\n"), true)
	f.Add([]byte(checkpointHeader+"x -1 99999999999999999999 0\n"), true)
	f.Add([]byte(nil), false)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal { // so that the fuzzer reaches what the checksum guards
			data = append(slices.Clip(data), checksumLine(data)...)
		}
		fsys := vfs.NewMem()
		writeBytes(t, fsys, data)
		const base, each = 64 << 10, 64
		var got map[string]commitlog.Checkpoint
		var err error
		if took, ok := memtest.Within(int64(base+each*len(data)), func() { got, err = readCheckpoint(fsys, checkpointFile) }); !ok {
			t.Errorf("reading %d bytes took %d bytes of memory", len(data), took)
		}
		if err != nil {
			return
		}
		order := slices.Sorted(maps.Keys(got))
		if err := writeCheckpoint(fsys, "", got, order); err != nil {
			t.Fatal(err)
		}
		again, err := readCheckpoint(fsys, checkpointFile)
		if err != nil || !maps.Equal(got, again) {
			t.Fatalf("%v was written and read back as %v, %v", got, again, err)
		}
	})
}

func readBytes(t testing.TB, fsys vfs.FS) []byte {
	t.Helper()
	f, err := fsys.Open(checkpointFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func writeBytes(t testing.TB, fsys vfs.FS, b []byte) {
	t.Helper()
	f, err := fsys.Create(checkpointFile, writeCategory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(slices.Clone(b)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
