package broker_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// A disk that is almost full takes no more records, and everything that needs little room goes on: what makes room needs it too.
func TestAnAlmostFullDiskTakesAllButRecords(t *testing.T) { // L11
	ctx := testContext(t)
	var log lines
	mem := vfs.NewMem()
	b := brokertest.Start(t, broker.Config{FS: mem, Logger: log.logger()})
	createTopic(t, b, "t", 1, nil)
	cl := b.Client(t, kgo.TransactionalID("tx"))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produceAll(ctx, t, cl, "t", numerals(0, 5)...)
	b.Stop() // so that one server alone sees the disk so
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 20, TotalBytes: 1 << 40, UsedBytes: 1})
	b.Resume()
	if err := b.Client(t, kgo.RecordRetries(0), kgo.DisableIdempotentWrite()).ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("a record is answered with %v, want a storage error", err)
	}
	if status, body := page(t, b, "/healthz"); status != http.StatusOK || !strings.Contains(body, "almost full") {
		t.Errorf("/healthz answers %d, %q", status, body)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Errorf("a transaction ends with %v", err)
	}
	if got := readAll(ctx, t, b, "t", 5); strings.Join(got, " ") != strings.Join(numerals(0, 5), " ") {
		t.Errorf("the topic holds %q", got)
	}
	adm := kadm.NewClient(b.Client(t))
	var offsets kadm.Offsets
	offsets.AddOffset("t", 0, 5, -1)
	if err := adm.CommitAllOffsets(ctx, "g", offsets); err != nil {
		t.Errorf("offsets are committed with %v", err)
	}
	if _, err := adm.DeleteTopic(ctx, "t"); err != nil {
		t.Errorf("a topic is deleted with %v", err)
	}
	createTopic(t, b, "u", 1, nil)
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 40, UsedBytes: 1})
	produceAll(ctx, t, b.Client(t), "u", "x")
	if status, body := page(t, b, "/healthz"); status != http.StatusOK || strings.Contains(body, "almost full") {
		t.Errorf("with room again /healthz answers %d, %q", status, body)
	}
	if text := log.String(); strings.Count(text, "producers are refused") != 1 || strings.Count(text, "producers are served") != 1 {
		t.Errorf("the log does not say both once:\n%s", text)
	}
}
