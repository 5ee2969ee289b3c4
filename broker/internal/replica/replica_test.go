package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/settings"
	"github.com/millrace-io/millrace/internal/record"
)

// host is a manager with topics, as a broker would have it.
type host struct {
	*Manager
	t   *testing.T
	im  *controller.Image
	now atomic.Int64 // milliseconds
}

type hostConfig struct {
	fs    vfs.FS
	flush FlushMode
	clean bool
	set   map[string]string

	purged func(controller.TopicID) // nil: nobody listens
}

func newHost(t *testing.T, c hostConfig) *host {
	t.Helper()
	b, err := settings.NewBroker(c.set)
	if err != nil {
		t.Fatal(err)
	}
	if c.fs == nil {
		c.fs = vfs.NewMem()
	}
	if c.purged == nil {
		c.purged = func(controller.TopicID) {}
	}
	if c.flush == "" {
		c.flush = FlushOS
	}
	h := &host{t: t, im: controller.Empty()}
	h.now.Store(1_700_000_000_000)
	h.Manager, err = Open(Config{
		FS: c.fs, Dir: "topics", NodeID: 1, Flush: c.flush, Settings: func() *settings.Broker { return b }, Clean: c.clean,
		Now: func() time.Time { return time.UnixMilli(h.now.Load()) }, Log: slog.New(slog.DiscardHandler), Purged: c.purged,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.change(&controller.BrokerRegistered{ID: 1, Clean: true})
	return h
}

func (h *host) change(records ...controller.Record) {
	h.t.Helper()
	old := h.im
	now, err := controller.Apply(old, records...)
	if err != nil {
		h.t.Fatal(err)
	}
	h.im = now
	h.Update(old, now)
}

func topicID(name string) (id controller.TopicID) {
	copy(id[:], name)
	return id
}

func (h *host) create(name string, configs map[string]string) *Partition {
	h.t.Helper()
	one := []int32{1}
	h.change(&controller.TopicCreated{Name: name, ID: topicID(name), Configs: configs,
		Partitions: []controller.Partition{{Replicas: one, ISR: one, Leader: 1}}})
	p, err := h.Partition(name, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func batch(values ...string) []byte {
	var b record.Builder
	for _, v := range values {
		b.AppendRecord(1_700_000_000_000, []byte("k"), []byte(v), nil)
	}
	return b.Finish(record.NoProducer, 0, record.None)
}

func (h *host) append(p *Partition, values ...string) record.Offset {
	h.t.Helper()
	info, err := p.Append(batch(values...), commitlog.AppendOptions{Origin: commitlog.Client})
	if err != nil {
		h.t.Fatal(err)
	}
	return info.LastOffset + 1
}

// blockSyncs lets data syncs wait, when switched on, until a channel is closed.
type blockSyncs struct {
	on    atomic.Bool
	gate  chan struct{}
	syncs atomic.Int64
}

func (b *blockSyncs) MaybeError(op errorfs.Op) error {
	if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
		b.syncs.Add(1)
		if b.on.Load() {
			<-b.gate
		}
	}
	return nil
}

func (b *blockSyncs) String() string { return "blocks syncs" }

func TestReadersSeeOnlyWhatIsPersisted(t *testing.T) {
	syncs := &blockSyncs{gate: make(chan struct{})}
	h := newHost(t, hostConfig{fs: errorfs.Wrap(vfs.NewMem(), syncs), flush: FlushAlways})
	p := h.create("t", nil)
	end := h.append(p, "a", "b")
	syncs.on.Store(true)
	done := make(chan error, 1)
	go func() { done <- p.Commit(t.Context(), end) }()
	if o := p.Offsets(); o.HighWatermark != 0 || o.End != 2 {
		t.Fatalf("offsets %+v while the flush is under way", o)
	}
	if _, err := p.Read(nil, 1, ReadOptions{MaxBytes: 100}); !errors.Is(err, commitlog.ErrOffsetOutOfRange) {
		t.Fatalf("reading above the high watermark: %v", err)
	}
	close(syncs.gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	res, err := p.Read(nil, 0, ReadOptions{MaxBytes: 1000})
	if err != nil || len(res.Bytes) == 0 || res.Offsets.HighWatermark != 2 {
		t.Fatalf("after the flush: %d bytes, %+v, %v", len(res.Bytes), res.Offsets, err)
	}
}

// A flush takes the log's end, which an append moves before it tells the partition.
func TestAFlushThatOvertakesAnAppendHoldsNothingBack(t *testing.T) {
	for _, mode := range []FlushMode{FlushAlways, FlushOS} {
		t.Run(string(mode), func(t *testing.T) {
			p := newHost(t, hostConfig{flush: mode}).create("t", nil)
			info, err := p.log.Append(batch("a", "b"), commitlog.AppendOptions{Origin: commitlog.Client, Now: p.m.cfg.Now()})
			if err != nil {
				t.Fatal(err)
			}
			end := info.LastOffset + 1
			if err := p.flush(end); err != nil {
				t.Fatal(err)
			}
			reader := NewWaiter()
			defer reader.Close()
			reader.Watch(p)
			p.grown(info)
			select {
			case <-reader.C():
			default:
				t.Errorf("nobody was woken, with offsets %+v", p.Offsets())
			}
			impatient, cancel := context.WithCancel(t.Context())
			cancel()
			if err := p.Commit(impatient, end); err != nil {
				t.Fatalf("the append still waits, with offsets %+v: %v", p.Offsets(), err)
			}
		})
	}
}

func TestOneFlushServesAllThatWait(t *testing.T) {
	syncs := &blockSyncs{gate: make(chan struct{})}
	h := newHost(t, hostConfig{fs: errorfs.Wrap(vfs.NewMem(), syncs), flush: FlushAlways})
	p := h.create("t", nil)
	if err := p.Commit(t.Context(), h.append(p, "first")); err != nil { // creates the files
		t.Fatal(err)
	}
	before := syncs.syncs.Load()
	syncs.on.Store(true)
	const waiting = 50
	var wg sync.WaitGroup
	for range waiting {
		end := h.append(p, "x")
		wg.Go(func() {
			if err := p.Commit(context.Background(), end); err != nil {
				t.Error(err)
			}
		})
	}
	close(syncs.gate)
	wg.Wait()
	if n := syncs.syncs.Load() - before; n > 5 {
		t.Errorf("%d syncs for %d appends that waited together", n, waiting)
	}
}

func TestADiskThatFailsToReadIsSaidAndPasses(t *testing.T) {
	var fail atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fail.Load() && op.Kind == errorfs.OpFileReadAt {
			return syscall.EIO
		}
		return nil
	}))
	h := newHost(t, hostConfig{fs: fs})
	p := h.create("t", nil)
	h.append(p, "a", "b")
	fail.Store(true)
	if res, err := p.Read(nil, 0, ReadOptions{MaxBytes: 1000}); !errors.Is(err, ErrDisk) || len(res.Bytes) > 0 {
		t.Errorf("a failed read returned %d bytes and %v", len(res.Bytes), err)
	}
	if _, err := p.LookUp(1, false); !errors.Is(err, ErrDisk) {
		t.Errorf("a failed look-up returned %v", err)
	}
	fail.Store(false)
	if res, err := p.Read(nil, 0, ReadOptions{MaxBytes: 1000}); err != nil || len(res.Bytes) == 0 {
		t.Errorf("the read after it returned %d bytes and %v", len(res.Bytes), err)
	}
}

func TestACommitEndsWithItsContextOrItsPartition(t *testing.T) {
	h := newHost(t, hostConfig{})
	p := h.create("t", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Commit(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for what nobody appends: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Commit(context.Background(), 1) }()
	h.change(&controller.TopicDeleted{ID: p.TopicID})
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("the topic was deleted meanwhile: %v", err)
	}
	if _, err := h.Partition("t", 0); !errors.Is(err, ErrUnknownPartition) {
		t.Errorf("the deleted topic is still found: %v", err)
	}
}

func TestADeletedPartitionIsClosedAndNotOffline(t *testing.T) {
	h := newHost(t, hostConfig{flush: FlushAlways})
	p := h.create("t", nil)
	end := h.append(p, "a")
	h.change(&controller.TopicDeleted{ID: p.TopicID})
	r := <-h.removals
	h.discard(r)
	h.removeTopic(r)
	if err := p.Commit(t.Context(), end); !errors.Is(err, ErrClosed) || errors.Is(err, ErrOffline) {
		t.Errorf("who waits for the flush of a deleted partition is told %v", err)
	}
	if err := p.check(); err != nil {
		t.Errorf("the deleted partition is %v", err)
	}
}

func TestALogThatCannotBeCleanedHoldsUpNoOther(t *testing.T) {
	var fail atomic.Bool
	fs := vfs.NewMem()
	h := newHost(t, hostConfig{fs: errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fail.Load() && op.Kind == errorfs.OpFileReadAt && strings.Contains(op.Path, dirName(topicID("bad"), 0)) {
			return errorfs.ErrInjected
		}
		return nil
	}))})
	configs := map[string]string{"cleanup.policy": "compact", "internal.segment.bytes": "300", "min.cleanable.dirty.ratio": "0"}
	bad, good := h.create("bad", configs), h.create("good", configs)
	for range 10 {
		h.append(good, strings.Repeat("x", 90))
	}
	if !h.cleanOne() {
		t.Fatal("nothing is due")
	}
	for range 10 { // all of the bad log is dirty, a part of the good one
		h.append(bad, strings.Repeat("x", 90))
		h.append(good, strings.Repeat("x", 90))
	}
	fail.Store(true)
	before := good.Size()
	for range 4 {
		h.cleanOne()
	}
	if after := good.Size(); after >= before {
		t.Errorf("the good log has %d bytes, as before", after)
	}
	fail.Store(false)
	h.now.Add(uncleanablePause.Milliseconds())
	before = bad.Size()
	h.cleanOne()
	if after := bad.Size(); after >= before {
		t.Errorf("the log that could not be cleaned was not tried again: %d bytes, as before", after)
	}
}

