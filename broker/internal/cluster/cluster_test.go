package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/settings"
)

func open(t *testing.T, fs vfs.FS) (*Local, error) {
	t.Helper()
	b, err := settings.NewBroker(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Open(config(fs, b))
}

func config(fs vfs.FS, b *settings.Broker) Config {
	return Config{FS: fs, Dir: "metadata", NodeID: 1, Settings: b, Features: map[string]int16{"f": 2}, Log: slog.New(slog.DiscardHandler)}
}

func mustOpen(t *testing.T, fs vfs.FS) *Local {
	t.Helper()
	l, err := open(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func create(l *Local, name string) error {
	return l.Propose(context.Background(), func(im *controller.Image) ([]controller.Record, error) {
		records, out := controller.CreateTopics(im, l.Env(), []controller.NewTopic{{Name: name, Partitions: 2, Replication: 1}})
		return records, out[0].Err
	})
}

func TestMetadataOutlivesAnyEnd(t *testing.T) {
	fs := vfs.NewMem()
	l := mustOpen(t, fs)
	cluster := l.Image().ClusterID()
	for i := range 10 {
		if err := create(l, fmt.Sprint("t", i)); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			l.Close()
		}
		l = mustOpen(t, fs) // after some of the steps without a Close, as after a kill
		if got := l.Image(); got.TopicCount() != i+1 || got.ClusterID() != cluster || got.Feature("f") != 2 {
			t.Fatalf("after %d topics: %d topics, cluster %s (was %s)", i+1, got.TopicCount(), got.ClusterID(), cluster)
		}
	}
}

func TestAPowerLossTakesNothingThatWasProposed(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("metadata", 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := fs.OpenDir("")
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Sync(); err != nil {
		t.Fatal(err)
	}
	total := 0
	for range 20 {
		l := mustOpen(t, fs)
		if n := l.Image().TopicCount(); n != total {
			t.Fatalf("%d topics after a power loss, %d were proposed", n, total)
		}
		for range rng.IntN(5) {
			if err := create(l, fmt.Sprint("t", total)); err != nil {
				t.Fatal(err)
			}
			total++
		}
		fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	}
}

func TestATornTailIsTheLastFrameOnly(t *testing.T) {
	fs, path, whole, last := threeTopics(t)
	for cut := last; cut < len(whole); cut++ {
		damaged := clone(t, fs, path, whole[:cut])
		if got := mustOpen(t, damaged).Image().TopicCount(); got != 2 {
			t.Fatalf("cut at byte %d of %d: %d topics, want 2", cut, len(whole), got)
		}
	}
	flipped := []byte(string(whole))
	flipped[20] ^= 1 // inside the first frame
	if _, err := open(t, clone(t, fs, path, flipped)); err == nil || !strings.Contains(err.Error(), "crc mismatch") {
		t.Fatalf("damage before the end of the log: %v, want a refusal", err)
	}
}

// threeTopics returns a metadata log in which three topics were made: its file system and path, what it holds, and where its last frame begins.
func threeTopics(t *testing.T) (fs *vfs.MemFS, path string, whole []byte, last int) {
	t.Helper()
	fs = vfs.NewMem()
	l := mustOpen(t, fs)
	for i := range 3 {
		if err := create(l, fmt.Sprint("t", i)); err != nil {
			t.Fatal(err)
		}
	}
	path = logPath(t, fs)
	whole = read(t, fs, path)
	return fs, path, whole, len(whole) - len(lastFrame(t, whole))
}

func lastFrame(t *testing.T, b []byte) []byte {
	t.Helper()
	for {
		_, _, rest, err := readFrame(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(rest) == 0 {
			return b
		}
		b = rest
	}
}

func logPath(t *testing.T, fs vfs.FS) string {
	t.Helper()
	names, err := fs.List("metadata")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, logSuffix) {
			return fs.PathJoin("metadata", n)
		}
	}
	t.Fatalf("no log among %v", names)
	return ""
}

func read(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// clone copies the directory into a file system of its own, with other bytes in one file.
func clone(t *testing.T, fs vfs.FS, path string, with []byte) vfs.FS {
	t.Helper()
	out := vfs.NewMem()
	if err := out.MkdirAll("metadata", 0o755); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("metadata")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		p := fs.PathJoin("metadata", n)
		b := with
		if p != path {
			b = read(t, fs, p)
		}
		put(t, out, p, b)
	}
	return out
}

func put(t testing.TB, fs vfs.FS, path string, b []byte) {
	t.Helper()
	f, err := fs.Create(path, writeCategory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(slices.Clone(b)); err != nil { // race builds of the file system garble what they were given
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTheLogStaysSmall(t *testing.T) {
	fs := vfs.NewMem()
	l := mustOpen(t, fs)
	value := strings.Repeat("x", 10_000)
	for i := range 400 {
		err := l.Propose(t.Context(), func(*controller.Image) ([]controller.Record, error) {
			return []controller.Record{&controller.ConfigsSet{
				Resource: controller.Resource{Type: controller.ResourceGroup, Name: "g"}, Configs: map[string]string{"v": fmt.Sprint(i, value)},
			}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	names, err := fs.List("metadata")
	if err != nil {
		t.Fatal(err)
	}
	if size := len(read(t, fs, logPath(t, fs))); size > compactAt+20_000 || len(names) != 2 {
		t.Errorf("4 MB of changes left a log of %d bytes and the files %v", size, names)
	}
	again := mustOpen(t, fs)
	if got := again.Image().Configs(controller.Resource{Type: controller.ResourceGroup, Name: "g"})["v"]; !strings.HasPrefix(got, "399") {
		t.Errorf("the value read back begins with %.5s", got)
	}
}

func TestNothingIsShownThatCouldNotBeWritten(t *testing.T) { // L10
	for fail := range 40 {
		mem := vfs.NewMem()
		l := mustOpen(t, mem)
		if err := create(l, "before"); err != nil {
			t.Fatal(err)
		}
		l.Close()
		toggle := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return errorfs.ErrInjected
			}
			return nil
		})}
		fs := errorfs.Wrap(mem, &toggle)
		l = mustOpen(t, fs)
		for i := range fail {
			if err := create(l, fmt.Sprint("t", i)); err != nil {
				t.Fatal(err)
			}
		}
		toggle.On()
		err := create(l, "refused")
		toggle.Off()
		if !errors.Is(err, kerr.KafkaStorageError) {
			t.Fatalf("a failed write was answered with %v", err)
		}
		if l.Image().Topic("refused") != nil {
			t.Fatal("what could not be written is shown")
		}
		if err := create(l, "later"); !errors.Is(err, kerr.KafkaStorageError) {
			t.Fatalf("after a failed write the directory was written again: %v", err)
		}
		if got := mustOpen(t, mem).Image().TopicCount(); got != fail+1 && got != fail+2 {
			t.Fatalf("%d topics after the restart, want %d, or one more when the write had got through", got, fail+1)
		}
	}
}

func TestWatchersSeeEveryImageInOrder(t *testing.T) {
	l := mustOpen(t, vfs.NewMem())
	var seen []uint64
	l.Watch(func(old, now *controller.Image) {
		if old != nil && old.Index() != seen[len(seen)-1] {
			t.Errorf("the step from %d was told as one from %d", seen[len(seen)-1], old.Index())
		}
		seen = append(seen, now.Index())
	})
	for i := range 3 {
		if err := create(l, fmt.Sprint("t", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := create(l, "t0"); !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Errorf("the decision's own error came back as %v", err)
	}
	if len(seen) != 4 {
		t.Errorf("%d images seen, want the first and one for each of three topics", len(seen))
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(appendFrame(nil, 7, []controller.Record{&controller.ClusterCreated{ClusterID: "c"}, &controller.ProducerIDs{Next: 5}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		index, records, rest, err := readFrame(b)
		if err != nil {
			return
		}
		again := appendFrame(nil, index, records)
		if i, r, _, err := readFrame(again); err != nil || i != index || len(r) != len(records) || len(rest) >= len(b) {
			t.Fatalf("a frame of %d records reads back as %d, %v", len(records), len(r), err)
		}
	})
}
