package kafkatest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/proctest"
)

const transactionsCommand = "TransactionsCommand"

// openTransaction writes a record in a transaction, whose timestamp is given, and leaves the transaction open. It returns the record's offset and who can end it.
func openTransaction(t *testing.T, address, id, topic string, at time.Time) (offset int64, producer *kgo.Client) {
	t.Helper()
	const timeout = 10 * time.Minute // longer than any test, and shorter than the server's limit
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.TransactionalID(id), kgo.TransactionTimeout(timeout), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), proctest.Deadline)
	defer cancel()
	r, err := cl.ProduceSync(ctx, &kgo.Record{Value: []byte("open"), Timestamp: at}).First()
	if err != nil {
		t.Fatal(err)
	}
	// kgo may write to a topic that it has just met before it can see it in the transaction, and would not commit; this waits until it can.
	if err := cl.AbortBufferedRecords(ctx); err != nil {
		t.Fatal(err)
	}
	return r.Offset, cl
}

// committedEnd is how far a partition 0 can be read with read_committed.
func committedEnd(t *testing.T, address, topic string) int64 {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), proctest.Deadline)
	defer cancel()
	offsets, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := offsets.Lookup(topic, 0)
	if !ok || o.Err != nil {
		t.Fatalf("no end of %s: %v", topic, o.Err)
	}
	return o.Offset
}

func TestTransactionsCommand(t *testing.T) {
	needs(t, "java", "mvn", "kcat")
	_, address := proctest.Broker(t, t.TempDir(), "")
	tool(t, address, topicCommand, "--create", "--topic", "payments")
	kcat(t, "before\n", "-b", address, "-P", "-t", "payments")
	offset, producer := openTransaction(t, address, "payer", "payments", time.Now())

	holds(t, row(t, tool(t, address, transactionsCommand, "list"), "payer"), "Ongoing")
	holds(t, row(t, tool(t, address, transactionsCommand, "describe", "--transactional-id", "payer"), "payer"), "Ongoing", "payments-0")
	holds(t, refused(t, address, transactionsCommand, "describe", "--transactional-id", "nobody"), "transactionalId `nobody` failed because the ID could not be found")
	start := strconv.FormatInt(offset, 10)
	if f := strings.Fields(row(t, tool(t, address, transactionsCommand, "describe-producers", "--topic", "payments", "--partition", "0"), start)); f[len(f)-1] != start {
		t.Errorf("the transaction starts at %s, want %s", f[len(f)-1], start)
	}
	if end := committedEnd(t, address, "payments"); end != offset {
		t.Errorf("readers of committed records see up to %d, want %d", end, offset)
	}
	// One that its coordinator knows is at work, not hanging.
	lacks(t, tool(t, address, transactionsCommand, "find-hanging", "--broker-id", "1", "--max-transaction-timeout", "0"), "payments")

	tool(t, address, transactionsCommand, "abort", "--topic", "payments", "--partition", "0", "--start-offset", start)
	if end := committedEnd(t, address, "payments"); end <= offset {
		t.Errorf("after the abort readers of committed records see up to %d only", end)
	}
	holds(t, refused(t, address, transactionsCommand, "abort", "--topic", "payments", "--partition", "0", "--start-offset", start), "Could not find any open transactions")
	ctx, cancel := context.WithTimeout(t.Context(), proctest.Deadline)
	defer cancel()
	if err := producer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Errorf("the coordinator still knows the transaction, whose end is only late: %v", err)
	}
	holds(t, row(t, tool(t, address, transactionsCommand, "list"), "payer"), "Complete")
	same(t, kcat(t, "", "-b", address, "-C", "-t", "payments", "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed"), "before")
}

// row returns the line with a word.
func row(t *testing.T, table, word string) string {
	t.Helper()
	for line := range strings.Lines(table) {
		for _, f := range strings.Fields(line) {
			if f == word {
				return line
			}
		}
	}
	t.Fatalf("no line has %q:\n%s", word, table)
	return ""
}

// TestHangingTransactionIsFoundAndAborted: the partition has come from another cluster, so nobody here would end the transaction.
func TestHangingTransactionIsFoundAndAborted(t *testing.T) {
	needs(t, "java", "mvn", "kcat")
	elsewhere := t.TempDir()
	server, address := proctest.Broker(t, elsewhere, "")
	tool(t, address, topicCommand, "--create", "--topic", "payments")
	offset, producer := openTransaction(t, address, "payer", "payments", time.Now().Add(-time.Hour))
	from := topicDirs(t, address, elsewhere, "payments")[0]
	server.Kill() // before the producer goes: it would end its transaction
	producer.Close()

	dir := t.TempDir()
	server, address = proctest.Broker(t, dir, "")
	tool(t, address, topicCommand, "--create", "--topic", "payments")
	kcat(t, "to be replaced\n", "-b", address, "-P", "-t", "payments")
	log := topicDirs(t, address, dir, "payments")[0]
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)
	replaceDir(t, log, from)
	_, address = proctest.Broker(t, dir, address)
	if end := committedEnd(t, address, "payments"); end != offset {
		t.Fatalf("readers of committed records see up to %d, want %d: the transaction is open", end, offset)
	}
	holds(t, row(t, tool(t, address, transactionsCommand, "find-hanging", "--broker-id", "1"), "payments"), strconv.FormatInt(offset, 10))
	tool(t, address, transactionsCommand, "abort", "--topic", "payments", "--partition", "0", "--start-offset", strconv.FormatInt(offset, 10))
	lacks(t, tool(t, address, transactionsCommand, "find-hanging", "--broker-id", "1"), "payments")
	kcat(t, "after\n", "-b", address, "-P", "-t", "payments")
	same(t, kcat(t, "", "-b", address, "-C", "-t", "payments", "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed"), "after")
}

// topicDirs returns the directories of a topic's partitions below a data directory, by partition; a partition that never held a batch has none.
func topicDirs(t *testing.T, address, dir, topic string) map[int]string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), proctest.Deadline)
	defer cancel()
	topics, err := kadm.NewClient(cl).ListTopicsWithInternal(ctx, topic)
	if err != nil || topics[topic].Err != nil {
		t.Fatalf("look up %s: %v, %v", topic, err, topics[topic].Err)
	}
	dirs := map[int]string{}
	for p := range topics[topic].Partitions {
		path := filepath.Join(dir, "topics", fmt.Sprintf("%x-%d", [16]byte(topics[topic].ID), p))
		if _, err := os.Stat(path); err == nil {
			dirs[int(p)] = path
		}
	}
	if len(dirs) == 0 {
		t.Fatalf("no directory of %s below %s", topic, dir)
	}
	return dirs
}
