package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace-io/millrace/internal/invariant"
	"github.com/millrace-io/millrace/internal/record"
)

// fileBytes returns the content of a file.
func fileBytes(t testing.TB, fsys vfs.FS, name string) []byte {
	t.Helper()
	data, err := readSmallFile(fsys, fsys.PathJoin(testDir, name), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func setFile(t testing.TB, fsys vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := fsys.Create(fsys.PathJoin(testDir, name), diskCategory)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(bytes.Clone(data))
	if err := errors.Join(err, f.Sync(), f.Close(), syncDir(fsys, testDir)); err != nil {
		t.Fatal(err)
	}
}

// TestTornTailIsCutAtEveryByte tears the file at every byte of its last three batches, once by its end and once by zeros and by garbage
// in place of the rest (L2, L4).
func TestTornTailIsCutAtEveryByte(t *testing.T) {
	fsys := vfs.NewMem()
	l := openLog(t, fsys, Config{}, OpenOptions{})
	var ends []int // the file's size after each batch
	for i := range 6 {
		l.append(makeBatch(batchOpts{producer: record.Producer{ID: 1, BaseSequence: int32(2 * i)}, codec: record.Codec(i % 2 * 2)}, values(2*i, 2)...))
		ends = append(ends, int(l.Size()))
	}
	name := l.activeSegment().name()
	whole := fileBytes(t, fsys, name)
	rng := seeded(t, 1)
	garbage := make([]byte, len(whole))
	for i := range garbage {
		garbage[i] = byte(rng.Uint32())
	}
	for cut := ends[2]; cut <= len(whole); cut++ {
		for _, tail := range [][]byte{nil, make([]byte, len(whole)-cut), garbage[cut:]} {
			torn := slices.Concat(whole[:cut], tail)
			setFile(t, fsys, name, torn)
			same := cut
			for same < min(len(torn), len(whole)) && torn[same] == whole[same] {
				same++
			}
			n, _ := slices.BinarySearch(ends, same+1) // batches that are whole
			r := openLog(t, fsys, Config{}, OpenOptions{})
			if r.End() != Offset(2*n) {
				t.Fatalf("cut at %d, %d bytes after it: end %d, want %d", cut, len(tail), r.End(), 2*n)
			}
			if got := r.readAll(100); !bytes.Equal(got, whole[:ends[n-1]]) {
				t.Fatalf("cut at %d: what is read is not what was written", cut)
			}
			if got := fileBytes(t, fsys, name); len(got) != ends[n-1] {
				t.Fatalf("cut at %d: the file keeps %d bytes of %d", cut, len(got), ends[n-1])
			}
			if want := int64(len(torn) - ends[n-1]); r.Recovery().TruncatedBytes != want {
				t.Fatalf("cut at %d: %d bytes reported, %d cut", cut, r.Recovery().TruncatedBytes, want)
			}
			// The producer goes on where the log ends.
			next := makeBatch(batchOpts{producer: record.Producer{ID: 1, BaseSequence: int32(2 * n)}}, values(2*n, 1)...)
			if i := r.append(next); i.FirstOffset != Offset(2*n) || i.Duplicate {
				t.Fatalf("cut at %d: append after recovery: %+v", cut, i)
			}
		}
	}
}

// TestFlippedBitInTheMiddleIsNeverCut flips bits in every batch but the last: with valid batches behind it, that is no torn tail (L5).
func TestFlippedBitInTheMiddleIsNeverCut(t *testing.T) {
	for _, closed := range []bool{false, true} {
		fsys := vfs.NewMem()
		cfg := Config{SegmentBytes: 1 << 20}
		l := openLog(t, fsys, cfg, OpenOptions{})
		l.fill(10, 2)
		name, size := l.activeSegment().name(), int(l.Size())
		if closed {
			if err := l.Roll(t0); err != nil {
				t.Fatal(err)
			}
			l.fill(12, 2)
		}
		whole := fileBytes(t, fsys, name)
		last := size * 4 / 5 // five batches of one size
		if closed {
			last = size
		}
		for at := range last {
			if at%(size/5) >= 12 && at%(size/5) < 16 {
				continue // the leader epoch is outside the checksum
			}
			spoilt := bytes.Clone(whole)
			spoilt[at] ^= 1 << (at % 8)
			setFile(t, fsys, name, spoilt)
			r, err := tryOpen(fsys, cfg, OpenOptions{})
			if at%(size/5) < 8 && err == nil && r.End() == l.End() {
				continue // a base offset is outside the checksum too: one that still ascends cannot be told from the true one
			}
			if err == nil || !errors.Is(err, ErrCorrupt) {
				t.Fatalf("closed %v: bit flipped at %d: open says %v, end %d", closed, at, err, r.End())
			}
			if got := fileBytes(t, fsys, name); !bytes.Equal(got, spoilt) {
				t.Fatalf("closed %v: bit flipped at %d: the file was changed", closed, at)
			}
		}
	}
}

// TestDamageBelowTheRecoveryPointIsNeverCut: what was flushed is not torn, not even at the tail.
func TestDamageBelowTheRecoveryPointIsNeverCut(t *testing.T) {
	fsys := vfs.NewMem()
	l := openLog(t, fsys, Config{}, OpenOptions{})
	l.fill(6, 2)
	if err := l.Flush(6); err != nil {
		t.Fatal(err)
	}
	name := l.activeSegment().name()
	whole := fileBytes(t, fsys, name)
	setFile(t, fsys, name, whole[:len(whole)-1])
	if _, err := tryOpen(fsys, Config{}, OpenOptions{Checkpoint: l.Checkpoint()}); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a flushed batch lost its last byte: %v", err)
	}
	if r := openLog(t, fsys, Config{}, OpenOptions{}); r.End() != 4 {
		t.Fatalf("without a recovery point: end %d", r.End())
	}
}

// TestFlippedBitIsNeverServed opens the log as after a clean stop, so that no recovery looks at the bytes (issue: a flipped bit is said loudly).
func TestFlippedBitIsNeverServed(t *testing.T) {
	for _, codec := range []record.Codec{record.None, record.Zstd} {
		fsys := vfs.NewMem()
		cfg := Config{SegmentBytes: 1 << 10, IndexInterval: 64}
		l := openLog(t, fsys, cfg, OpenOptions{})
		for l.End() < 60 {
			l.append(makeBatch(batchOpts{codec: codec}, values(int(l.End()), 4)...))
		}
		want := l.readAll(1 << 20)
		name := l.segs()[0].name()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		whole := fileBytes(t, fsys, name)
		for at := range whole {
			spoilt := bytes.Clone(whole)
			spoilt[at] ^= 1 << (at % 8)
			setFile(t, fsys, name, spoilt)
			r := openLog(t, fsys, cfg, OpenOptions{Checkpoint: l.Checkpoint(), Clean: true})
			var got []byte
			var failed error
			for next := Offset(0); next < r.End() && failed == nil; {
				var res ReadResult
				if res, failed = r.Read(nil, next, ReadOptions{MaxBytes: 300, UpTo: r.End(), AtLeastOne: true}); failed == nil {
					if res.Next <= next {
						t.Fatalf("%s: bit flipped at %d: the read at %d ends at %d, and no error said", codec, at, next, res.Next)
					}
					got = append(got, res.Bytes...)
					next = res.Next
				}
			}
			if failed != nil && !errors.Is(failed, ErrCorrupt) {
				t.Fatalf("%s: bit flipped at %d: %v", codec, at, failed)
			}
			for b, err := range record.All(got) {
				if err != nil || b.Check() != nil {
					t.Fatalf("%s: bit flipped at %d: a batch was served that does not hold", codec, at)
				}
			}
			_, in := batchAt(whole, at) // leader epoch and base offset are outside the checksum
			if in >= 16 && (failed == nil || !bytes.HasPrefix(want, got)) {
				t.Fatalf("%s: bit flipped at %d: no error (%v), or what was served before it is not what was written", codec, at, failed)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// batchAt returns the number of the batch that holds a byte, and the byte's place in it.
func batchAt(data []byte, at int) (n, in int) {
	for b := range record.All(data) {
		if at < len(b) {
			break
		}
		at -= len(b)
		n++
	}
	return n, at
}

// TestVerifyLooksAtEveryByte: after a failed flush nothing that the log's owner knows counts.
func TestVerifyLooksAtEveryByte(t *testing.T) {
	fsys := vfs.NewMem()
	cfg := Config{SegmentBytes: 300}
	l := openLog(t, fsys, cfg, OpenOptions{})
	l.fill(40, 2)
	size := l.Size()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cp := l.Checkpoint()
	r := openLog(t, fsys, cfg, OpenOptions{Checkpoint: cp, Clean: true, Verify: true})
	if r.Recovery().ScannedBytes != size {
		t.Fatalf("%d bytes of %d were verified", r.Recovery().ScannedBytes, size)
	}
	name := fileName(0, suffixLog)
	spoilt := fileBytes(t, fsys, name)
	spoilt[len(spoilt)-1] ^= 1
	setFile(t, fsys, name, spoilt)
	if _, err := tryOpen(fsys, cfg, OpenOptions{Checkpoint: cp, Clean: true, Verify: true}); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a flipped bit in the first segment: %v", err)
	}
}

// TestLostWritesOfAPowerFailureAreCut: blocks that were never written back read as zeros, with later ones in place behind them.
func TestLostWritesOfAPowerFailureAreCut(t *testing.T) {
	fsys := vfs.NewMem()
	l := openLog(t, fsys, Config{}, OpenOptions{})
	for l.Size() < 5*lostBlock {
		l.fill(int(l.End())+20, 20)
	}
	name := l.activeSegment().name()
	whole := fileBytes(t, fsys, name)
	clear(whole[2*lostBlock : 3*lostBlock])
	setFile(t, fsys, name, whole)
	r := openLog(t, fsys, Config{}, OpenOptions{})
	if r.End() == 0 || r.End() >= l.End() || r.Size() > 2*lostBlock {
		t.Fatalf("end %d of %d, %d bytes", r.End(), l.End(), r.Size())
	}
	if r.Recovery().TruncatedAt != r.End() || r.Recovery().TruncatedBytes != int64(len(whole))-r.Size() {
		t.Fatalf("the cut is not reported: %+v", r.Recovery())
	}
}

// workload drives a log through everything that writes, and remembers what was promised.
type workload struct {
	l         *testLog
	rng       *rand.Rand
	appended  []record.Batch // by offset order: all that Append took
	flushed   Offset         // all below was flushed
	start     Offset
	openTxn   map[ProducerID]bool
	sequences map[ProducerID]int32
}

func newWorkload(l *testLog, rng *rand.Rand) *workload {
	return &workload{l: l, rng: rng, openTxn: map[ProducerID]bool{}, sequences: map[ProducerID]int32{}}
}

// step does one thing. It returns the first error of the log.
func (w *workload) step() error {
	switch n := w.rng.IntN(20); {
	case n < 11:
		return w.append()
	case n < 14:
		return w.endTxn()
	case n < 17:
		end := w.l.End()
		if err := w.l.Flush(end); err != nil {
			return err
		}
		w.flushed = end
		return nil
	case n == 17:
		return w.l.Roll(t0)
	case n == 18 && w.l.End() > 0:
		to := w.start + Offset(w.rng.Int64N(int64(w.l.End()-w.start)/4+1))
		if err := w.l.AdvanceLogStart(to); err != nil {
			return err
		}
		w.start = max(w.start, to)
		return nil
	default:
		return nil
	}
}

func (w *workload) append() error {
	id := ProducerID(1 + w.rng.IntN(3))
	o := batchOpts{producer: record.Producer{ID: id, BaseSequence: w.sequences[id]}}
	n := 1 + w.rng.IntN(3)
	if w.rng.IntN(2) == 0 && !w.openTxn[id] {
		o.producer = record.NoProducer
	} else {
		o.attrs = record.Transactional
	}
	b := makeBatch(o, values(int(w.l.End()), n)...)
	if _, err := w.l.Append(b, AppendOptions{Now: t0, LeaderEpoch: LeaderEpoch(w.l.End() / 10)}); err != nil {
		return err
	}
	if o.attrs != 0 {
		w.sequences[id] += int32(n)
		w.openTxn[id] = true
	}
	w.appended = append(w.appended, slices.Clone(b))
	return nil
}

func (w *workload) endTxn() error {
	for id := ProducerID(1); id <= 3; id++ {
		if w.openTxn[id] {
			m := record.Marker{Type: record.ControlType(w.rng.IntN(2))}
			info, err := w.l.AppendMarker(MarkerOptions{ProducerID: id, Commit: m.Type == record.CommitMarker, Now: t0})
			if err != nil {
				return err
			}
			w.openTxn[id] = false
			b := new(record.Builder).FinishMarker(t0.UnixMilli(), id, 0, m)
			b.SetBaseOffset(info.FirstOffset)
			w.appended = append(w.appended, b)
			return nil
		}
	}
	return nil
}

// check holds a recovered log against what was promised: it is a prefix of what was appended, and holds at least what was flushed (L1-L3).
func (w *workload) check(t *testing.T, r *testLog) {
	t.Helper()
	if r.End() < w.flushed {
		t.Fatalf("end %d, up to %d was flushed", r.End(), w.flushed)
	}
	var want []byte
	for _, b := range w.appended {
		if b.NextOffset() > r.End() {
			break
		}
		if b.LastOffset() >= r.LogStart() {
			want = append(want, b...)
		}
	}
	if got := r.readAll(1 << 20); !bytes.Equal(got, want) {
		t.Fatalf("recovered log:\n%swritten:\n%s", dump(t, got), dump(t, want))
	}
	w.checkState(t, r)
}

// checkState holds the recovered producer state, aborted transactions and epochs against a replay of what was appended.
func (w *workload) checkState(t *testing.T, r *testLog) {
	t.Helper()
	var ps producers
	ps.init()
	var aborted []AbortedTxn
	var epochs epochCache
	for _, b := range w.appended {
		if b.NextOffset() > r.End() {
			break
		}
		if e, ok := epochs.latest(); b.LeaderEpoch() >= 0 && (!ok || b.LeaderEpoch() > e.Epoch) {
			epochs.assign(b.LeaderEpoch(), b.BaseOffset())
		}
		if b.ProducerID() == record.NoProducerID {
			continue
		}
		c, err := ps.apply(b, 0)
		if err != nil {
			t.Fatal(err)
		}
		if c.aborted {
			aborted = append(aborted, AbortedTxn{ProducerID: c.id, FirstOffset: c.first, LastOffset: c.last})
		}
	}
	if w.start > 0 || r.LogStart() > 0 {
		return // of what began below the log's start a part may be known
	}
	if have, want := fmt.Sprint(r.ActiveProducers()), fmt.Sprint(ps.list()); have != want {
		t.Fatalf("producers:\n%s\nwant:\n%s", have, want)
	}
	got, err := r.AbortedIn(nil, 0, r.End())
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].LastStable = 0
	}
	if fmt.Sprint(got) != fmt.Sprint(aborted) {
		t.Fatalf("aborted transactions:\n%v\nwant:\n%v", got, aborted)
	}
	if fmt.Sprint(r.epochs.entries) != fmt.Sprint(epochs.entries) {
		t.Fatalf("epochs %v, want %v", r.epochs.entries, epochs.entries)
	}
}

// TestCrashAtEverySyncPointLosesNothingFlushed clones the file system at every flush and directory flush of a workload, and in between, with
// none, some and all of what was not flushed, and opens the clone.
func TestCrashAtEverySyncPointLosesNothingFlushed(t *testing.T) {
	for seed := range seeds(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { crashRun(t, seed) })
	}
}

func crashRun(t *testing.T, seed uint64) {
	rng := seeded(t, seed)
	mem := vfs.NewCrashableMem()
	var clones []*vfs.MemFS
	var taken bool
	fsys := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpRename, errorfs.OpRemove, errorfs.OpCreate:
			if taken {
				for _, percent := range []int{0, 50, 100} {
					clones = append(clones, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
				}
			}
		}
		return nil
	}))
	cfg := Config{SegmentBytes: 1200, IndexInterval: 100}
	if err := mem.MkdirAll("data", 0o755); err != nil {
		t.Fatal(err)
	}
	syncAll(t, mem, "", "data")
	w := newWorkload(openLog(t, fsys, cfg, OpenOptions{}), rng)
	for range 60 {
		before := *w
		clones, taken = clones[:0], true
		cp := w.l.Checkpoint() // what the owner wrote last
		cp.LogStart = 0
		if err := w.step(); err != nil {
			t.Fatal(err)
		}
		taken = false
		clones = append(clones, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}))
		for i, clone := range clones {
			promised := w
			if i < len(clones)-1 { // taken in the middle of the step: only what was promised before it counts
				promised = &before
				promised.appended = w.appended
			}
			r, err := tryOpen(clone, cfg, OpenOptions{Checkpoint: cp})
			if err != nil {
				t.Fatalf("clone %d of %d after %d batches: %v", i, len(clones), len(w.appended), err)
			}
			promised.check(t, &testLog{Log: r, t: t})
		}
	}
}

