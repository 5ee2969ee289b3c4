package commitlog

import (
	"bytes"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace-io/millrace/internal/invariant"
	"github.com/millrace-io/millrace/internal/record"
)

func TestAppendedBatchesAreReadAsTheyLie(t *testing.T) {
	l := openLog(t, vfs.NewMem(), Config{}, OpenOptions{})
	b := makeBatch(batchOpts{}, values(0, 3)...)
	info, err := l.Append(b, AppendOptions{LeaderEpoch: 7, Now: t0})
	if err != nil {
		t.Fatal(err)
	}
	if info.FirstOffset != 0 || info.LastOffset != 2 || l.End() != 3 {
		t.Fatalf("append: %+v, end %d", info, l.End())
	}
	info = l.append(makeBatch(batchOpts{codec: record.Zstd}, values(3, 2)...))
	if info.FirstOffset != 3 || info.LastOffset != 4 {
		t.Fatalf("second append: %+v", info)
	}
	got := l.readAll(1 << 20)
	if !bytes.HasPrefix(got, b) {
		t.Fatal("the first batch is not what was appended")
	}
	if e := record.Batch(got).LeaderEpoch(); e != 7 {
		t.Fatalf("leader epoch %d", e)
	}
	want := "[0-2] 0:k0=v0 1:k1=v1 2:k2=v2\n[3-4] 3:k3=v3 4:k4=v4\n"
	if have := dump(t, got); have != want {
		t.Fatalf("read:\n%swant:\n%s", have, want)
	}
}

func TestReadStopsAtLimitAndSizes(t *testing.T) {
	l := openLog(t, vfs.NewMem(), Config{SegmentBytes: 1 << 10}, OpenOptions{})
	l.fill(200, 2)
	one := len(makeBatch(batchOpts{}, values(100, 2)...))
	for _, tc := range []struct {
		name        string
		from        Offset
		o           ReadOptions
		first, next Offset
	}{
		{"whole batches only", 100, ReadOptions{MaxBytes: one + one/2, UpTo: 200}, 100, 102},
		{"first batch may begin below", 101, ReadOptions{MaxBytes: one, UpTo: 200}, 100, 102},
		{"too small a limit reads nothing", 100, ReadOptions{MaxBytes: one - 1, UpTo: 200}, 100, 100},
		{"but for one batch when asked", 100, ReadOptions{MaxBytes: 1, UpTo: 200, AtLeastOne: true}, 100, 102},
		{"upper bound", 100, ReadOptions{MaxBytes: 1 << 20, UpTo: 104}, 100, 104},
		{"upper bound inside a batch", 100, ReadOptions{MaxBytes: 1 << 20, UpTo: 103, AtLeastOne: true}, 100, 102},
		{"several segments", 0, ReadOptions{MaxBytes: 1 << 20, UpTo: 200}, 0, 200},
		{"at the end", 200, ReadOptions{MaxBytes: 1 << 20, UpTo: 200, AtLeastOne: true}, 200, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, err := l.Read(nil, tc.from, tc.o)
			if err != nil {
				t.Fatal(err)
			}
			if res.First != tc.first || res.Next != tc.next {
				t.Fatalf("read [%d, %d), want [%d, %d)", res.First, res.Next, tc.first, tc.next)
			}
		})
	}
	for _, from := range []Offset{-1, 201} {
		if _, err := l.Read(nil, from, ReadOptions{MaxBytes: 1, UpTo: 200}); !errors.Is(err, ErrOffsetOutOfRange) {
			t.Fatalf("read at %d: %v", from, err)
		}
	}
}

