package kafkatest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/proctest"
)

// TestOurServerGoesOnWithAKafkaPartition: the files that Apache Kafka wrote for a partition take the place of ours.
func TestOurServerGoesOnWithAKafkaPartition(t *testing.T) {
	needs(t, "java", "mvn", "kcat")
	kafkaDir := t.TempDir()
	kafka := startKafkaIn(t, kafkaDir)
	create := []string{"--create", "--topic", "ledger", "--config", "segment.bytes=1048576"}
	tool(t, kafka, topicCommand, create...)
	wrote := writeLedger(t, kafka, "ledger", 400)
	script(t, "stop", kafkaDir)

	dir := t.TempDir()
	server, address := proctest.Broker(t, dir, "")
	tool(t, address, topicCommand, create...)
	kcat(t, "to be replaced\n", "-b", address, "-P", "-t", "ledger")
	log := topicDirs(t, address, dir, "ledger")[0]
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)
	replaceDir(t, log, filepath.Join(kafkaDir, "data", "ledger-0"))

	server, address = proctest.Broker(t, dir, address)
	read := func() []string {
		out := kcat(t, "", "-b", address, "-C", "-t", "ledger", "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed")
		return strings.Split(strings.TrimSpace(out), "\n")
	}
	if got := read(); !slices.Equal(got, wrote.committed) {
		t.Fatalf("%d records, want the %d that were committed on Apache Kafka", len(got), len(wrote.committed))
	}
	// A partition comes with the producers of its cluster, and ours begins to count its own at the same number.
	tool(t, address, topicCommand, "--create", "--topic", "elsewhere")
	writeLedger(t, address, "elsewhere", 5)
	kcat(t, "one more\n", "-b", address, "-P", "-t", "ledger")
	more := writeLedger(t, address, "ledger", 10)
	if got, want := read(), slices.Concat(wrote.committed, []string{"one more"}, more.committed); !slices.Equal(got, want) {
		t.Fatalf("%d records after some more, want %d", len(got), len(want))
	}
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)

	segments := files(t, log, ".log")
	if len(segments) < 2 {
		t.Fatalf("%d segments, want some", len(segments))
	}
	if n, want := strings.Count(dump(t, segments, "--print-data-log"), " payload: "), wrote.records+1+more.records; n != want {
		t.Errorf("the segments hold %d records in the end, want %d", n, want)
	}
	sane := dump(t, files(t, log, ".index"), "--index-sanity-check")
	if n := strings.Count(sane, "passed sanity check"); n != len(segments) {
		t.Errorf("%d of %d indexes pass:\n%s", n, len(segments), sane)
	}
	_, address = proctest.Broker(t, dir, address) // with what it made of them itself
	if got := read(); len(got) != len(wrote.committed)+1+len(more.committed) {
		t.Errorf("%d records after another start", len(got))
	}
}

// TestKafkaGoesOnWithPartitionsOfOurs: Apache Kafka starts on the files of a server that stopped or was killed, reads what was committed and writes more, and its retention
// takes what is too much; and ours goes on with what comes back.
func TestKafkaGoesOnWithPartitionsOfOurs(t *testing.T) {
	needs(t, "java", "mvn", "kcat")
	type end struct {
		topic, dir, log string
		signal          syscall.Signal
		retain          bool // Kafka keeps no more than it must
		wrote           ledger
	}
	ends := []*end{{topic: "stopped", signal: syscall.SIGTERM}, {topic: "killed", signal: syscall.SIGKILL}, {topic: "retained", signal: syscall.SIGTERM, retain: true}}
	kafkaDir := t.TempDir()
	kafka := startKafkaIn(t, kafkaDir)
	for _, e := range ends {
		create := []string{"--create", "--topic", e.topic, "--config", "segment.bytes=1048576"}
		tool(t, kafka, topicCommand, create...)
		e.dir = t.TempDir()
		server, address := proctest.Broker(t, e.dir, "")
		tool(t, address, topicCommand, create...)
		if e.wrote = writeLedger(t, address, e.topic, 200); e.retain {
			more := writeLedger(t, address, e.topic, 200) // several segments
			e.wrote.committed = append(e.wrote.committed, more.committed...)
		}
		e.log = topicDirs(t, address, e.dir, e.topic)[0]
		server.Signal(e.signal)
		server.Stopped(t)
	}
	script(t, "stop", kafkaDir)

	for _, e := range ends {
		giveToKafka(t, kafkaDir, e.topic+"-0", e.log)
	}
	if err := os.Remove(filepath.Join(kafkaDir, "data", ".kafka_cleanshutdown")); err != nil { // not every directory in it was closed
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(kafka, ":")
	script(t, "start", kafkaDir, port)
	for _, e := range ends {
		committedIn(t, kafka, e.topic, e.wrote.committed)
		kcat(t, "one more\n", "-b", kafka, "-P", "-t", e.topic)
		e.wrote.committed = append(e.wrote.committed, "one more")
		if e.retain {
			e.wrote.committed = retained(t, kafka, e.topic, filepath.Join(kafkaDir, "data", e.topic+"-0"), e.wrote.committed)
		}
	}
	script(t, "stop", kafkaDir)

	for _, e := range ends {
		replaceDir(t, e.log, filepath.Join(kafkaDir, "data", e.topic+"-0"))
		_, address := proctest.Broker(t, e.dir, "")
		committedIn(t, address, e.topic, e.wrote.committed)
	}
}

// retained lets Kafka's retention remove the first segments of a log and returns what it still serves of the committed records. It looks half a minute after its start first.
func retained(t *testing.T, kafka, topic, log string, committed []string) []string {
	t.Helper()
	tool(t, kafka, configCommand, "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "retention.bytes=1")
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	late := time.After(proctest.Deadline)
	for slices.ContainsFunc(files(t, log, ".log"), func(path string) bool { return filepath.Base(path) == "00000000000000000000.log" }) {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("Apache Kafka's retention removes nothing")
		}
	}
	left := readCommitted(t, kafka, topic)
	if n := len(left); n == 0 || n >= len(committed) || !slices.Equal(left, committed[len(committed)-n:]) {
		t.Fatalf("%s: Apache Kafka serves %d records of %d, want the last of them", topic, n, len(committed))
	}
	return left
}

// committedIn holds the committed records of a topic against what was written.
func committedIn(t *testing.T, address, topic string, want []string) {
	t.Helper()
	if got := readCommitted(t, address, topic); !slices.Equal(got, want) {
		t.Fatalf("%s: %d records, want the %d that were committed", topic, len(got), len(want))
	}
}

// readCommitted returns the values of a topic's committed records.
func readCommitted(t *testing.T, address, topic string) []string {
	t.Helper()
	out := kcat(t, "", "-b", address, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed")
	return strings.Split(strings.TrimSpace(out), "\n")
}

// giveToKafka puts a log's files in the place of those that a stopped Apache Kafka holds for a partition. The topic keeps the id that Kafka gave it.
func giveToKafka(t *testing.T, kafkaDir, partition, log string) {
	t.Helper()
	there := filepath.Join(kafkaDir, "data", partition)
	id := filepath.Join(there, "partition.metadata")
	text, err := os.ReadFile(id)
	if err != nil {
		t.Fatal(err)
	}
	replaceDir(t, there, log)
	if err := os.WriteFile(id, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// replaceDir puts the files of a directory in the place of another's.
func replaceDir(t *testing.T, dir, from string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