// syncAll makes directories durable.
func syncAll(t testing.TB, fsys vfs.FS, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if err := syncDir(fsys, dir); err != nil {
			t.Fatal(err)
		}
	}
}

// TestErrorAtEveryCallLeavesAGoodLog fails the k-th call into the file system, for every k of a workload. The error must come out, or do no
// harm; and the files must open again with all that was flushed (L8).
func TestErrorAtEveryCallLeavesAGoodLog(t *testing.T) {
	cfg := Config{SegmentBytes: 600, IndexInterval: 100, Compact: true}
	run := func(t *testing.T, fail int32, cause error) (calls int32) {
		mem := vfs.NewMem()
		var n atomic.Int32
		fsys := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if n.Add(1) == fail {
				return cause
			}
			return nil
		}))
		_ = mem.MkdirAll("data", 0o755)
		w := newWorkload(nil, rand.New(rand.NewPCG(7, 7)))
		l, err := tryOpen(fsys, cfg, OpenOptions{})
		if err == nil {
			w.l = &testLog{Log: l, t: t, now: t0}
			for i := range 40 {
				if err = w.step(); err != nil {
					break
				}
				if i == 25 {
					if _, err = l.Clean(CleanOptions{UpTo: 0, Now: t0}); err != nil {
						break
					}
				}
			}
			if err == nil {
				err = l.Close()
			}
		}
		if err != nil && !errors.Is(err, cause) {
			t.Fatalf("call %d: the error is %v", fail, err)
		}
		if errors.Is(err, syscall.ENOSPC) && w.l != nil && w.l.usable() == nil {
			// A full disk passes: the same log goes on.
			if err := w.append(); err != nil {
				t.Fatalf("call %d: append after the disk was full: %v", fail, err)
			}
		}
		cp := Checkpoint{}
		if w.l != nil {
			cp = w.l.Checkpoint()
		}
		r, err := tryOpen(mem, cfg, OpenOptions{Checkpoint: cp, Verify: true})
		if err != nil {
			t.Fatalf("call %d: open afterwards: %v", fail, err)
		}
		w.check(t, &testLog{Log: r, t: t})
		return n.Load()
	}
	total := run(t, -1, nil)
	if total < 100 {
		t.Fatalf("the workload makes %d calls only", total)
	}
	for _, cause := range []error{errorfs.ErrInjected, syscall.ENOSPC} {
		for k := int32(1); k <= total; k++ {
			run(t, k, cause)
		}
	}
}