func TestReopenedLogIsTheSame(t *testing.T) {
	for _, codec := range []record.Codec{record.None, record.LZ4} {
		for _, segment := range []int64{200, 1 << 10, 1 << 20} {
			fsys := vfs.NewMem()
			l := openLog(t, fsys, Config{SegmentBytes: segment, IndexInterval: 100}, OpenOptions{})
			for l.End() < 300 {
				l.append(makeBatch(batchOpts{codec: codec}, values(int(l.End()), 3)...))
			}
			want := l.readAll(500)
			dirty := l.reopenDirty(Checkpoint{})
			if got := dirty.readAll(333); !bytes.Equal(got, want) {
				t.Fatalf("segment %d: after a kill the log differs", segment)
			}
			clean := dirty.reopenClean()
			if got := clean.readAll(1 << 20); !bytes.Equal(got, want) {
				t.Fatalf("segment %d: after a clean close the log differs", segment)
			}
			if r := clean.Recovery(); r.ScannedBytes != 0 || r.ProducersReplay || r.RebuiltIndexes != 0 {
				t.Fatalf("segment %d: a clean open read the log: %+v", segment, r)
			}
			if i := clean.append(makeBatch(batchOpts{}, values(300, 1)...)); i.FirstOffset != 300 {
				t.Fatalf("append after reopen at %d", i.FirstOffset)
			}
		}
	}
}

func TestEmptyLogHasNoFiles(t *testing.T) {
	fsys := vfs.NewMem()
	l := openLog(t, fsys, Config{}, OpenOptions{Checkpoint: Checkpoint{LogStart: 12}})
	if l.LogStart() != 12 || l.End() != 12 {
		t.Fatalf("[%d, %d)", l.LogStart(), l.End())
	}
	if err := l.Flush(12); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if names, err := fsys.List("data"); err != nil || len(names) != 0 {
		t.Fatalf("files of an empty log: %v, %v", names, err)
	}
}

// TestHotPathAllocatesNothing: neither an append nor a read takes memory of its own, an idempotent producer's included.
func TestHotPathAllocatesNothing(t *testing.T) {
	if invariant.Race() {
		t.Skip("race builds copy what they write")
	}
	l, err := Open(vfs.Default, t.TempDir()+"/t-0", Config{}, OpenOptions{Now: t0})
	if err != nil {
		t.Fatal(err)
	}
	pristine := makeBatch(batchOpts{}, values(0, 100)...)
	b := slices.Clone(pristine)
	appendOne := func() {
		copy(b, pristine)
		if _, err := l.Append(b, AppendOptions{Now: t0}); err != nil {
			t.Fatal(err)
		}
	}
	appendOne()
	if n := testing.AllocsPerRun(200, appendOne); n != 0 {
		t.Errorf("%v allocations an append", n)
	}
	seq := int32(0)
	idempotent := func() {
		copy(b, pristine)
		b.SetProducer(record.Producer{ID: 1, BaseSequence: seq})
		seq += 100
		if _, err := l.Append(b, AppendOptions{Now: t0}); err != nil {
			t.Fatal(err)
		}
	}
	idempotent()
	if n := testing.AllocsPerRun(200, idempotent); n != 0 {
		t.Errorf("%v allocations an append of an idempotent producer", n)
	}
	buf := make([]byte, 0, 10_000)
	next := Offset(0)
	readOne := func() {
		res, err := l.Read(buf, next, ReadOptions{MaxBytes: 5_000, UpTo: l.End(), AtLeastOne: true})
		if err != nil || len(res.Bytes) == 0 {
			t.Fatalf("%d bytes, %v", len(res.Bytes), err)
		}
		next = res.Next
	}
	if n := testing.AllocsPerRun(100, readOne); n != 0 {
		t.Errorf("%v allocations a read", n)
	}
}

// A reader that took its place in a segment before the log was removed is told that, not that a file is missing.
func TestReadOfARemovedLogSaysSo(t *testing.T) {
	l := openLog(t, vfs.NewMem(), Config{}, OpenOptions{})
	l.append(makeBatch(batchOpts{}, values(0, 3)...))
	if err := l.Roll(l.now); err != nil {
		t.Fatal(err)
	}
	l.append(makeBatch(batchOpts{}, values(3, 3)...))
	l = l.reopenClean() // the first segment's file is not open now
	s := l.acquireFor(0)
	l.remove()
	res := ReadResult{}
	_, _, err := l.readSegment(s, &res, 0, 1000, 1, true)
	if _, err = l.readFailed(res, nil, 0, err); !errors.Is(err, ErrClosed) {
		t.Errorf("the read ends with %v", err)
	}
	if err := s.release(); err != nil {
		t.Error(err)
	}
}

