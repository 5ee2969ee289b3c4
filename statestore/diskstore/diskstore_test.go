package diskstore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/storetest"
)

// smallMemTable makes tests meet flushes and compactions.
const smallMemTable = 256 << 10

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) statestore.Engine {
		return mustOpen(t, "state", Options{FS: vfs.NewMem(), MemTableBytes: smallMemTable})
	})
}

func mustOpen(t testing.TB, dir string, o Options) *Engine {
	t.Helper()
	e, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// medium is a crashable file system.
type medium struct{ fs *vfs.MemFS }

func (m medium) Open(t testing.TB) statestore.Engine {
	return mustOpen(t, "state", Options{FS: m.fs, MemTableBytes: smallMemTable})
}

func (m medium) Crash(r *rand.Rand) storetest.Medium {
	return medium{m.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})}
}

func TestCrash(t *testing.T) {
	storetest.RunCrash(t, func() storetest.Medium { return medium{vfs.NewCrashableMem()} })
}

func TestDirectoryBelongsToOneEngine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	e := mustOpen(t, dir, Options{})
	_, err := Open(dir, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second engine: %v, want ErrLocked that names the directory", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, dir, Options{}).Close(); err != nil {
		t.Error(err)
	}
}

func TestFormatIsChecked(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"newer", "millrace-state 2\n", "version 2, the newest known is 1"},
		{"foreign", "something else\n", "not a state directory"},
		{"empty", "", "not a state directory"},
		{"no number", "millrace-state one\n", "not a state directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, formatFile), []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("opened with error %v, want %q and the directory", err, test.want)
			}
			if errors.Is(err, ErrNewerFormat) != (test.name == "newer") {
				t.Errorf("error %v is ErrNewerFormat: %v", err, errors.Is(err, ErrNewerFormat))
			}
			if files, _ := os.ReadDir(dir); len(files) > 2 { // the format file and the lock
				t.Errorf("the refused directory has %d files: something was written to it", len(files))
			}
		})
	}
}

func TestForeignDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := mustOpen(t, dir, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, formatFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "not a state directory") {
		t.Errorf("a database without a format file opens with %v", err)
	}
}

func TestCommitsAreFlushedByTime(t *testing.T) {
	fs := vfs.NewCrashableMem()
	now := time.Unix(1000, 0)
	e := mustOpen(t, "state", Options{FS: fs, FlushInterval: time.Minute, Now: func() time.Time { return now }})
	defer e.Close()
	p, err := e.Partition("s", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	commit := func(key string) {
		t.Helper()
		b := e.NewBatch()
		defer b.Close()
		if err := errors.Join(b.Set(p, []byte(key), nil), b.Commit()); err != nil {
			t.Fatal(err)
		}
	}
	commit("a")
	before := e.db.Metrics().Flush.Count
	now = now.Add(59 * time.Second)
	commit("b")
	if n := e.db.Metrics().Flush.Count; n != before {
		t.Errorf("%d flushes within the interval", n-before)
	}
	now = now.Add(time.Second)
	commit("c")
	if err := e.Flush(); err != nil { // waits for the one under way, which has everything already
		t.Fatal(err)
	}
	after := fs.CrashClone(vfs.CrashCloneCfg{})
	again := mustOpen(t, "state", Options{FS: after})
	defer again.Close()
	q, err := again.Partition("s", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, key := range []string{"a", "b", "c"} {
		if _, found, err := q.Get(nil, []byte(key)); !found || err != nil {
			t.Errorf("%q after the crash: %v, %v", key, found, err)
		}
	}
	if n := e.db.Metrics().Flush.Count; n <= before {
		t.Error("nothing was flushed after the interval")
	}
}

// faults is a file system whose writes to files of one suffix fail while on, or one call of a given number does.
type faults struct {
	suffix string
	on     atomic.Bool
	calls  atomic.Int64
	failAt int64
}

func (f *faults) inject(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.HasSuffix(op.Path, f.suffix) {
		return nil
	}
	if n := f.calls.Add(1); n == f.failAt || f.on.Load() {
		return errorfs.ErrInjected
	}
	return nil
}

func TestFullDiskIsReportedAndForgiven(t *testing.T) {
	full := &faults{suffix: ".sst"}
	var logs syncBuffer
	e := mustOpen(t, "state", Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(full.inject)), MemTableBytes: smallMemTable,
		Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	p, err := e.Partition("s", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	set := func(i int) error {
		return errors.Join(b.Set(p, fmt.Appendf(nil, "%d", i), make([]byte, 1000)), b.Commit())
	}
	if err := set(0); err != nil {
		t.Fatal(err)
	}
	full.on.Store(true)
	flushed, err := e.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	for e.failure.get() == nil { // Pebble tries the flush by and by
		runtime.Gosched()
	}
	if err := set(1); err == nil || !strings.Contains(err.Error(), "cannot be written to disk") {
		t.Errorf("a commit to a full disk: %v", err)
	}
	full.on.Store(false)
	<-flushed
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := set(2); err != nil {
		t.Errorf("a commit after the disk has room again: %v", err)
	}
	if err := errors.Join(b.Close(), p.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(logs.String(), "could not be flushed") {
		t.Errorf("the log does not tell: %s", logs.String())
	}
}

// A program that ends because its disk is full must be able to end.
func TestFullDiskDoesNotHoldUpTheEnd(t *testing.T) {
	full := &faults{suffix: ".sst"}
	e := mustOpen(t, "state", Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(full.inject)), MemTableBytes: smallMemTable})
	p, err := e.Partition("s", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	if err := errors.Join(b.Set(p, []byte("key"), make([]byte, 1000)), b.Commit()); err != nil {
		t.Fatal(err)
	}
	full.on.Store(true)
	ended := make(chan error, 1)
	go func() {
		first := e.Flush()
		if !errors.Is(first, errorfs.ErrInjected) {
			first = fmt.Errorf("a flush to a full disk: %v", first)
		} else {
			first = nil
		}
		last := errors.Join(b.Close(), p.Close(), e.Close())
		if !errors.Is(last, errorfs.ErrInjected) {
			last = fmt.Errorf("the end on a full disk: %v", last)
		} else {
			last = nil
		}
		ended <- errors.Join(first, last)
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("flush and close wait for a full disk")
	}
}

// A flush that fails once is tried again, and nobody hears of it.
func TestFlushOutlastsOneFailure(t *testing.T) {
	f := &faults{suffix: ".sst", failAt: 1}
	e := mustOpen(t, "state", Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(f.inject)), MemTableBytes: smallMemTable})
	p, err := e.Partition("s", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	if err := errors.Join(b.Set(p, []byte("key"), []byte("value")), b.Commit(), e.Flush()); err != nil {
		t.Error(err)
	}
	if f.calls.Load() < 2 {
		t.Errorf("%d writes of tables: none has failed", f.calls.Load())
	}
	if err := errors.Join(b.Close(), p.Close(), e.Close()); err != nil {
		t.Error(err)
	}
}

// syncBuffer is a buffer that background work may write to.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestOpenSurvivesAnErrorInEveryWrite(t *testing.T) {
	writes := &faults{}
	if err := mustOpen(t, "state", Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(writes.inject))}).Close(); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for n := range writes.calls.Load() {
		fs := vfs.NewCrashableMem()
		f := &faults{failAt: n + 1}
		e, err := Open("state", Options{FS: errorfs.Wrap(fs, errorfs.InjectorFunc(f.inject))})
		if err == nil { // not a write of Open, or one that it can do without
			f.failAt = 0
			if err := e.Close(); err != nil {
				t.Errorf("close after an error in write %d: %v", n, err)
			}
			continue
		}
		failed++
		if !strings.HasPrefix(err.Error(), "diskstore: ") {
			t.Errorf("an error in write %d reads %q", n, err)
		}
		// The process ends and starts again.
		after := fs.CrashClone(vfs.CrashCloneCfg{})
		if err := mustOpen(t, "state", Options{FS: after}).Close(); err != nil {
			t.Errorf("opened again after an error in write %d: %v", n, err)
		}
	}
	if failed < 5 {
		t.Errorf("only %d of %d writes make Open fail", failed, writes.calls.Load())
	}
}