// TestFailedFlushTakesTheLogOffline: what a second try would confirm is gone (L10).
func TestFailedFlushTakesTheLogOffline(t *testing.T) {
	broken := false
	fsys := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			return errorfs.ErrInjected
		}
		return nil
	}))
	l := openLog(t, fsys, Config{}, OpenOptions{})
	l.fill(4, 2)
	broken = true
	if err := l.Flush(4); !errors.Is(err, ErrOffline) || !errors.Is(err, errorfs.ErrInjected) {
		t.Fatalf("flush: %v", err)
	}
	broken = false
	_, errRead := l.Read(nil, 0, ReadOptions{MaxBytes: 100, UpTo: 4})
	_, errAppend := l.tryAppend(makeBatch(batchOpts{}, values(4, 1)...))
	_, _, errTime := l.OffsetForTime(0, 4)
	_, errTrunc := l.Truncate(1)
	for name, err := range map[string]error{
		"flush": l.Flush(4), "read": errRead, "append": errAppend, "time": errTime, "truncate": errTrunc, "roll": l.Roll(t0), "start": l.AdvanceLogStart(1),
	} {
		if !errors.Is(err, ErrOffline) {
			t.Errorf("%s after a failed flush: %v", name, err)
		}
	}
	if l.Checkpoint().RecoveryPoint != 0 {
		t.Errorf("the recovery point moved to %d", l.Checkpoint().RecoveryPoint)
	}
}

