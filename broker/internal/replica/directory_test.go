package replica

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

// failing is a file system that fails some calls while a cause is set.
type failing struct {
	cause atomic.Pointer[error]
	which func(op errorfs.Op) bool
}

func (f *failing) fail(err error) { f.cause.Store(&err) }
func (f *failing) pass()          { f.cause.Store(nil) }
func (f *failing) String() string { return "fails some calls" }

func (f *failing) MaybeError(op errorfs.Op) error {
	if err := f.cause.Load(); err != nil && f.which(op) {
		return *err
	}
	return nil
}

func isFlush(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
}

// flushesOfLogs leaves those of the mark alone.
func flushesOfLogs(op errorfs.Op) bool { return isFlush(op) && strings.HasSuffix(op.Path, ".log") }

func TestAFailedFlushTakesTheDirectoryOffline(t *testing.T) { // L10
	mem := vfs.NewMem()
	disk := &failing{which: flushesOfLogs}
	h := newHost(t, hostConfig{fs: errorfs.Wrap(mem, disk), flush: FlushAlways})
	told := 0
	h.cfg.Failed = func(error) { told++ }
	bad, good := h.create("bad", nil), h.create("good", nil)
	if err := good.Commit(t.Context(), h.append(good, "x")); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- h.await(good, 2) }()
	end := h.append(bad, "x")
	disk.fail(errorfs.ErrInjected)
	if err := bad.Commit(t.Context(), end); !errors.Is(err, ErrOffline) {
		t.Fatalf("a failed flush was answered with %v", err)
	}
	disk.pass()
	if err := <-waiting; !errors.Is(err, ErrOffline) {
		t.Errorf("who waits in another partition is told %v", err)
	}
	for _, p := range []*Partition{bad, good} {
		if err := p.Commit(t.Context(), 1); !errors.Is(err, ErrOffline) {
			t.Errorf("%s: the flush was tried again: %v", p.Topic, err)
		}
		if _, err := p.Append(batch("y"), commitlog.AppendOptions{}); !errors.Is(err, ErrOffline) {
			t.Errorf("%s: an append: %v", p.Topic, err)
		}
		if res, err := p.Read(nil, 0, ReadOptions{MaxBytes: 1000}); !errors.Is(err, ErrOffline) || len(res.Bytes) > 0 {
			t.Errorf("%s: a read returned %d bytes and %v", p.Topic, len(res.Bytes), err)
		}
	}
	if told != 1 || !errors.Is(h.Err(), ErrOffline) {
		t.Errorf("the failure was told %d times; %v", told, h.Err())
	}
	if err := h.Close(); !errors.Is(err, ErrOffline) {
		t.Errorf("the directory was closed with %v", err)
	}

	again := newHost(t, hostConfig{fs: mem, clean: true})
	bad, good = again.create("bad", nil), again.create("good", nil)
	for _, p := range []*Partition{bad, good} {
		if have, want := p.log.Recovery().ScannedBytes, p.log.Size(); have != want || want == 0 {
			t.Errorf("%s: after the restart %d bytes of %d were read", p.Topic, have, want)
		}
	}
	again.Update(nil, again.im)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	third := newHost(t, hostConfig{fs: mem, clean: true})
	if p := third.create("good", nil); p.log.Recovery().ScannedBytes != 0 {
		t.Error("the mark stayed: every byte was read once more")
	}
}

// await waits until a partition is committed up to end by somebody else's flush.
func (h *host) await(p *Partition, end int64) error {
	for {
		if err := p.check(); err != nil {
			return err
		}
		p.mu.Lock()
		if int64(p.state.HighWatermark()) >= end {
			p.mu.Unlock()
			return nil
		}
		if p.committed == nil {
			p.committed = make(chan struct{})
		}
		rose := p.committed
		p.mu.Unlock()
		<-rose
	}
}

// What is found of the directory's own after a failure stays suspect until all of it could be read.
func TestTheMarkStaysUntilEverythingWasRead(t *testing.T) {
	mem := vfs.NewMem()
	h := newHost(t, hostConfig{fs: mem})
	p := h.create("t", nil)
	h.append(p, "a")
	h.Fail(errorfs.ErrInjected)
	h.Abandon()
	disk := &failing{which: func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileReadAt }}
	disk.fail(syscall.EIO)
	for _, readable := range []bool{false, true} {
		if readable {
			disk.pass()
		}
		again := newHost(t, hostConfig{fs: errorfs.Wrap(mem, disk), clean: true})
		p := again.create("t", nil)
		if err := p.check(); (err == nil) != readable {
			t.Errorf("a disk that can be read (%t): %v", readable, err)
		}
		again.clearMark([]*Partition{p})
		if found, err := again.findMark(); err != nil || found == readable {
			t.Errorf("the mark is there: %t (%v), the disk can be read: %t", found, err, readable)
		}
		again.Abandon()
	}
}

func TestAPartitionThatLostItsFilesIsOfflineAlone(t *testing.T) {
	mem := vfs.NewMem()
	h := newHost(t, hostConfig{fs: mem, flush: FlushAlways})
	bad, good := h.create("bad", nil), h.create("good", nil)
	h.append(bad, "x")
	if err := mem.RemoveAll(mem.PathJoin("topics", bad.dir)); err != nil {
		t.Fatal(err)
	}
	if err := bad.Commit(t.Context(), 1); !errors.Is(err, ErrOffline) {
		t.Errorf("a partition without its directory was flushed: %v", err)
	}
	if err := good.Commit(t.Context(), h.append(good, "x")); err != nil || h.Err() != nil {
		t.Errorf("another partition: %v; the directory: %v", err, h.Err())
	}
}

// What the operating system refuses leaves no doubt: it is told to who asked, and passes.
func TestARefusalPasses(t *testing.T) { // L11
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EROFS, syscall.ENOSPC, syscall.EFBIG} {
		disk := &failing{which: func(op errorfs.Op) bool { return !isFlush(op) && op.Kind != errorfs.OpFileClose }}
		h := newHost(t, hostConfig{fs: errorfs.Wrap(vfs.NewMem(), disk), flush: FlushAlways})
		p := h.create("t", map[string]string{"segment.bytes": "1048576"})
		if err := p.Commit(t.Context(), h.append(p, "a")); err != nil {
			t.Fatal(err)
		}
		disk.fail(cause)
		if _, err := p.Append(batch("b"), commitlog.AppendOptions{}); err == nil || errors.Is(err, ErrOffline) {
			t.Errorf("%v: an append that cannot be written: %v", cause, err)
		}
		if err := p.log.Roll(h.cfg.Now()); err == nil || errors.Is(err, commitlog.ErrOffline) {
			t.Errorf("%v: a segment that cannot be begun: %v", cause, err)
		}
		if _, err := p.DeleteRecords(1); !errors.Is(err, ErrDisk) {
			t.Errorf("%v: a checkpoint that cannot be written: %v", cause, err)
		}
		disk.pass()
		if err := p.log.Roll(h.cfg.Now()); err != nil {
			t.Errorf("%v: a segment when it can be begun: %v", cause, err)
		}
		disk.fail(cause) // the new segment's directory has to be opened for the flush
		if err := p.Commit(context.Background(), 2); err == nil || errors.Is(err, ErrOffline) {
			t.Errorf("%v: a flush that cannot begin: %v", cause, err)
		}
		disk.pass()
		if err := p.Commit(t.Context(), h.append(p, "b")); err != nil {
			t.Errorf("%v: when it has passed: %v", cause, err)
		}
		if err := h.Close(); err != nil {
			t.Errorf("%v: closing: %v", cause, err)
		}
	}
}