func TestAWaiterIsWokenByEveryKindOfNews(t *testing.T) {
	h := newHost(t, hostConfig{})
	p := h.create("t", nil)
	for _, news := range []struct {
		name string
		make func()
	}{
		{"append", func() { h.append(p, "a") }},
		{"delete records", func() { p.DeleteRecords(-1) }}, // of the record appended before: none deleted is no news
	} {
		w := NewWaiter()
		w.Watch(p)
		news.make()
		select {
		case <-w.C():
		default:
			t.Errorf("%s woke nobody", news.name)
		}
		w.Close()
		h.append(p, "b")
		select {
		case <-w.C():
			t.Error("a closed waiter was woken")
		default:
		}
	}
}

func TestRestartKeepsLogStartsAndRecords(t *testing.T) {
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("clean=%t", clean), func(t *testing.T) {
			fs := vfs.NewMem()
			h := newHost(t, hostConfig{fs: fs})
			p := h.create("t", nil)
			h.append(p, "a", "b", "c")
			if start, err := p.DeleteRecords(2); err != nil || start != 2 {
				t.Fatalf("the log starts at %d, %v", start, err)
			}
			if clean {
				if err := h.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				h.Abandon()
			}
			again := newHost(t, hostConfig{fs: fs, clean: clean})
			q := again.create("t", nil)
			if o := q.Offsets(); o.LogStart != 2 || o.HighWatermark != 3 || o.End != 3 {
				t.Errorf("offsets %+v after the restart, want 2, 3 and 3", o)
			}
		})
	}
}