// fullDisk fails writes past a number of bytes, after it has written what still fits.
type fullDisk struct {
	vfs.FS
	room *int
}

func (d fullDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return &fullDiskFile{f, d.room}, err
}

func (d fullDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	return &fullDiskFile{f, d.room}, err
}

type fullDiskFile struct {
	vfs.File
	room *int
}

func (f *fullDiskFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p[:min(len(p), *f.room)])
	return f.charge(n, len(p), err)
}

func (f *fullDiskFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p[:min(len(p), *f.room)], off)
	return f.charge(n, len(p), err)
}

func (f *fullDiskFile) charge(n, want int, err error) (int, error) {
	*f.room -= n
	if err == nil && n < want {
		err = syscall.ENOSPC
	}
	return n, err
}

// TestFullDiskRefusesAndRecovers fills the disk at every byte of an append. Nothing of it shows; when there is room again, the log goes on,
// and no byte of the failed append comes back after a crash (L11).
func TestFullDiskRefusesAndRecovers(t *testing.T) {
	first, second := makeBatch(batchOpts{}, values(0, 3)...), makeBatch(batchOpts{}, values(3, 2)...)
	failing := slices.Concat(makeBatch(batchOpts{}, values(3, 1)...), makeBatch(batchOpts{}, values(4, 1)...))
	for fits := range len(failing) {
		room := 1 << 20
		mem := vfs.NewMem()
		fsys := fullDisk{mem, &room}
		l := openLog(t, fsys, Config{}, OpenOptions{})
		l.append(slices.Clone(first))
		room = fits
		if _, err := l.Append(slices.Clone(failing), AppendOptions{Origin: Coordinator, Now: t0}); !errors.Is(err, ErrNoSpace) {
			t.Fatalf("room for %d bytes: %v", fits, err)
		}
		if l.End() != 3 || !bytes.Equal(l.readAll(1<<20), l.readAll(50)) {
			t.Fatalf("room for %d bytes: end %d", fits, l.End())
		}
		if fits%2 == 0 { // killed right there: whole batches of the failed append may be found, a torn one may not
			room = 1 << 20
			r := l.reopenDirty(Checkpoint{})
			if r.End() < 3 || r.End() > 4 {
				t.Fatalf("room for %d bytes: end %d after a kill", fits, r.End())
			}
			continue
		}
		room = 1 << 20
		if i := l.append(slices.Clone(second)); i.FirstOffset != 3 {
			t.Fatalf("room for %d bytes: append at %d when there is room", fits, i.FirstOffset)
		}
		want := l.readAll(1 << 20)
		if r := l.reopenDirty(Checkpoint{}); !bytes.Equal(r.readAll(1<<20), want) || r.Recovery().TruncatedBytes != 0 {
			t.Fatalf("room for %d bytes: after a kill the log differs", fits)
		}
	}
}

