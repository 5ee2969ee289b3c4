package kafkatest

import (
	"maps"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/proctest"
)

// compactedTopic makes the topic of these tests. Its segments are as small as they may be, and are cleaned as soon as they are closed.
func compactedTopic(t *testing.T, address string) {
	t.Helper()
	tool(t, address, topicCommand, "--create", "--topic", "ledger", "--config", "cleanup.policy=compact", "--config", "segment.bytes=1048576",
		"--config", "min.cleanable.dirty.ratio=0.01")
}

// latest returns what a reader of committed records holds for each key in the end, and how many records it read.
func latest(t *testing.T, address string) (values map[string]string, records int) {
	t.Helper()
	values = map[string]string{}
	out := kcat(t, "", "-b", address, "-C", "-t", "ledger", "-o", "beginning", "-e", "-q", "-f", `%k\t%s\n`, "-X", "isolation.level=read_committed")
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		values[key] = value
		records++
	}
	return values, records
}

// balance is what the ledgers leave for each key, which is the number of the transaction: the last value that was committed.
func balance(ledgers ...ledger) map[string]string {
	values := map[string]string{}
	for _, l := range ledgers {
		for _, v := range l.committed {
			transaction, _, _ := strings.Cut(v, ".")
			values["k"+transaction] = v
		}
	}
	return values
}

// cleaned waits until the server has thrown most of what was superseded away.
func cleaned(t *testing.T, address string, l ledger) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	late := time.After(proctest.Deadline)
	for {
		values, n := latest(t, address)
		if want := balance(l); !maps.Equal(values, want) {
			t.Fatalf("%d keys, want the %d that were committed, each with its last value", len(values), len(want))
		}
		if n < len(l.committed)/2 {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d of %d committed records are left after %v", n, len(l.committed), proctest.Deadline)
		}
	}
}

// sound holds the files of a partition's directory against Kafka's DumpLogSegments.
func sound(t *testing.T, log string) {
	t.Helper()
	segments := files(t, log, ".log")
	if len(segments) < 2 {
		t.Fatalf("%d segments, want some", len(segments))
	}
	last := -1
	for _, segment := range segments {
		records := dump(t, []string{segment}, "--deep-iteration")
		lacks(t, records, "isvalid: false")
		for _, m := range regexp.MustCompile(`(?m)^\| offset: (\d+) `).FindAllStringSubmatch(records, -1) {
			offset, err := strconv.Atoi(m[1])
			if err != nil || offset <= last {
				t.Fatalf("%s: offset %s follows %d: %v", segment, m[1], last, err)
			}
			last = offset
		}
	}
	indexes := files(t, log, ".index")
	if n := strings.Count(dump(t, indexes, "--index-sanity-check"), "passed sanity check"); n != len(indexes) {
		t.Errorf("%d of %d indexes pass", n, len(indexes))
	}
	lacks(t, dump(t, indexes, "--verify-index-only"), "Mismatches")
	lacks(t, dump(t, files(t, log, ".timeindex")), "mismatch", "out of order")
	if aborted := files(t, log, ".txnindex"); len(aborted) > 0 {
		dump(t, aborted)
	}
	dump(t, files(t, log, ".snapshot"))
}

// long leaves a test out that takes minutes.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short: two servers write and clean megabytes, one after the other")
	}
}

const ledgerTransactions = 500 // five megabytes: some closed segments

// TestCompactedPartitionGoesFromOursToKafka: the cleaned files of our server are read by Kafka's tool, and Apache Kafka goes on with them.
func TestCompactedPartitionGoesFromOursToKafka(t *testing.T) {
	long(t)
	needs(t, "java", "mvn", "kcat")
	dir := t.TempDir()
	server, address := proctest.Broker(t, dir, "", "--set", "log.cleaner.backoff.ms=100")
	compactedTopic(t, address)
	wrote := writeLedger(t, address, "ledger", ledgerTransactions)
	cleaned(t, address, wrote)
	log := topicDirs(t, address, dir, "ledger")[0]
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)
	sound(t, log)

	kafkaDir := t.TempDir()
	t.Setenv("KAFKA_SET", "log.cleaner.backoff.ms=100")
	kafka := startKafkaIn(t, kafkaDir)
	compactedTopic(t, kafka)
	script(t, "stop", kafkaDir)
	giveToKafka(t, kafkaDir, "ledger-0", log)
	_, port, _ := strings.Cut(kafka, ":")
	script(t, "start", kafkaDir, port)
	goesOn(t, kafka, wrote)
}

// TestCompactedPartitionGoesFromKafkaToOurs: the cleaned files of Apache Kafka take the place of ours.
func TestCompactedPartitionGoesFromKafkaToOurs(t *testing.T) {
	long(t)
	needs(t, "java", "mvn", "kcat")
	kafkaDir := t.TempDir()
	t.Setenv("KAFKA_SET", "log.cleaner.backoff.ms=100")
	kafka := startKafkaIn(t, kafkaDir)
	compactedTopic(t, kafka)
	wrote := writeLedger(t, kafka, "ledger", ledgerTransactions)
	cleaned(t, kafka, wrote)
	script(t, "stop", kafkaDir)

	dir := t.TempDir()
	server, address := proctest.Broker(t, dir, "")
	compactedTopic(t, address)
	kcat(t, "k:to be replaced\n", "-b", address, "-P", "-t", "ledger", "-K", ":")
	log := topicDirs(t, address, dir, "ledger")[0]
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)
	replaceDir(t, log, filepath.Join(kafkaDir, "data", "ledger-0"))
	server, address = proctest.Broker(t, dir, address, "--set", "log.cleaner.backoff.ms=100")
	goesOn(t, address, wrote)
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)
	sound(t, log)
}

// goesOn reads what another server left, and writes more, which is cleaned together with it.
func goesOn(t *testing.T, address string, wrote ledger) {
	t.Helper()
	if values, _ := latest(t, address); !maps.Equal(values, balance(wrote)) {
		t.Fatalf("%d keys, want the %d that were committed at the other server, each with its last value", len(values), len(balance(wrote)))
	}
	// A partition comes with the producers of its cluster, and this one begins to count its own at the same number.
	tool(t, address, topicCommand, "--create", "--topic", "elsewhere")
	writeLedger(t, address, "elsewhere", 5)
	more := writeLedger(t, address, "ledger", ledgerTransactions)
	both := ledger{committed: append(wrote.committed, more.committed...), records: wrote.records + more.records, aborts: wrote.aborts + more.aborts}
	cleaned(t, address, both)
}
