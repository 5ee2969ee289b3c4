package commitlog

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// forgetful is a file system whose flush fails once and calls what it could not write clean: reads see it, later flushes pass over it, a power loss takes it.
type forgetful struct {
	vfs.FS
	mu    *sync.Mutex
	fail  *bool
	clean map[string]bool // files whose unwritten bytes count as written
}

func newForgetful(fs vfs.FS) forgetful {
	return forgetful{fs, new(sync.Mutex), new(bool), map[string]bool{}}
}

func (d forgetful) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return &forgetfulFile{f, d, name}, err
}

func (d forgetful) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	if err != nil {
		return nil, err
	}
	return &forgetfulFile{f, d, name}, nil
}

type forgetfulFile struct {
	vfs.File
	d    forgetful
	name string
}

func (f *forgetfulFile) dirty() {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	delete(f.d.clean, f.name)
}

func (f *forgetfulFile) Write(p []byte) (int, error) {
	f.dirty()
	return f.File.Write(p)
}

func (f *forgetfulFile) WriteAt(p []byte, off int64) (int, error) {
	f.dirty()
	return f.File.WriteAt(p, off)
}

func (f *forgetfulFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *forgetfulFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *forgetfulFile) sync(through func() error) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if *f.d.fail {
		*f.d.fail = false
		f.d.clean[f.name] = true
		return errorfs.ErrInjected
	}
	if f.d.clean[f.name] {
		return nil
	}
	return through()
}

// TestWhatAFailedFlushLeftIsWrittenAgain: after the failure the bytes read back well and flush well, and are on no disk. A log that is opened on them and promises them
// must have written them (L1, L10).
func TestWhatAFailedFlushLeftIsWrittenAgain(t *testing.T) {
	mem := vfs.NewCrashableMem()
	if err := mem.MkdirAll("data", 0o755); err != nil {
		t.Fatal(err)
	}
	syncAll(t, mem, "", "data")
	fsys := newForgetful(mem)
	cfg := Config{SegmentBytes: 500}
	l := openLog(t, fsys, cfg, OpenOptions{})
	l.fill(10, 2)
	if err := l.Flush(10); err != nil {
		t.Fatal(err)
	}
	cp := l.Checkpoint()
	l.fill(12, 2) // in a segment that has flushed bytes already
	*fsys.fail = true
	if err := l.Flush(12); !errors.Is(err, ErrOffline) {
		t.Fatalf("flush: %v", err)
	}
	r := openLog(t, fsys, cfg, OpenOptions{Checkpoint: cp, Clean: true})
	if r.End() != 12 || r.Recovery().ScannedBytes != r.Size() {
		t.Fatalf("end %d, %d bytes of %d were read", r.End(), r.Recovery().ScannedBytes, r.Size())
	}
	if err := r.Flush(12); err != nil {
		t.Fatal(err)
	}
	want := r.readAll(1 << 20)
	left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0, RNG: rand.New(rand.NewPCG(1, 1))})
	again := openLog(t, left, cfg, OpenOptions{Checkpoint: r.Checkpoint()})
	if got := again.readAll(1 << 20); !bytes.Equal(got, want) {
		t.Fatalf("a power loss later the log ends at %d of %d", again.End(), r.End())
	}
	if again.Recovery().ScannedBytes == again.Size() {
		t.Error("the mark stayed: every byte was read once more")
	}
}

// TestAnOfflineLogIsReadInFullWhateverItsOwnerSays covers logs without a segment, with a reset, and a damage that only a full read finds (L5, L10).
func TestAnOfflineLogIsReadInFullWhateverItsOwnerSays(t *testing.T) {
	mem := vfs.NewMem()
	cfg := Config{SegmentBytes: 300}
	l := openLog(t, mem, cfg, OpenOptions{})
	l.fill(20, 2)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.suspect()
	name := fileName(0, suffixLog)
	whole := fileBytes(t, mem, name)
	spoilt := bytes.Clone(whole)
	spoilt[len(spoilt)-1] ^= 1
	setFile(t, mem, name, spoilt)
	if _, err := tryOpen(mem, cfg, OpenOptions{Checkpoint: l.Checkpoint(), Clean: true}); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a flipped bit below the recovery point: %v", err)
	}
	if _, err := mem.Stat(mem.PathJoin(testDir, suspectFile)); err != nil {
		t.Fatalf("the mark went although the log did not open: %v", err)
	}
	setFile(t, mem, name, whole)
	if r := openLog(t, mem, cfg, OpenOptions{Checkpoint: l.Checkpoint(), Clean: true}); r.End() != 20 {
		t.Fatalf("end %d", r.End())
	}
	if _, err := mem.Stat(mem.PathJoin(testDir, suspectFile)); !isNotExist(err) {
		t.Fatalf("the mark of a log that was made sure of: %v", err)
	}
	l.suspect()
	if r := openLog(t, mem, cfg, OpenOptions{Checkpoint: Checkpoint{LogStart: 50}}); r.LogStart() != 50 || r.End() != 50 {
		t.Fatalf("[%d, %d) after a reset", r.LogStart(), r.End())
	}
}
