package commitlog

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// roomyFile notes what room was asked for and given back.
type roomyFile struct {
	vfs.File
	t       *testing.T
	end     int64 // of the room
	calls   int
	cuts    []int64
	refuses bool
}

func (f *roomyFile) Preallocate(off, n int64) error {
	f.calls++
	if f.refuses {
		return errors.New("not supported")
	}
	if off > f.end && f.end > 0 || n <= 0 {
		f.t.Errorf("room of %d bytes at %d, with room up to %d", n, off, f.end)
	}
	f.end = off + n
	return nil
}

func (f *roomyFile) Truncate(size int64) error {
	f.cuts = append(f.cuts, size)
	return nil
}

// TestRoomIsReservedAheadWithinBounds: an append always has room, with a bounded number of bytes and of calls ahead of it, and the segment's limit is the end.
func TestRoomIsReservedAheadWithinBounds(t *testing.T) {
	const n, limit = 100_000, 300 << 20
	room := &roomyFile{t: t}
	f := &logFile{File: room}
	size := int64(0)
	for ; size+n <= limit; size += n {
		f.reserve(size, n, limit)
		end := size + n
		switch ahead := room.end - end; {
		case end < reserveFrom && room.end != 0:
			t.Fatalf("%d bytes are reserved for a segment of %d", room.end, end)
		case end >= reserveFrom && (ahead < 0 || ahead > min(end/reservePart, reserveMost) || room.end > limit):
			t.Fatalf("%d bytes are reserved ahead of %d", ahead, end)
		}
	}
	if most := 100; room.calls > most {
		t.Errorf("%d calls for %d appends, want %d at most", room.calls, size/n, most)
	}
	if err := f.trim(size); err != nil || len(room.cuts) != 1 || room.cuts[0] != size {
		t.Errorf("the segment of %d bytes was trimmed to %v: %v", size, room.cuts, err)
	}
	if err := f.trim(size); err != nil || len(room.cuts) != 1 {
		t.Errorf("it was trimmed again: %v, %v", room.cuts, err)
	}
}

// TestAFileSystemWithoutRoomIsAskedOnce: what cannot be reserved does not fail an append, and costs one call.
func TestAFileSystemWithoutRoomIsAskedOnce(t *testing.T) {
	room := &roomyFile{t: t, refuses: true}
	f := &logFile{File: room}
	for size := int64(0); size < 10<<20; size += 1 << 20 {
		f.reserve(size, 1<<20, 1<<30)
	}
	if room.calls != 1 {
		t.Errorf("room was asked for %d times", room.calls)
	}
}

// TestReservedRoomLeavesTheFileAsItIs: on the operating system's files the size is that of the batches, before and after a roll, and a reopened log finds them.
func TestReservedRoomLeavesTheFileAsItIs(t *testing.T) {
	t.Chdir(t.TempDir())
	l := openLog(t, vfs.Default, Config{}, OpenOptions{})
	value := string(make([]byte, 100_000))
	for range 30 {
		b := makeBatch(batchOpts{}, kv{key: "k", value: value})
		if _, err := l.Append(b, AppendOptions{Now: t0}); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		info, err := vfs.Default.Stat(vfs.Default.PathJoin(testDir, fileName(0, suffixLog)))
		if err != nil || info.Size() != l.Size() || info.Size() < reserveFrom {
			t.Fatalf("the file has %v bytes, its batches %d: %v", info.Size(), l.Size(), err)
		}
	}
	check()
	l = l.reopenDirty(Checkpoint{})
	if l.End() != 30 {
		t.Fatalf("the log ends at %d after it was opened again", l.End())
	}
	if _, err := l.Append(makeBatch(batchOpts{}, kv{key: "k", value: value}), AppendOptions{Now: t0}); err != nil {
		t.Fatal(err)
	}
	check()
	l = l.reopenClean()
	check()
	if l.End() != 31 {
		t.Fatalf("the log ends at %d after a clean stop", l.End())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