func TestLimitOfAnEntry(t *testing.T) {
	e := mustOpen(t, "state", Options{FS: vfs.NewMem()})
	defer e.Close()
	b := e.NewBatch().(*batch)
	defer b.Close()
	p, err := e.Partition("s", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := b.own(p, maxEntryBytes+1); err == nil || !strings.Contains(err.Error(), "the limit is") {
		t.Errorf("an entry beyond the limit: %v", err)
	}
}

func TestReadsAfterCloseAreErrors(t *testing.T) {
	e := mustOpen(t, "state", Options{FS: vfs.NewMem()})
	p, err := e.Partition("s", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	if err := b.Set(p, []byte("a"), nil); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, getErr := p.Get(nil, []byte("a"))
	_, scanErr := p.Scan(nil, nil, false)
	_, checkpointErr := p.Checkpoint()
	for _, err := range []error{getErr, scanErr, checkpointErr, b.Commit(), e.Flush(), p.Wipe()} {
		if !errors.Is(err, errClosed) {
			t.Errorf("after Close: %v, want that the engine is closed", err)
		}
	}
}

func TestCloseWaitsForWalks(t *testing.T) {
	e := mustOpen(t, "state", Options{FS: vfs.NewMem()})
	p, err := e.Partition("s", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	if err := errors.Join(b.Set(p, []byte("a"), []byte("v")), b.Commit(), b.Close()); err != nil {
		t.Fatal(err)
	}
	it, err := p.Scan(nil, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- e.Close() }()
	for { // until Close has begun
		if _, _, err := p.Get(nil, nil); err != nil {
			break
		}
	}
	if !it.Next() || string(it.Value()) != "v" {
		t.Error("a walk that was open when Close began does not go on")
	}
	select {
	case <-closed:
		t.Error("Close did not wait for the walk")
	default:
	}
	if err := errors.Join(it.Close(), <-closed); err != nil {
		t.Error(err)
	}
}

func BenchmarkStores(b *testing.B) {
	storetest.Bench(b, func(b testing.TB) statestore.Engine { return mustOpen(b, b.TempDir(), Options{}) })
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		if err := mustOpen(b, dir, Options{}).Close(); err != nil {
			b.Fatal(err)
		}
	}
}
