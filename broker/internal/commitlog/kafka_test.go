package commitlog

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// kafkaDir copies the directory that Apache Kafka 4.3.1 wrote for one partition into an in-memory file system: five producers, one for each
// codec, with a committed and an aborted transaction of three records each, then a clean stop.
func kafkaDir(t *testing.T) (*vfs.MemFS, map[string][]byte) {
	t.Helper()
	mem := vfs.NewMem()
	if err := mem.MkdirAll(testDir, 0o755); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("testdata/kafka-4.3.1/*")
	if err != nil || len(paths) < 6 {
		t.Fatalf("%d files of Kafka's: %v", len(paths), err)
	}
	files := map[string][]byte{}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(p)] = data
		setFile(t, mem, filepath.Base(p), data)
	}
	return mem, files
}

func TestKafkasDirectoryOpens(t *testing.T) {
	for _, clean := range []bool{true, false} {
		mem, files := kafkaDir(t)
		l := openLog(t, mem, Config{}, OpenOptions{Clean: clean})
		if l.End() != 40 || l.Recovery().TruncatedBytes != 0 {
			t.Fatalf("clean %v: end %d, %+v", clean, l.End(), l.Recovery())
		}
		if got := l.readAll(700); !bytes.Equal(got, files[fileName(0, suffixLog)]) {
			t.Fatalf("clean %v: what is read is not what Kafka wrote", clean)
		}
		byOffset, _ := committed(t, l)
		if len(byOffset) != 15 || byOffset[0].key != "a" || !strings.HasPrefix(byOffset[34].value, "value of a record") {
			t.Fatalf("clean %v: %d committed records: %v", clean, len(byOffset), byOffset)
		}
		if aborted, err := l.AbortedIn(nil, 0, 40); err != nil || len(aborted) != 5 || aborted[4].LastOffset != 39 {
			t.Fatalf("clean %v: %+v, %v", clean, aborted, err)
		}
		if l.LastStable(40) != 40 || len(l.ActiveProducers()) != 5 {
			t.Fatalf("clean %v: last stable %d, producers %+v", clean, l.LastStable(40), l.ActiveProducers())
		}
		for _, p := range l.ActiveProducers() { // each goes on under the epoch that Kafka's marker brought
			b := makeBatch(batchOpts{producer: record.Producer{ID: p.ID, Epoch: p.Epoch}, attrs: record.Transactional}, kv{key: "k", value: "v"})
			l.append(b)
		}
	}
}

// TestOurFilesAreKafkas appends Kafka's batches as a follower would and compares the files byte by byte.
func TestOurFilesAreKafkas(t *testing.T) {
	_, files := kafkaDir(t)
	mem := vfs.NewMem()
	l := openLog(t, mem, Config{}, OpenOptions{})
	for b, err := range record.All(files[fileName(0, suffixLog)]) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(bytes.Clone(b), AppendOptions{Origin: Replication, Now: t0}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got := fileBytes(t, mem, name)
		if strings.HasSuffix(name, suffixSnapshot) { // ours goes on where Kafka's ends, and the checksum covers both
			got = got[:min(len(got), len(want))]
			copy(got[2:6], want[2:6])
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%x\nKafka's:\n%x", name, got, want)
		}
	}
}

// TestKafkasCheckpointIsNotAllAfterAKill: Kafka's checkpoint lies there until the first roll or close, and does not know of the epochs since.
func TestKafkasCheckpointIsNotAllAfterAKill(t *testing.T) {
	mem, _ := kafkaDir(t)
	l := openLog(t, mem, Config{}, OpenOptions{Clean: true})
	if err := l.AssignEpoch(3, l.End()); err != nil {
		t.Fatal(err)
	}
	b := makeBatch(batchOpts{}, values(0, 2)...)
	if _, err := l.Append(b, AppendOptions{LeaderEpoch: 3, Now: t0}); err != nil {
		t.Fatal(err)
	}
	l = l.reopenDirty(l.Checkpoint())
	if at := l.EpochAt(40); at != 3 {
		t.Errorf("offset 40 is of epoch %d, want 3", at)
	}
	if epoch, end := l.EndOffsetForEpoch(0); epoch != 0 || end != 40 {
		t.Errorf("epoch 0 is answered with %d, ending at %d, want 40", epoch, end)
	}
}
