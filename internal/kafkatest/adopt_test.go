package kafkatest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

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
