package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/memtest"
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
		var l *Log
		var err error
		// The scanner's buffers, and so much for each byte: a batch may unpack to fuzzCfg.MaxDecompressed.
		const base, each = 32 << 20, 4 << 10
		if took := memtest.Allocated(func() { l, err = tryOpen(mem, fuzzCfg, OpenOptions{}) }); took > int64(base+each*len(data)) {
			t.Errorf("opening %d bytes took %d bytes of memory", len(data), took)
		}
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
		epochSummaryFile,
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

// FuzzOperations lets the input choose what is done to a log, crashes it where the input says, and holds what is found against what was promised (L1-L4).
func FuzzOperations(f *testing.F) {
	f.Add([]byte("appends, flushes and rolls"), uint8(50), uint8(0))
	f.Add(bytes.Repeat([]byte{0, 18, 3, 250, 14}, 12), uint8(0), uint8(9))
	f.Add([]byte{}, uint8(100), uint8(1))
	f.Fuzz(func(t *testing.T, choices []byte, survives, every uint8) {
		const most = 200 // steps
		choices = choices[:min(len(choices), most)]
		mem := vfs.NewCrashableMem()
		if err := mem.MkdirAll("data", 0o755); err != nil {
			t.Fatal(err)
		}
		syncAll(t, mem, "", "data")
		cfg := Config{SegmentBytes: 900, IndexInterval: 100}
		w := newWorkload(openLog(t, mem, cfg, OpenOptions{}), rand.New(bytesSource{&choices, new(uint64)}))
		for step := 1; len(choices) > 0; step++ {
			if err := w.step(); err != nil {
				t.Fatal(err)
			}
			if every == 0 || step%int(every) != 0 {
				continue
			}
			// The rest of the run is another one's: what the crash took is not there to go on from.
			left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(survives) % 101, RNG: rand.New(rand.NewPCG(uint64(step), 0))})
			r, err := tryOpen(left, cfg, OpenOptions{Checkpoint: Checkpoint{RecoveryPoint: w.l.Checkpoint().RecoveryPoint}})
			if err != nil {
				t.Fatal(err)
			}
			w.check(t, &testLog{Log: r, t: t})
		}
		w.check(t, w.l.reopenDirty(Checkpoint{}))
	})
}

// bytesSource makes a stream of choices out of bytes. The count is mixed in: who draws until a number fits must get another one.
type bytesSource struct {
	left  *[]byte
	drawn *uint64
}

func (s bytesSource) Uint64() uint64 {
	*s.drawn++
	n := *s.drawn
	if len(*s.left) > 0 {
		n = uint64((*s.left)[0]) // the bytes say everything while they last
		*s.left = (*s.left)[1:]
	}
	return n * 0x9e3779b97f4a7c15 // all bits are used, whichever the caller looks at
}
