package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// fuzzCfg has small indexes and a small cap on what a batch may unpack to.
var fuzzCfg = Config{IndexInterval: 64, MaxDecompressed: 1 << 20, Compact: true}

// seedSegment is a segment with plain, compressed, transactional and control batches.
func seedSegment(f *testing.F) []byte {
	l := openLog(f, vfs.NewMem(), Config{}, OpenOptions{})
	for codec := record.None; codec.Valid(); codec++ {
		l.append(makeBatch(batchOpts{codec: codec}, values(int(l.End()), 3)...))
	}
	l.append(makeBatch(batchOpts{producer: record.Producer{ID: 4}, attrs: record.Transactional}, values(int(l.End()), 2)...))
	if _, err := l.AppendMarker(MarkerOptions{ProducerID: 4, Now: t0}); err != nil {
		f.Fatal(err)
	}
	return l.readAll(1 << 20)
}

// FuzzRecovery opens a directory whose one segment holds the fuzzed bytes. Whatever they are, Open answers with an error or with a log that
// holds whole valid batches from the file's beginning, works, and opens again the same (L4, L13).
func FuzzRecovery(f *testing.F) {
	whole := seedSegment(f)
	f.Add(whole, uint16(0), byte(0))
	f.Add(whole[:len(whole)-7], uint16(0), byte(0))
	for at := 0; at < len(whole); at += 13 {
		f.Add(whole, uint16(at), byte(1<<(at%8)))
	}
	f.Add(append(bytes.Clone(whole), make([]byte, 5000)...), uint16(0), byte(0))
	f.Add(append(bytes.Clone(whole), whole...), uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, at uint16, flip byte) {
		data = bytes.Clone(data)
		if len(data) > 0 {
			data[int(at)%len(data)] ^= flip
		}
		mem := vfs.NewMem()
		if err := mem.MkdirAll(testDir, 0o755); err != nil {
			t.Fatal(err)
		}
		setFile(t, mem, fileName(0, suffixLog), data)
		l, err := tryOpen(mem, fuzzCfg, OpenOptions{})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			if !bytes.Equal(fileBytes(t, mem, fileName(0, suffixLog)), data) {
				t.Fatal("the log did not open, and its file was changed")
			}
			return
		}
		tl := &testLog{Log: l, t: t, now: t0}
		kept := tl.readAll(500)
		if !bytes.HasPrefix(data, kept) || int64(len(kept)) != l.Size() {
			t.Fatalf("%d bytes are read of %d, and are no prefix of the file", len(kept), l.Size())
		}
		if _, err := l.Append(makeBatch(batchOpts{}, kv{key: "k", value: "v"}), AppendOptions{Now: t0}); err != nil && !errors.Is(err, ErrAppendTooLarge) {
			t.Fatal(err)
		}
		want := tl.readAll(1 << 20)
		if r := tl.reopenDirty(l.Checkpoint()); !bytes.Equal(r.readAll(1<<20), want) {
			t.Fatal("opened again, the log differs")
		}
	})
}

// FuzzSideFiles opens a good segment beside fuzzed index, snapshot and epoch files: the reads are the same whatever they hold (L6, L13).
func FuzzSideFiles(f *testing.F) {
	whole := seedSegment(f)
	mem := vfs.NewMem()
	if err := mem.MkdirAll(testDir, 0o755); err != nil {
		f.Fatal(err)
	}
	setFile(f, mem, fileName(0, suffixLog), whole)
	l := openLog(f, mem, fuzzCfg, OpenOptions{})
	end, want := l.End(), answersBrief(f, l)
	if err := l.Close(); err != nil {
		f.Fatal(err)
	}
	names := []string{
		fileName(0, suffixSummary), fileName(0, suffixIndex), fileName(0, suffixTime), fileName(0, suffixTxn), fileName(end, suffixSnapshot), epochFile,
	}
	for i, name := range names {
		good := fileBytes(f, mem, name)
		f.Add(byte(i), good)
		f.Add(byte(i), good[:len(good)/2])
		f.Add(byte(i), bytes.Repeat([]byte{0xff}, len(good)))
	}
	f.Add(byte(5), []byte("0\n1\n5 0\n"))
	f.Add(byte(5), []byte("0\n1000000000\n"))
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		fsys := vfs.NewMem()
		if err := fsys.MkdirAll(testDir, 0o755); err != nil {
			t.Fatal(err)
		}
		setFile(t, fsys, fileName(0, suffixLog), whole)
		setFile(t, fsys, names[int(which)%len(names)], data)
		for _, clean := range []bool{true, false} {
			r := openLog(t, fsys, fuzzCfg, OpenOptions{Clean: clean})
			if got := answersBrief(t, r); got != want {
				t.Fatalf("clean %v:\n%s\nwant\n%s", clean, got, want)
			}
		}
	})
}

// answersBrief is what a log answers, but for what a well-formed epoch or snapshot file may rightly change.
func answersBrief(t testing.TB, l *testLog) string {
	t.Helper()
	at, ok, err := l.OffsetForTime(t0.UnixMilli()+4, l.End())
	if err != nil {
		t.Fatal(err)
	}
	aborted, err := l.AbortedIn(nil, 0, l.End())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(l.End(), at.Offset, ok, len(aborted), dump(t, l.readAll(200)))
}

// TestHostileLengthsTakeNoMemory: a length that a file names is never believed (L13).
func TestHostileLengthsTakeNoMemory(t *testing.T) {
	mem := vfs.NewMem()
	if err := mem.MkdirAll(testDir, 0o755); err != nil {
		t.Fatal(err)
	}
	good := bytes.Clone(makeBatch(batchOpts{}, values(0, 2)...))
	hostile := bytes.Clone(good)
	be.PutUint32(hostile[8:], 0x7fffff00)
	setFile(t, mem, fileName(0, suffixLog), append(bytes.Clone(good), hostile...))
	snapshot := be.AppendUint16(nil, snapshotVersion)
	snapshot = be.AppendUint32(snapshot, 0)
	snapshot = be.AppendUint32(snapshot, 0x7fffffff)
	setFile(t, mem, fileName(2, suffixSnapshot), snapshot)
	setFile(t, mem, epochFile, []byte("0\n2000000000\n"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l := openLog(t, mem, Config{}, OpenOptions{})
	runtime.ReadMemStats(&after)
	if l.End() != 2 {
		t.Fatalf("end %d", l.End())
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Fatalf("opening %d bytes took %d bytes of memory", len(good)+len(hostile), n)
	}
}
