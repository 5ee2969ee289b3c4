package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace-io/millrace/internal/record"
)

// entry is a record as a reader sees it.
type entry struct {
	key, value string
	null       bool
}

// committed reads a log as a read_committed reader would: the records by offset, and the last of each key.
func committed(t testing.TB, l *testLog) (byOffset map[Offset]entry, last map[string]entry) {
	t.Helper()
	upTo := l.LastStable(l.End())
	byOffset, last = map[Offset]entry{}, map[string]entry{}
	for next := l.LogStart(); next < upTo; {
		res, err := l.Read(nil, next, ReadOptions{MaxBytes: 400, UpTo: upTo, AtLeastOne: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Bytes) == 0 {
			break
		}
		aborted, err := l.AbortedIn(nil, next, res.Next)
		if err != nil {
			t.Fatal(err)
		}
		for b := range record.All(res.Bytes) {
			if b.Attributes().IsControl() || isAborted(b, aborted) {
				continue
			}
			for _, r := range recordsOf(t, b) {
				e := entry{key: string(r.Key), value: string(r.Value), null: r.Value == nil}
				byOffset[r.Offset] = e
				if e.null {
					delete(last, e.key)
				} else {
					last[e.key] = e
				}
			}
		}
		next = res.Next
	}
	return byOffset, last
}

func isAborted(b record.Batch, aborted []AbortedTxn) bool {
	return b.Attributes().IsTransactional() && slices.ContainsFunc(aborted, func(a AbortedTxn) bool {
		return a.ProducerID == b.ProducerID() && a.FirstOffset <= b.BaseOffset() && b.LastOffset() <= a.LastOffset
	})
}

func recordsOf(t testing.TB, b record.Batch) []record.Record {
	t.Helper()
	it, err := b.Records(nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []record.Record
	var r record.Record
	for it.Next(&r) {
		out = append(out, r)
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return out
}

// keyedWorkload appends records of few keys, in and out of transactions, with tombstones.
type keyedWorkload struct {
	l    *testLog
	rng  *rand.Rand
	seq  map[ProducerID]int32
	open map[ProducerID]bool
	n    int
}

func newKeyedWorkload(l *testLog, rng *rand.Rand) *keyedWorkload {
	return &keyedWorkload{l: l, rng: rng, seq: map[ProducerID]int32{}, open: map[ProducerID]bool{}}
}

func (w *keyedWorkload) step() error {
	id := ProducerID(1 + w.rng.IntN(4))
	if w.open[id] && w.rng.IntN(3) == 0 {
		_, err := w.l.AppendMarker(MarkerOptions{ProducerID: id, Commit: w.rng.IntN(3) > 0, Now: w.l.now})
		w.open[id] = err != nil
		return err
	}
	var records []kv
	for range 1 + w.rng.IntN(4) {
		w.n++
		r := kv{key: fmt.Sprintf("k%d", w.rng.IntN(12)), value: fmt.Sprintf("v%d", w.n), ts: int64(w.n)}
		if w.rng.IntN(6) == 0 {
			r.value = tombstone
		}
		records = append(records, r)
	}
	o := batchOpts{codec: record.Codec(w.rng.IntN(5))}
	if w.rng.IntN(3) > 0 {
		o.producer, o.attrs = record.Producer{ID: id, BaseSequence: w.seq[id]}, record.Transactional
	}
	if _, err := w.l.tryAppend(makeBatch(o, records...)); err != nil {
		return err
	}
	if o.attrs != 0 {
		w.seq[id] += int32(len(records))
		w.open[id] = true
	}
	return nil
}

// TestCleanedLogHoldsTheSameLastValues cleans a log again and again in the middle of a workload. A read_committed reader finds the same last
// value of every key, at the offset that it had; markers go, and what is known of producers does not (L9, C1-C5).
func TestCleanedLogHoldsTheSameLastValues(t *testing.T) {
	for seed := range seeds(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := seeded(t, seed)
			cfg := Config{SegmentBytes: 400 + int64(seed)*200, IndexInterval: 100, Compact: true, DeleteRetention: time.Second}
			if seed%4 == 0 {
				cfg.CleanerMemory = minCleanerMemory
			}
			fsys := vfs.NewMem()
			w := newKeyedWorkload(openLog(t, fsys, cfg, OpenOptions{}), rng)
			for range 25 {
				for range rng.IntN(20) {
					if err := w.step(); err != nil {
						t.Fatal(err)
					}
				}
				if rng.IntN(3) == 0 {
					if err := w.l.Roll(w.l.now); err != nil {
						t.Fatal(err)
					}
				}
				w.l.now = w.l.now.Add(time.Duration(rng.IntN(2000)) * time.Millisecond)
				cleanAndCompare(t, w.l)
				switch rng.IntN(5) {
				case 0:
					w.l = reopenedAt(w.l, w.l.reopenClean())
				case 1:
					w.l = reopenedAt(w.l, withoutSideFiles(t, w.l))
				}
			}
		})
	}
}

func reopenedAt(old, l *testLog) *testLog {
	l.now = old.now
	return l
}

// withoutSideFiles opens the log from its batches alone and checks that the producers' last sequences are the same.
func withoutSideFiles(t *testing.T, l *testLog) *testLog {
	t.Helper()
	before := l.ActiveProducers()
	names, err := l.fs.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if suffixOf(name) != suffixLog {
			if err := l.fs.Remove(l.fs.PathJoin(testDir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := l.reopenDirty(l.Checkpoint())
	after := r.ActiveProducers()
	for i := range before {
		if i >= len(after) || after[i].ID != before[i].ID || after[i].Epoch != before[i].Epoch || after[i].LastSequence != before[i].LastSequence ||
			after[i].TxnStart != before[i].TxnStart {
			t.Fatalf("producers after a replay:\n%+v\nbefore:\n%+v", after, before)
		}
	}
	return r
}

func cleanAndCompare(t *testing.T, l *testLog) {
	t.Helper()
	stable := l.LastStable(l.End())
	before, wantLast := committed(t, l)
	stats, err := l.Clean(CleanOptions{UpTo: stable, Now: l.now})
	if err != nil {
		t.Fatal(err)
	}
	after, haveLast := committed(t, l)
	if fmt.Sprint(haveLast) != fmt.Sprint(wantLast) {
		t.Fatalf("after cleaning to %d the last values are\n%v\nwant\n%v", stats.Cleaned, haveLast, wantLast)
	}
	for o, e := range after {
		if before[o] != e {
			t.Fatalf("offset %d holds %+v, before %+v", o, e, before[o])
		}
	}
	// Below the clean point a key occurs once, but for what the pass did not reach.
	seen := map[string]Offset{}
	offsets := make([]Offset, 0, len(after))
	for o := range after {
		offsets = append(offsets, o)
	}
	slices.Sort(offsets)
	for _, o := range offsets {
		if o >= stats.Cleaned {
			break
		}
		if earlier, ok := seen[after[o].key]; ok {
			t.Fatalf("key %s is at %d and at %d, cleaned up to %d", after[o].key, earlier, o, stats.Cleaned)
		}
		seen[after[o].key] = o
	}
	if l.LastStable(l.End()) != stable {
		t.Fatalf("last stable offset moved from %d to %d", stable, l.LastStable(l.End()))
	}
}

// TestMarkersAndTombstonesGoInTheEnd: what was deleted leaves nothing behind but its place.
func TestMarkersAndTombstonesGoInTheEnd(t *testing.T) {
	l := openLog(t, vfs.NewMem(), Config{SegmentBytes: 1 << 20, Compact: true, DeleteRetention: time.Minute}, OpenOptions{})
	for i := range 50 {
		l.append(makeBatch(batchOpts{producer: record.Producer{ID: 1, Epoch: record.ProducerEpoch(i)}, attrs: record.Transactional},
			kv{key: "a", value: "1"}, kv{key: fmt.Sprint(i), value: tombstone}))
		if _, err := l.AppendMarker(MarkerOptions{ProducerID: 1, ProducerEpoch: ProducerEpoch(i), Commit: i%2 == 0, Now: l.now}); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		l.append(makeBatch(batchOpts{}, kv{key: "z", value: "1"}))
		if err := l.Roll(l.now); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Clean(CleanOptions{UpTo: l.End(), Now: l.now}); err != nil {
			t.Fatal(err)
		}
		l.now = l.now.Add(time.Hour)
	}
	want := "[144-145 p1/48 seq 0] 144:a=1\n" + // the last committed value
		"[146-146 p1/48 seq -1 commit]\n" + // whose marker has to stay
		"[147-148 p1/49 seq 0]\n" + // the producer's last sequence
		"[153-153] 153:z=1\n"
	if got := dump(t, l.readAll(1<<20)); got != want {
		t.Fatalf("left:\n%swant:\n%s", got, want)
	}
	if l.SegmentCount() != 2 {
		t.Fatalf("%d segments left of small ones", l.SegmentCount())
	}
}

// TestDirtyRatioSaysWhenToClean covers both reasons: the ratio and the largest lag (C1).
func TestDirtyRatioSaysWhenToClean(t *testing.T) {
	cfg := Config{SegmentBytes: 100, Compact: true, MinDirtyRatio: 0.6, MaxCompactionLag: time.Hour}
	l := openLog(t, vfs.NewMem(), cfg, OpenOptions{})
	if ratio, due := l.DirtyRatio(l.End(), l.now); ratio != 0 || due {
		t.Fatalf("empty log: %v %v", ratio, due)
	}
	for i := range 3 {
		l.append(makeBatch(batchOpts{}, kv{key: fmt.Sprint(i), value: "v"}))
	}
	if ratio, due := l.DirtyRatio(l.End(), l.now); ratio != 1 || !due {
		t.Fatalf("never cleaned: %v %v", ratio, due)
	}
	if _, err := l.Clean(CleanOptions{UpTo: l.End(), Now: l.now}); err != nil {
		t.Fatal(err)
	}
	l.append(makeBatch(batchOpts{}, kv{key: "x", value: "v"}))
	ratio, due := l.DirtyRatio(l.End(), l.now)
	if ratio <= 0.3 || ratio >= 0.4 || due {
		t.Fatalf("a third dirty: %v %v", ratio, due)
	}
	if _, due := l.DirtyRatio(l.End(), l.now.Add(2*time.Hour)); !due {
		t.Fatal("older than the largest lag, and not due")
	}
	if ratio, due := l.DirtyRatio(1, l.now); ratio != 0 || due {
		t.Fatalf("nothing dirty below the last stable offset: %v %v", ratio, due)
	}
	cfg.Compact = false
	l.Configure(cfg)
	if _, due := l.DirtyRatio(l.End(), l.now); due {
		t.Fatal("a topic that is not compacted is due")
	}
}

// TestCrashWhileCleaningLeavesOldOrNew takes the file system at every change that a cleaning makes (L8, C6).
func TestCrashWhileCleaningLeavesOldOrNew(t *testing.T) {
	crashes := 0
	for seed := range seeds(4) {
		rng := seeded(t, seed)
		mem := vfs.NewCrashableMem()
		var clones []*vfs.MemFS
		cleaning := false
		fsys := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if cleaning && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				for _, percent := range []int{0, 50, 100} {
					clones = append(clones, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
				}
			}
			return nil
		}))
		cfg := Config{SegmentBytes: 900, IndexInterval: 100, Compact: true, DeleteRetention: -1}
		if err := mem.MkdirAll("data", 0o755); err != nil {
			t.Fatal(err)
		}
		syncAll(t, mem, "", "data")
		w := newKeyedWorkload(openLog(t, fsys, cfg, OpenOptions{}), rng)
		for range 3 {
			for range 40 {
				if err := w.step(); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.l.Flush(w.l.End()); err != nil {
				t.Fatal(err)
			}
			stale := w.l.Checkpoint()
			stale.RecoveryPoint = 0 // the owner writes it rarely
			_, want := committed(t, w.l)
			clones, cleaning = clones[:0], true
			if _, err := w.l.Clean(CleanOptions{UpTo: w.l.LastStable(w.l.End()), Now: w.l.now}); err != nil {
				t.Fatal(err)
			}
			cleaning = false
			for i, clone := range clones {
				for _, cp := range []Checkpoint{stale, w.l.Checkpoint()} {
					r, err := tryOpen(clone, cfg, OpenOptions{Checkpoint: cp})
					if err != nil {
						t.Fatalf("clone %d: %v", i, err)
					}
					if r.End() != w.l.End() {
						t.Fatalf("clone %d: end %d of %d", i, r.End(), w.l.End())
					}
					if _, have := committed(t, &testLog{Log: r, t: t}); fmt.Sprint(have) != fmt.Sprint(want) {
						t.Fatalf("clone %d: last values\n%v\nwant\n%v", i, have, want)
					}
				}
			}
			crashes += len(clones)
		}
	}
	if crashes < 100 {
		t.Fatalf("the cleanings made %d changes only", crashes)
	}
}

// TestReadersSeeAWholeLogWhateverGoesOn appends, rolls, cleans, deletes and flushes beside readers. Each reader must see ascending whole
// batches, and of each key that it follows ascending values.
func TestReadersSeeAWholeLogWhateverGoesOn(t *testing.T) {
	cfg := Config{SegmentBytes: 2000, IndexInterval: 100, Compact: true, Delete: true, RetentionBytes: 40_000}
	for _, fsys := range []vfs.FS{vfs.NewMem(), vfs.Default} {
		dir := t.TempDir() + "/t-0"
		if err := fsys.MkdirAll(fsys.PathDir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := Open(fsys, dir, cfg, OpenOptions{Now: t0})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		done := make(chan struct{})
		background := func(f func() error) {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if err := f(); err != nil && !errors.Is(err, ErrCleanAborted) {
						t.Error(err)
						return
					}
				}
			})
		}
		background(func() error { return l.Flush(l.End()) })
		background(func() error { _, err := l.Clean(CleanOptions{UpTo: l.End(), Now: t0}); return err })
		background(func() error { _, err := l.DeleteOldSegments(t0, l.End()); return err })
		background(func() error { _, _, err := l.OffsetForTime(t0.UnixMilli()+50, l.End()); return err })
		background(func() error { _, err := l.AbortedIn(nil, l.LogStart(), l.End()); return err })
		for range 3 {
			wg.Go(func() { follow(t, l, done) })
		}
		for i := range 1000 {
			b := makeBatch(batchOpts{}, kv{key: fmt.Sprint(i % 10), value: fmt.Sprintf("%08d", i), ts: int64(i)}, kv{key: fmt.Sprint(i), value: "once"})
			if _, err := l.Append(b, AppendOptions{Now: t0}); err != nil {
				t.Fatal(err)
			}
			l.LastStable(l.End())
		}
		close(done)
		wg.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// follow reads the log from its start to its end and again, until done.
func follow(t *testing.T, l *Log, done chan struct{}) {
	buf := make([]byte, 0, 4096)
	last := map[string]string{}
	for next := Offset(0); ; {
		select {
		case <-done:
			return
		default:
		}
		end := l.End()
		res, err := l.Read(buf, next, ReadOptions{MaxBytes: 3000, UpTo: end, AtLeastOne: true})
		if errors.Is(err, ErrOffsetOutOfRange) {
			next = l.LogStart()
			continue
		}
		if err != nil {
			t.Errorf("read at %d: %v", next, err)
			return
		}
		prev := next - 1
		for b, err := range record.All(res.Bytes) {
			if err != nil || b.Check() != nil || b.LastOffset() <= prev || b.LastOffset() >= end {
				t.Errorf("read at %d: a batch does not hold: %v, offsets %d to %d after %d", next, err, b.BaseOffset(), b.LastOffset(), prev)
				return
			}
			prev = b.LastOffset()
			for _, r := range recordsOf(t, b) {
				if key := string(r.Key); bytes.Compare(r.Value, []byte(last[key])) < 0 && string(r.Value) != "once" && r.Offset >= next {
					t.Errorf("key %s goes back from %s to %s", key, last[key], r.Value)
					return
				} else if string(r.Value) != "once" {
					last[key] = string(r.Value)
				}
			}
		}
		if next = res.Next; next >= end || len(res.Bytes) == 0 {
			next = l.LogStart()
			clear(last)
		}
	}
}

// TestCloseStopsACleaning: whoever closes the log does not wait for a long pass.
func TestCloseStopsACleaning(t *testing.T) {
	mem := vfs.NewMem()
	entered, proceed := make(chan struct{}), make(chan struct{})
	fsys := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && suffixOf(op.Path) == suffixCleaned {
			close(entered)
			<-proceed
		}
		return nil
	}))
	l := openLog(t, fsys, Config{Compact: true}, OpenOptions{})
	l.append(makeBatch(batchOpts{}, kv{key: "a", value: "1"}, kv{key: "a", value: "2"}))
	if err := l.Roll(t0); err != nil {
		t.Fatal(err)
	}
	cleaned, closed := make(chan error), make(chan error)
	go func() { _, err := l.Clean(CleanOptions{UpTo: l.End(), Now: t0}); cleaned <- err }()
	<-entered
	go func() { closed <- l.Close() }()
	for l.cleanStops.Load() == 0 { // until Close waits
		select {
		case err := <-closed:
			t.Fatalf("Close did not wait for the cleaning: %v", err)
		default:
		}
	}
	close(proceed)
	if err := <-cleaned; !errors.Is(err, ErrCleanAborted) {
		t.Fatalf("cleaning: %v", err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	names, err := mem.List(testDir)
	if err != nil || slices.ContainsFunc(names, func(n string) bool { return suffixOf(n) == suffixCleaned || suffixOf(n) == suffixSwap }) {
		t.Fatalf("left behind: %v, %v", names, err)
	}
}

func TestOffsetMapFindsWhatItTook(t *testing.T) {
	m := newOffsetMap(1 << 20)
	n := 0
	for n < 1<<20/mapSlotSize && m.put(fmt.Append(nil, n), Offset(n)) {
		n++
	}
	if n < 1<<20/mapSlotSize/2 {
		t.Fatalf("%d keys in a MiB", n)
	}
	if m.put([]byte("one more"), 1) {
		t.Fatal("a full map takes a new key")
	}
	if !m.put([]byte("7"), 1<<40) {
		t.Fatal("a full map does not take a known key")
	}
	for i := range n {
		want := Offset(i)
		if i == 7 {
			want = 1 << 40
		}
		if got := m.latest(fmt.Append(nil, i)); got != want {
			t.Fatalf("key %d at %d", i, got)
		}
	}
	if got := m.latest([]byte("unknown")); got != -1 {
		t.Fatalf("an unknown key at %d", got)
	}
}

// TestReadersBesideTruncationsSeeWholeBatches: a follower cuts its log and takes other batches while its own readers are at work.
func TestReadersBesideTruncationsSeeWholeBatches(t *testing.T) {
	for _, fsys := range []vfs.FS{vfs.NewMem(), vfs.Default} {
		dir := t.TempDir() + "/t-0"
		if err := fsys.MkdirAll(fsys.PathDir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := Open(fsys, dir, Config{SegmentBytes: 1500, IndexInterval: 100}, OpenOptions{Now: t0})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for next := Offset(0); ; {
					select {
					case <-done:
						return
					default:
					}
					res, err := l.Read(nil, next, ReadOptions{MaxBytes: 2000, UpTo: l.End(), AtLeastOne: true})
					if err != nil && !errors.Is(err, ErrOffsetOutOfRange) {
						t.Error(err)
						return
					}
					for b, err := range record.All(res.Bytes) {
						if err != nil || b.Check() != nil {
							t.Errorf("read at %d: a batch does not hold: %v", next, err)
							return
						}
					}
					if next = res.Next; len(res.Bytes) == 0 {
						next = 0
					}
				}
			})
		}
		rng := seeded(t, 9)
		for i := range 150 {
			for range 1 + rng.IntN(8) {
				if _, err := l.Append(makeBatch(batchOpts{}, values(i*rng.IntN(1000), 1+rng.IntN(5))...), AppendOptions{Now: t0}); err != nil {
					t.Fatal(err)
				}
			}
			to := l.End() - Offset(rng.IntN(20))
			end, err := l.Truncate(max(to, 0))
			if err != nil {
				t.Fatal(err)
			}
			if end > max(to, 0) || l.End() != end {
				t.Fatalf("truncated to %d: end %d, log end %d", to, end, l.End())
			}
		}
		close(done)
		wg.Wait()
	}
}
