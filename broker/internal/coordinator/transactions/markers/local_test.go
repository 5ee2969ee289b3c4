package markers

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/coordinator/transactions"
	"github.com/millrace-io/millrace/broker/internal/replica"
	"github.com/millrace-io/millrace/broker/internal/settings"
	"github.com/millrace-io/millrace/broker/internal/txn"
	"github.com/millrace-io/millrace/internal/record"
)

// offsetsMarker is the group coordinator, as a function.
type offsetsMarker func(ctx context.Context) error

func (f offsetsMarker) WriteMarker(ctx context.Context, _ int32, _ entry.Marker) error { return f(ctx) }

// disks opens partition 0 of t and of __consumer_offsets, with flush=always on fsys.
func disks(t *testing.T, fsys vfs.FS, offsets offsetsMarker) *Local {
	t.Helper()
	set, err := settings.NewBroker(nil)
	if err != nil {
		t.Fatal(err)
	}
	logs, err := replica.Open(replica.Config{
		FS: fsys, Dir: "topics", NodeID: 1, Flush: replica.FlushAlways, Settings: func() *settings.Broker { return set }, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Purged: func(controller.TopicID) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = logs.Close() })
	records := []controller.Record{&controller.BrokerRegistered{ID: 1, Clean: true}}
	for i, name := range []string{"t", controller.OffsetsTopic} {
		records = append(records, &controller.TopicCreated{Name: name, ID: controller.TopicID{byte(i + 1)},
			Partitions: []controller.Partition{{Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}}})
	}
	im, err := controller.Apply(controller.Empty(), records...)
	if err != nil {
		t.Fatal(err)
	}
	logs.Update(nil, im)
	return &Local{Image: func() *controller.Image { return im }, Partition: logs.Partition, Offsets: offsets}
}

// With flush=always a transaction that commits offsets pays for one flush, not for two one after another: the marker of the offsets may wait for the other's flush.
func TestMarkersAreFlushedSideBySide(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	flushing := make(chan struct{})
	var once sync.Once
	watch := false
	fsys := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if watch && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".log") {
			once.Do(func() { close(flushing) })
		}
		return nil
	}))
	l := disks(t, fsys, func(ctx context.Context) error {
		select {
		case <-flushing:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	p, err := l.Partition("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	var b record.Builder
	b.AppendRecord(time.Now().UnixMilli(), nil, []byte("v"), nil)
	batch := b.Finish(record.Producer{ID: 7, Epoch: 1, BaseSequence: 0}, record.Transactional, record.None)
	info, err := p.Append(batch, commitlog.AppendOptions{Origin: commitlog.Coordinator})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(ctx, info.LastOffset+1); err != nil {
		t.Fatal(err)
	}
	watch = true
	m := transactions.Marker{Marker: entry.Marker{Producer: entry.Producer{ID: 7, Epoch: 1}, Commit: true}}
	parts := []txn.TopicPartition{{Topic: "t"}, {Topic: controller.OffsetsTopic}, {Topic: "deleted"}}
	errs := l.WriteMarkers(ctx, m, parts)
	if errs[0] != nil || errs[1] != nil || errs[2] != transactions.ErrGone {
		t.Fatalf("errors %v", errs)
	}
	if at := p.Offsets(); at.LastStable != info.LastOffset+2 {
		t.Fatalf("the last stable offset is %d, want %d", at.LastStable, info.LastOffset+2)
	}
}
