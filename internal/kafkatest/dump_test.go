package kafkatest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/proctest"
)

// dump runs Kafka's DumpLogSegments over files.
func dump(t *testing.T, files []string, args ...string) string {
	t.Helper()
	if len(files) == 0 {
		t.Fatal("there is no file to dump")
	}
	command := append([]string{"org.apache.kafka.tools.DumpLogSegments", "--files", strings.Join(files, ",")}, args...)
	code, stdout, stderr := tools.run(t, command...)
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s%s", command, code, stdout, stderr)
	}
	return stdout
}

// files lists a directory's files with a suffix.
func files(t *testing.T, dir, suffix string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// ledger is what was written to a partition in transactions of ten records of a kilobyte each, every third one aborted.
type ledger struct {
	committed []string
	records   int // with the aborted ones
	aborts    int
}

// writeLedger writes n transactions to partition 0 of a topic, with one codec after the other.
func writeLedger(t *testing.T, address, topic string, n int) (l ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proctest.Deadline)
	defer cancel()
	random := rand.NewChaCha8([32]byte{})
	var noise [400]byte // no codec packs its digits to less than half; every codec packs what follows them
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for c, codec := range codecs {
		cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.TransactionalID(fmt.Sprintf("%s-%d", topic, c)), kgo.DefaultProduceTopic(topic),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec))
		if err != nil {
			t.Fatal(err)
		}
		for i := c; i < n; i += len(codecs) {
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			abort := i%3 == 2
			for j := range 10 {
				random.Read(noise[:])
				value := fmt.Sprintf("%d.%d %x%s", i, j, noise, strings.Repeat(" and so on", 20))
				cl.Produce(ctx, &kgo.Record{Key: fmt.Appendf(nil, "k%d", i), Value: []byte(value)}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Errorf("write %d.%d to %s: %v", i, j, topic, err)
					}
				})
				l.records++
				if !abort {
					l.committed = append(l.committed, value)
				}
			}
			if err := cl.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			// kgo may write to a topic that it has just met before it can see it in the transaction, and would not commit; this waits until it can.
			if err := cl.AbortBufferedRecords(ctx); err != nil {
				t.Fatal(err)
			}
			if abort {
				l.aborts++
			}
			if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(!abort)); err != nil {
				t.Fatal(err)
			}
		}
		cl.Close()
	}
	return l
}

func TestDumpLogSegmentsReadsOurFiles(t *testing.T) {
	needs(t, "java", "mvn", "kcat")
	dir := t.TempDir()
	server, address := proctest.Broker(t, dir, "")
	tool(t, address, topicCommand, "--create", "--topic", "ledger", "--config", "segment.bytes=1048576")
	const transactions = 500
	wrote := writeLedger(t, address, "ledger", transactions)
	member(t, address, "readers", "ledger", len(wrote.committed))()
	committed, _, _ := strings.Cut(lagOf(t, address, "readers", "ledger", "0"), " ")
	log := topicDirs(t, address, dir, "ledger")[0]
	offsets, states := topicDirs(t, address, dir, "__consumer_offsets"), topicDirs(t, address, dir, "__transaction_state")
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)

	segments := files(t, log, ".log")
	if len(segments) < 2 {
		t.Fatalf("%d segments, want some", len(segments))
	}
	t.Run("segments", func(t *testing.T) {
		batches := dump(t, segments)
		if n := strings.Count(batches, "isvalid: true"); n == 0 || n != strings.Count(batches, "baseOffset: ") {
			t.Errorf("%d of %d batches are valid", n, strings.Count(batches, "baseOffset: "))
		}
		records := dump(t, segments, "--deep-iteration", "--print-data-log")
		if n := strings.Count(records, " payload: "); n != wrote.records {
			t.Errorf("%d records with a value, want %d", n, wrote.records)
		}
		if n := strings.Count(records, "endTxnMarker: ABORT"); n != wrote.aborts {
			t.Errorf("%d abort markers, want %d", n, wrote.aborts)
		}
		if n := strings.Count(records, "endTxnMarker: COMMIT"); n != transactions-wrote.aborts {
			t.Errorf("%d commit markers, want %d", n, transactions-wrote.aborts)
		}
		holds(t, records, "compresscodec: none", "compresscodec: gzip", "compresscodec: snappy", "compresscodec: lz4", "compresscodec: zstd")
		for i, m := range regexp.MustCompile(`(?m)^\| offset: (\d+) `).FindAllStringSubmatch(records, -1) {
			if m[1] != fmt.Sprint(i) {
				t.Fatalf("record %d has offset %s", i, m[1])
			}
		}
	})
	t.Run("indexes", func(t *testing.T) {
		indexes := files(t, log, ".index")
		sane := dump(t, indexes, "--index-sanity-check")
		if n := strings.Count(sane, "passed sanity check"); n != len(indexes) {
			t.Errorf("%d of %d indexes pass:\n%s", n, len(indexes), sane)
		}
		lacks(t, dump(t, indexes, "--verify-index-only"), "Mismatches")
		holds(t, dump(t, indexes[:1]), "offset: ", "position: ")
		times := dump(t, files(t, log, ".timeindex"))
		holds(t, times, "timestamp: ")
		lacks(t, times, "mismatch", "out of order")
		if n := strings.Count(dump(t, files(t, log, ".txnindex")), "firstOffset: "); n != wrote.aborts {
			t.Errorf("%d aborted transactions in the indexes, want %d", n, wrote.aborts)
		}
	})
	t.Run("producers", func(t *testing.T) {
		snapshots := files(t, log, ".snapshot")
		slices.Sort(snapshots)
		last := dump(t, snapshots[len(snapshots)-1:])
		if n := strings.Count(last, "producerId: "); n != 5 {
			t.Errorf("%d producers, want 5:\n%s", n, last)
		}
		lacks(t, last, "currentTxnFirstOffset: OptionalLong[")
	})
	t.Run("leader epochs", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join(log, "leader-epoch-checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		if want := "0\n1\n0 0\n"; string(text) != want {
			t.Errorf("the checkpoint is %q, want %q", text, want)
		}
	})
	t.Run("consumer offsets", func(t *testing.T) {
		var logs []string
		for _, d := range offsets {
			logs = append(logs, files(t, d, ".log")...)
		}
		text := dump(t, logs, "--offsets-decoder")
		holds(t, text, `"group":"readers","topic":"ledger","partition":0}`, `"offset":`+committed+",", `"protocolType":"consumer"`, `"clientId":"reader"`)
		lacks(t, text, "isvalid: false")
	})
	t.Run("transaction states", func(t *testing.T) {
		var logs []string
		for _, d := range states {
			logs = append(logs, files(t, d, ".log")...)
		}
		text := dump(t, logs, "--transaction-log-decoder")
		holds(t, text, `"transactionalId":"ledger-0"`, `"transactionalId":"ledger-4"`, `"topic":"ledger"`, `"partitionIds":[0]`, `"transactionTimeoutMs":`)
		lacks(t, text, "isvalid: false")
	})
}