func TestADamagedCheckpointIsNoticed(t *testing.T) {
	fs := vfs.NewMem()
	h := newHost(t, hostConfig{fs: fs})
	p := h.create("t", nil)
	h.append(p, "a", "b")
	if _, err := p.DeleteRecords(1); err != nil {
		t.Fatal(err)
	}
	path := fs.PathJoin("topics", checkpointFile)
	if got, err := readCheckpoint(fs, path); err != nil || got[p.dir].LogStart != 1 {
		t.Fatalf("read back %v, %v", got, err)
	}
	f, err := fs.Create(path, writeCategory)
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte(checkpointHeader + p.dir + " 7 7 7\ncrc 00000000\n"))
	f.Close()
	if _, err := readCheckpoint(fs, path); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a wrong checksum: %v", err)
	}
}

func TestRetentionByTimeAndByTheClock(t *testing.T) {
	h := newHost(t, hostConfig{})
	p := h.create("t", map[string]string{"retention.ms": "1000", "internal.segment.bytes": "300", "file.delete.delay.ms": "0"})
	for range 10 {
		h.append(p, strings.Repeat("x", 90))
	}
	h.retain()
	if o := p.Offsets(); o.LogStart != 0 {
		t.Fatalf("records of this second are gone: log start %d", o.LogStart)
	}
	h.now.Add(2000)
	h.retain()
	if o := p.Offsets(); o.LogStart == 0 {
		t.Fatal("records older than retention.ms are still there")
	}
}