// TestReadsAreTheSameWithoutOrWithGarbledIndexes removes, empties, truncates and garbles each file that is not a log (L6).
func TestReadsAreTheSameWithoutOrWithGarbledIndexes(t *testing.T) {
	mem := vfs.NewMem()
	rng := seeded(t, 3)
	cfg := Config{SegmentBytes: 700, IndexInterval: 50}
	w := newWorkload(openLog(t, mem, cfg, OpenOptions{}), rng)
	for len(w.appended) < 60 {
		if err := w.append(); err != nil {
			t.Fatal(err)
		}
		if len(w.appended)%4 == 0 {
			if err := w.endTxn(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.l.Close(); err != nil {
		t.Fatal(err)
	}
	cp := w.l.Checkpoint()
	want := answers(t, openLog(t, mem, cfg, OpenOptions{Checkpoint: cp, Clean: true}))
	names, err := mem.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, suffixLog) {
			continue
		}
		good := fileBytes(t, mem, name)
		rounds := 12
		if invariant.Race() {
			rounds = 4
		}
		for round := range rounds {
			spoilt := bytes.Clone(good)
			switch {
			case round == 0:
				spoilt = nil
			case round == 1:
				spoilt = spoilt[:len(spoilt)/2]
			case round == 2:
				clear(spoilt)
			default:
				spoilt[rng.IntN(len(spoilt))] ^= 1 << rng.IntN(8)
			}
			for _, clean := range []bool{true, false} {
				setFile(t, mem, name, spoilt)
				if round == 0 && clean {
					if err := mem.Remove(mem.PathJoin(testDir, name)); err != nil {
						t.Fatal(err)
					}
				}
				r := openLog(t, mem, cfg, OpenOptions{Checkpoint: cp, Clean: clean})
				if got := answers(t, r); got != want {
					t.Fatalf("%s, round %d, clean %v: the log answers\n%s\nwant\n%s", name, round, clean, got, want)
				}
				w.check(t, r)
			}
		}
		setFile(t, mem, name, good)
	}
}

// answers asks a log everything that goes through an index.
func answers(t *testing.T, l *testLog) string {
	t.Helper()
	var out strings.Builder
	for o := l.LogStart(); o < l.End(); o++ {
		res, err := l.Read(nil, o, ReadOptions{MaxBytes: 1, UpTo: l.End(), AtLeastOne: true})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(&out, dump(t, res.Bytes))
		at, ok, err := l.OffsetForTime(t0.UnixMilli()+int64(o), l.End())
		fmt.Fprintln(&out, at, ok, err)
		aborted, err := l.AbortedIn(nil, o, min(o+5, l.End()))
		for _, a := range aborted {
			fmt.Fprint(&out, a.ProducerID, a.FirstOffset, a.LastOffset, " ")
		}
		fmt.Fprintln(&out, err)
	}
	at, ok, err := l.MaxTimestamp(l.End())
	fmt.Fprintln(&out, at, ok, err, l.LastStable(l.End()))
	return out.String()
}

// TestAnEmptyLogOpensInFewCalls guards what a start with a thousand partitions costs: calls of the file system and memory, not time.
func TestAnEmptyLogOpensInFewCalls(t *testing.T) {
	const maxCalls, maxAllocs = 6, 50
	var calls atomic.Int64
	fsys := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(errorfs.Op) error {
		calls.Add(1)
		return nil
	}))
	openEmpty := func() {
		l, err := Open(fsys, "t", Config{}, OpenOptions{Now: t0})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	openEmpty()
	calls.Store(0)
	allocs := testing.AllocsPerRun(10, openEmpty)
	if n := calls.Load() / 11; n > maxCalls || allocs > maxAllocs { // AllocsPerRun runs once more, to warm up
		t.Fatalf("opening and closing an empty log takes %d calls and %v allocations, want at most %d and %d", n, allocs, maxCalls, maxAllocs)
	}
}

