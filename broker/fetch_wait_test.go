package broker_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// A fetch that waits for a megabyte is woken by each of a thousand small batches. What it has seen it must not read again each time.
func TestAWaitingFetchReadsNothingTwice(t *testing.T) {
	ctx := testContext(t)
	var reads atomic.Int64
	b := brokertest.Start(t, broker.Config{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileReadAt && strings.HasSuffix(op.Path, ".log") {
			reads.Add(1)
		}
		return nil
	}))})
	createTopic(t, b, "t", 1, nil)
	cl := b.Client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	produceAll(ctx, t, cl, "t", strings.Repeat("a", 10_000))
	fetch := fetchAll("t")
	fetch.MaxWaitMillis, fetch.MinBytes = 60_000, 1<<20
	c := b.Dial(t)
	c.Send(fetch)
	const waiting = `kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation="Fetch"}`
	for samples, _ := scrape(t, b); samples[waiting] == 0; samples, _ = scrape(t, b) {
		if ctx.Err() != nil {
			t.Fatal("the fetch does not wait")
		}
	}
	before, size := reads.Load(), 10_000
	for i := range 50 {
		value := fmt.Sprintf("%d %s", i, strings.Repeat("b", 10_000))
		produceAll(ctx, t, cl, "t", value)
		size += len(value)
	}
	if n := reads.Load() - before; n > 20 {
		t.Errorf("50 small batches made the waiting fetch read %d times", n)
	}
	produceAll(ctx, t, cl, "t", strings.Repeat("c", 600_000), strings.Repeat("d", 600_000))
	got := c.Receive(fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if len(got.RecordBatches) < size+600_000 {
		t.Errorf("the fetch brought %d bytes when there was more than a megabyte", len(got.RecordBatches))
	}
}

// A fetch that looks while a record is in the log and not committed yet is woken when it is: what it saw of the log's size then is not what it was given.
func TestAFetchThatMeetsAFlushIsWoken(t *testing.T) {
	var held atomic.Bool
	entered, gate := make(chan struct{}), make(chan struct{})
	b := brokertest.Start(t, broker.Config{Flush: broker.FlushAlways, FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && held.CompareAndSwap(true, false) {
			close(entered)
			<-gate
		}
		return nil
	}))})
	createTopic(t, b, "t", 1, nil)
	writer, reader := b.Dial(t), b.Dial(t)
	produce := produceRequest("t", 1, readyBatch(1, 10))
	writer.Ask(produce)
	held.Store(true)
	writer.Send(produce)
	<-entered // it is in the log
	fetch := fetchAll("t")
	fetch.MaxWaitMillis, fetch.MinBytes = 300_000, 1
	fetch.Topics[0].Partitions[0].FetchOffset = 1
	reader.Send(fetch)
	const waiting = `kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation="Fetch"}`
	ctx := testContext(t)
	for samples, _ := scrape(t, b); samples[waiting] == 0; samples, _ = scrape(t, b) {
		if ctx.Err() != nil {
			t.Fatal("the fetch does not wait")
		}
	}
	close(gate)
	writer.Receive(produce)
	reader.SetReadDeadline(time.Now().Add(time.Minute)) // a fifth of what the fetch would wait
	if got := reader.Receive(fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0]; len(got.RecordBatches) == 0 {
		t.Error("the fetch brought nothing")
	}
}
