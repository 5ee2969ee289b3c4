package broker_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// isFlushOf tells whether a call flushes a file with a suffix.
func isFlushOf(op errorfs.Op, suffix string) bool {
	return (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, suffix)
}

// After a failed flush, of a partition or of the metadata, nothing of the directory is trusted until a restart has read it: every request that needs it is told so in a way
// that makes clients try again, whoever watches the server is told, and the restart brings everything back (L10).
func TestAFailedFlushTakesTheServerOffline(t *testing.T) {
	for _, of := range []string{"/topics/", "/metadata/"} {
		t.Run(strings.Trim(of, "/"), func(t *testing.T) {
			ctx := testContext(t)
			var fail atomic.Bool
			var log lines
			mem := vfs.NewMem()
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if fail.Load() && isFlushOf(op, ".log") && strings.Contains(op.Path, of) {
					fail.Store(false)
					return errorfs.ErrInjected
				}
				return nil
			}))
			b := brokertest.Start(t, broker.Config{FS: fs, Flush: broker.FlushAlways, Logger: log.logger()})
			createTopic(t, b, "t", 1, nil)
			createTopic(t, b, "u", 1, nil)
			produceAll(ctx, t, b.Client(t), "t", numerals(0, 5)...)
			produceAll(ctx, t, b.Client(t), "u", numerals(0, 5)...)
			c := b.Dial(t)
			fail.Store(true)
			produce := func(topic string) int16 {
				return c.Ask(produceRequest(topic, 1, readyBatch(1, 10))).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
			}
			create := kmsg.NewPtrCreateTopicsRequest()
			create.Version = 7
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "new", 1, 1
			create.Topics = append(create.Topics, topic)
			made := func() int16 { return c.Ask(create).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode }
			if of == "/topics/" {
				produce("t")
			} else {
				made()
			}
			if fail.Load() {
				t.Fatal("nothing was flushed")
			}
			storage := kerr.KafkaStorageError.Code
			for name, code := range map[string]int16{
				"a produce":          produce("t"),
				"another's produce":  produce("u"),
				"a topic to be made": made(),
				"a fetch":            c.Ask(fetchAll("u")).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode,
				"the directory":      describeDirs(c).ErrorCode,
			} {
				if code != storage {
					t.Errorf("%s is answered with %v", name, kerr.ErrorForCode(code))
				}
			}
			if status, body := page(t, b, "/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "directory is offline") || !strings.Contains(body, "injected") {
				t.Errorf("/healthz answers %d, %q", status, body)
			}
			if samples, _ := scrape(t, b); samples["kafka_log_logmanager_offlinelogdirectorycount"] != 1 {
				t.Error("the metrics do not tell")
			}
			if text := log.String(); strings.Count(text, "the data directory is offline") != 1 {
				t.Errorf("the log does not say it once:\n%s", text)
			}
			b.Kill()
			if text := log.String(); !strings.Contains(text, "every byte of it is read now") {
				t.Errorf("the restart does not say what it does:\n%s", text)
			}
			for _, topic := range []string{"t", "u"} {
				if got := readAll(ctx, t, b, topic, 5); len(got) < 5 || strings.Join(got[:5], " ") != strings.Join(numerals(0, 5), " ") {
					t.Errorf("after the restart %s holds %q", topic, got)
				}
			}
			if _, err := kadm.NewClient(b.Client(t)).CreateTopic(ctx, 1, 1, nil, "newer"); err != nil {
				t.Errorf("after the restart a topic is made with %v", err)
			}
			if status, body := page(t, b, "/healthz"); status != http.StatusOK {
				t.Errorf("after the restart /healthz answers %d, %q", status, body)
			}
		})
	}
}

// describeDirs asks for the data directory.
func describeDirs(c *brokertest.Conn) kmsg.DescribeLogDirsResponseDir {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Version = 4
	return c.Ask(req).(*kmsg.DescribeLogDirsResponse).Dirs[0]
}

// What is written to a directory that somebody moved away would be found by no restart: the server notices by itself, and who waits is told.
func TestAMovedDirectoryTakesTheServerOffline(t *testing.T) {
	ctx := testContext(t)
	var log lines
	dir := filepath.Join(t.TempDir(), "data")
	b := brokertest.Start(t, broker.Config{Dir: dir, Logger: log.logger()})
	createTopic(t, b, "t", 1, nil)
	produceAll(ctx, t, b.Client(t), "t", numerals(0, 5)...)
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	c := b.Dial(t)
	fetch := fetchAll("t")
	fetch.Topics[0].Partitions[0].FetchOffset, fetch.MinBytes, fetch.MaxWaitMillis = 5, 1, int32(time.Minute.Milliseconds())
	storage := kerr.KafkaStorageError.Code
	if code := c.Ask(fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode; code != storage {
		t.Errorf("who waits for records is answered with %v", kerr.ErrorForCode(code))
	}
	if code := c.Ask(produceRequest("t", 1, readyBatch(1, 10))).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != storage {
		t.Errorf("a produce is answered with %v", kerr.ErrorForCode(code))
	}
	if _, err := kadm.NewClient(b.Client(t)).CreateTopic(ctx, 1, 1, nil, "u"); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("a topic is made with %v", err)
	}
	if status, body := page(t, b, "/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(body, dir+" was removed or moved") {
		t.Errorf("/healthz answers %d, %q", status, body)
	}
	if text := log.String(); strings.Count(text, "the data directory is offline") != 1 {
		t.Errorf("the log does not say it once:\n%s", text)
	}
	b.Server.Kill()
	b.Ended()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written where the directory was: %v", err)
	}
	if err := os.Rename(dir+"2", dir); err != nil {
		t.Fatal(err)
	}
	b.Resume()
	if got := readAll(ctx, t, b, "t", 5); strings.Join(got, " ") != strings.Join(numerals(0, 5), " ") {
		t.Errorf("when it is back the topic holds %q", got)
	}
}