// A stop with many partitions waits for what each of them writes. One that took no records writes nothing, and the next opening has as little to do as after the stop before.
func TestALogThatDidNotChangeWritesNothingAtItsClose(t *testing.T) {
	mem := vfs.NewMem()
	l := openLog(t, mem, Config{}, OpenOptions{})
	producer := func(id, sequence int) batchOpts {
		return batchOpts{producer: record.Producer{ID: ProducerID(id), BaseSequence: int32(sequence)}}
	}
	l.append(makeBatch(producer(1, 0), values(0, 2)...))
	l.append(makeBatch(producer(1, 2), values(2, 2)...))
	l = l.reopenClean()
	var changes atomic.Int64
	l.fs = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpRemove, errorfs.OpRename, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData:
			changes.Add(1)
		}
		return nil
	}))
	for range 3 {
		l = l.reopenClean()
		if err := l.AssignEpoch(3, l.End()); err != nil { // a leader that has written nothing yet
			t.Fatal(err)
		}
	}
	if n := changes.Load(); n > 0 {
		t.Errorf("a log without new records was changed %d times", n)
	}
	for _, change := range []struct {
		name string
		make func() error
	}{
		{"an append", func() error { l.append(makeBatch(producer(2, 0), values(4, 1)...)); return nil }},
		{"an epoch", func() error { return l.AssignEpoch(7, 2) }},
		{"a roll", func() error { return l.Roll(t0) }},
		{"an append after it", func() error { l.append(makeBatch(producer(3, 0), values(5, 3)...)); return nil }},
		{"a truncation", func() error { _, err := l.Truncate(3); return err }},
		{"a reset", func() error { return l.Reset(9) }},
	} {
		changes.Store(0)
		if err := change.make(); err != nil {
			t.Fatalf("%s: %v", change.name, err)
		}
		end, epoch, producers := l.End(), l.EpochAt(l.End()), l.ActiveProducers()
		l = l.reopenClean()
		if changes.Load() == 0 {
			t.Errorf("after %s nothing was written", change.name)
		}
		if r := l.Recovery(); r.RebuiltIndexes != 0 || r.ProducersReplay || r.ScannedBytes != 0 {
			t.Errorf("after %s the opening had to work: %+v", change.name, r)
		}
		if l.End() != end || l.EpochAt(end) != epoch || len(l.ActiveProducers()) != len(producers) {
			t.Errorf("after %s the log ends at %d in epoch %d with %d producers, want %d, %d, %d",
				change.name, l.End(), l.EpochAt(end), len(l.ActiveProducers()), end, epoch, len(producers))
		}
	}
}

// Each stop leaves a producer snapshot at the log's end. Those of earlier stops go, and those at the beginnings of segments stay: what an unclean stop has to read again begins there.
func TestSnapshotsOfEarlierStopsGo(t *testing.T) {
	mem := vfs.NewMem()
	l := openLog(t, mem, Config{}, OpenOptions{})
	write := func() {
		l.append(makeBatch(batchOpts{producer: record.Producer{ID: ProducerID(l.End() + 1)}}, values(0, 2)...))
	}
	for range 2 {
		write()
		if err := l.Roll(t0); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			write()
			l = l.reopenClean()
		}
	}
	l = l.reopenClean() // without a change in between
	have, err := l.snapshotOffsets()
	if err != nil {
		t.Fatal(err)
	}
	if want := []Offset{2, 10, 16}; !slices.Equal(have, want) {
		t.Errorf("there are snapshots at %d, want %d", have, want)
	}
	if n := len(l.ActiveProducers()); n != 8 {
		t.Errorf("%d producers are known, want 8", n)
	}
}