func TestConfigsReachTheLog(t *testing.T) {
	h := newHost(t, hostConfig{})
	p := h.create("t", map[string]string{"max.message.bytes": "100"})
	big := batch(strings.Repeat("x", 200))
	if _, err := p.Append(big, commitlog.AppendOptions{Origin: commitlog.Client}); !errors.Is(err, commitlog.ErrBatchTooLarge) {
		t.Fatalf("a batch above max.message.bytes: %v", err)
	}
	h.change(&controller.ConfigsSet{Resource: controller.Resource{Type: controller.ResourceTopic, Name: "t"}, Configs: map[string]string{}})
	if _, err := p.Append(big, commitlog.AppendOptions{Origin: commitlog.Client}); err != nil {
		t.Fatalf("after the limit was lifted: %v", err)
	}
}

func TestLookUpsFindPlacesAndTimes(t *testing.T) {
	h := newHost(t, hostConfig{})
	p := h.create("t", nil)
	h.append(p, "a", "b")
	for ts, want := range map[int64]record.Offset{
		LookUpLatest: 2, LookUpEarliest: 0, LookUpEarliestLocal: 0, LookUpLatestTiered: -1, LookUpEarliestPending: -1,
		0: 0, 1_700_000_000_000: 0, 1_700_000_000_001: -1,
	} {
		if got, err := p.LookUp(ts, false); err != nil || got.Offset != want {
			t.Errorf("timestamp %d finds offset %d (%v), want %d", ts, got.Offset, err, want)
		}
	}
}

func TestASizeIsSettledWhenNoAppendIsUnderWay(t *testing.T) {
	var hold atomic.Bool
	entered, gate := make(chan struct{}), make(chan struct{})
	h := newHost(t, hostConfig{fs: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && hold.CompareAndSwap(true, false) {
			close(entered)
			<-gate
		}
		return nil
	}))})
	p := h.create("t", nil)
	h.append(p, "a")
	size, settled := p.Measure()
	if size != p.Size() || !settled {
		t.Errorf("between two appends %d bytes of %d, settled: %t", size, p.Size(), settled)
	}
	hold.Store(true)
	done := make(chan error, 1)
	go func() {
		_, err := p.Append(batch("b"), commitlog.AppendOptions{})
		done <- err
	}()
	<-entered
	if _, settled := p.Measure(); settled {
		t.Error("in the middle of an append the size counts as settled")
	}
	close(gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if now, settled := p.Measure(); now <= size || !settled {
		t.Errorf("after the append %d bytes, settled: %t", now, settled)
	}
}