// TestALogThatWasClosedOpensInFewCalls guards the same for logs that hold something: none of their batches is read, however many there are.
func TestALogThatWasClosedOpensInFewCalls(t *testing.T) {
	const maxLists, maxOpens = 1, 6 // of the directory; of summary, two indexes, producers, epochs and their summary
	var lists, opens, batches atomic.Int64
	fsys := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpList:
			lists.Add(1)
		case errorfs.OpOpen:
			opens.Add(1)
		case errorfs.OpFileRead, errorfs.OpFileReadAt:
			if strings.HasSuffix(op.Path, suffixLog) {
				batches.Add(1)
			}
		}
		return nil
	}))
	l := openLog(t, fsys, Config{IndexInterval: 64}, OpenOptions{Now: t0})
	l.fill(200, 2)
	point := l.Checkpoint()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*atomic.Int64{&lists, &opens, &batches} {
		n.Store(0)
	}
	if l = openLog(t, fsys, Config{IndexInterval: 64}, OpenOptions{Checkpoint: point, Clean: true}); l.End() < 200 {
		t.Fatalf("the log ends at %d", l.End())
	}
	if lists.Load() > maxLists || opens.Load() > maxOpens || batches.Load() > 0 {
		t.Fatalf("%d listings, %d files opened, %d reads of batches; want at most %d, %d and none", lists.Load(), opens.Load(), batches.Load(), maxLists, maxOpens)
	}
}
