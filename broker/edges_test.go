package broker_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/internal/record"
)

// lines collects a server's log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// logFile is the path of a partition's first segment.
func logFile(t *testing.T, fs vfs.FS) string {
	t.Helper()
	const topics = "/millrace/topics"
	names, err := fs.List(topics)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range names {
		file := path.Join(topics, dir, "00000000000000000000.log")
		if _, err := fs.Stat(file); err == nil {
			return file
		}
	}
	t.Fatalf("no segment among %v", names)
	return ""
}

// endOf asks for the end of partition 0 of a topic.
func endOf(t *testing.T, b *brokertest.Broker, topic string) (int64, error) {
	t.Helper()
	ends, err := kadm.NewClient(b.Client(t)).ListEndOffsets(testContext(t), topic)
	if err != nil {
		return 0, err
	}
	o, _ := ends.Lookup(topic, 0)
	return o.Offset, o.Err
}

func TestTopicNamesThatLookLikePathsStayNames(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	adm := kadm.NewClient(b.Client(t))
	before, err := b.FS.List("/")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "/", "/etc/passwd", "../../escape", "a/b", `a\b`, "a\x00b", "a b", "caf\u00e9", "a:b", "~root", strings.Repeat("x", 250)} {
		if _, err := adm.CreateTopic(testContext(t), 1, 1, nil, name); !errors.Is(err, kerr.InvalidTopicException) {
			t.Errorf("a topic named %q: %v", name, err)
		}
	}
	for _, name := range []string{"...", "..a", "a..b", "-rf", "checkpoint", "LOCK", "con", strings.Repeat("x", 249)} {
		if _, err := adm.CreateTopic(testContext(t), 1, 1, nil, name); err != nil {
			t.Errorf("a topic named %q: %v", name, err)
			continue
		}
		produceAll(testContext(t), t, b.Client(t), name, name)
		b.Restart()
		if got := readAll(testContext(t), t, b, name, 1); got[0] != name {
			t.Errorf("topic %q holds %q", name, got[0])
		}
	}
	if after, err := b.FS.List("/"); err != nil || !slices.Equal(before, after) {
		t.Errorf("beside the data directory there were %v and are %v now (%v)", before, after, err)
	}
}

// A clock that jumps moves times, never offsets: what was written is there, and what comes after it follows it.
func TestTheClockMayJump(t *testing.T) {
	ctx := testContext(t)
	var shift atomic.Int64
	b := brokertest.Start(t, broker.Config{
		Now: func() time.Time { return time.Now().Add(time.Duration(shift.Load())) },
		Set: map[string]string{"log.retention.check.interval.ms": "10", "offsets.retention.check.interval.ms": "10", "transaction.abort.timed.out.transaction.cleanup.interval.ms": "10"},
	})
	createTopic(t, b, "t", 1, map[string]string{"message.timestamp.type": "LogAppendTime", "retention.ms": "2592000000", "segment.bytes": "1048576"})
	cl := b.Client(t, kgo.TransactionalID("tx"), kgo.TransactionTimeout(30*time.Second))
	adm := kadm.NewClient(b.Client(t))
	want := 0
	// No jump is longer than what offsets and transactional ids are kept for unused: those may go, as they would by waiting.
	for _, jump := range []time.Duration{0, -48 * time.Hour, 96 * time.Hour, -time.Hour, 120 * time.Hour, -160 * time.Hour} {
		shift.Add(int64(jump))
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produceAll(ctx, t, cl, "t", numerals(want, want+5)...)
		// kgo may write to a topic that it has just met before it can see it in the transaction, and would not commit; this waits until it can.
		if err := cl.AbortBufferedRecords(ctx); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
			t.Fatalf("after a jump of %v a transaction ends with %v", jump, err)
		}
		want += 5
		var offsets kadm.Offsets
		offsets.AddOffset("t", 0, int64(want), -1)
		if err := adm.CommitAllOffsets(ctx, "g", offsets); err != nil {
			t.Fatalf("after a jump of %v offsets are committed with %v", jump, err)
		}
		if got := readAll(ctx, t, b, "t", want); !slices.Equal(got, numerals(0, want)) {
			t.Fatalf("after a jump of %v the topic holds %v", jump, got)
		}
	}
	b.Restart()
	if got := readAll(ctx, t, b, "t", want); !slices.Equal(got, numerals(0, want)) {
		t.Errorf("after a restart the topic holds %v", got)
	}
	if found, err := adm.FetchOffsets(ctx, "g"); err != nil {
		t.Error(err)
	} else if o, _ := found.Lookup("t", 0); o.At != int64(want) {
		t.Errorf("the group's offset is %d, want %d", o.At, want)
	}
	if o, err := endOf(t, b, "t"); err != nil || o != int64(want+6) {
		t.Errorf("the topic ends at %d (%v), want %d records and 6 markers", o, err, want)
	}
}

// What is on disk and does not hold is said and not served, and the topic does not look empty: neither to who reads it nor to who writes to it.
func TestAFlippedBitIsSaidAndNeverServed(t *testing.T) {
	for name, kill := range map[string]bool{"clean stop": false, "kill": true} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			var log lines
			fs := vfs.NewMem()
			b := brokertest.Start(t, broker.Config{FS: fs, Logger: log.logger(), Set: map[string]string{"log.flush.offset.checkpoint.interval.ms": "1"}})
			createTopic(t, b, "bad", 1, nil)
			produceAll(ctx, t, b.Client(t), "bad", numerals(0, 20)...)
			file := logFile(t, fs)
			createTopic(t, b, "good", 1, nil)
			produceAll(ctx, t, b.Client(t), "good", "x")
			if kill {
				b.Server.Kill()
				b.Ended()
			} else {
				b.Stop()
			}
			flip(t, fs, file)
			b.Resume()
			if got := readAll(ctx, t, b, "good", 1); got[0] != "x" {
				t.Errorf("the other topic holds %v", got)
			}
			if served := readUntilError(t, b, "bad"); served >= 20 {
				t.Errorf("of 20 records with a flipped bit in the middle %d are served", served)
			}
			if end, err := endOf(t, b, "bad"); err == nil && end < 20 {
				t.Errorf("the topic says that it ends at %d", end)
			}
			if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "topic=bad") {
				t.Errorf("the log does not say it:\n%s", text)
			}
			if err := b.Client(t, kgo.RecordRetries(0), kgo.DisableIdempotentWrite()).ProduceSync(ctx, &kgo.Record{Topic: "bad", Value: []byte("y")}).FirstErr(); err == nil {
				t.Error("a topic that cannot be trusted takes records")
			}
			b.Server.Kill() // a clean end is not to be had
			b.Ended()
		})
	}
}

// flip turns a bit in the middle of a file.
func flip(t *testing.T, fs vfs.FS, file string) {
	t.Helper()
	f, err := fs.OpenReadWrite(file, "test")
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	at := st.Size() / 2
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, at); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 0x10
	if _, err := f.WriteAt(one, at); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// readUntilError reads a topic from its start until the broker refuses, and returns the offset of that.
func readUntilError(t *testing.T, b *brokertest.Broker, topic string) (next int64) {
	t.Helper()
	fetch, c := fetchAll(topic), b.Dial(t)
	for {
		fetch.Topics[0].Partitions[0].FetchOffset = next
		got := c.Ask(fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
			if !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("who reads offset %d is told %v, want a storage error", next, err)
			}
			return next
		}
		if len(got.RecordBatches) == 0 {
			t.Fatalf("the topic says that it ends at %d", next)
		}
		for rest := got.RecordBatches; len(rest) > 0; {
			batch, tail, err := record.Next(rest)
			if err == nil {
				err = batch.Check()
			}
			if err != nil {
				t.Fatalf("after offset %d something is served that does not hold: %v", next, err)
			}
			if int64(batch.BaseOffset()) != next {
				t.Fatalf("after offset %d comes %d", next, batch.BaseOffset())
			}
			next, rest = int64(batch.NextOffset()), tail
		}
	}
}

// A partition whose directory somebody removed has lost its records. It must not come back as an empty one, whose offsets begin again.
func TestAPartitionWithoutItsDirectoryIsNotEmpty(t *testing.T) {
	ctx := testContext(t)
	var log lines
	fs := vfs.NewMem()
	b := brokertest.Start(t, broker.Config{FS: fs, Logger: log.logger()})
	createTopic(t, b, "bad", 1, nil)
	produceAll(ctx, t, b.Client(t), "bad", numerals(0, 20)...)
	dir := path.Dir(logFile(t, fs))
	createTopic(t, b, "good", 1, nil)
	produceAll(ctx, t, b.Client(t), "good", "x")
	b.Stop()
	if err := fs.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	b.Resume()
	if got := readAll(ctx, t, b, "good", 1); got[0] != "x" {
		t.Errorf("the other topic holds %v", got)
	}
	if end, err := endOf(t, b, "bad"); err == nil {
		t.Errorf("the topic without its directory ends at %d", end)
	}
	if text := log.String(); !strings.Contains(text, "partition is offline") || !strings.Contains(text, "topic=bad") {
		t.Errorf("the log does not say it:\n%s", text)
	}
	b.Server.Kill() // a clean end is not to be had
	b.Ended()
}

func TestADataDirectoryThatLacksItsTopicsIsRefused(t *testing.T) {
	for _, part := range []string{"topics", "metadata"} {
		fs := vfs.NewMem()
		server := &broker.Server{Config: broker.Config{FS: fs}}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		if err := fs.RemoveAll("/millrace/" + part); err != nil {
			t.Fatal(err)
		}
		again := &broker.Server{Config: broker.Config{FS: fs}}
		if err := again.Start(); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("a data directory without %s: %v", part, err)
			again.Close()
		}
	}
}

// A file system that turned read-only refuses writes: they fail for who asks, the rest is still read, and the server stays.
func TestAReadOnlyDirectoryIsStillRead(t *testing.T) {
	ctx := testContext(t)
	var readOnly atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if readOnly.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.EROFS
		}
		return nil
	}))
	b := brokertest.Start(t, broker.Config{FS: fs})
	createTopic(t, b, "t", 1, nil)
	produceAll(ctx, t, b.Client(t), "t", numerals(0, 5)...)
	readOnly.Store(true)
	if err := b.Client(t, kgo.RecordRetries(1), kgo.DisableIdempotentWrite()).ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("y")}).FirstErr(); err == nil {
		t.Error("a record was taken that cannot be written")
	}
	if _, err := kadm.NewClient(b.Client(t)).CreateTopic(ctx, 1, 1, nil, "u"); err == nil {
		t.Error("a topic was made that cannot be written")
	}
	alive(t, b)
	readOnly.Store(false)
	b.Server.Kill()
	b.Ended()

	readOnly.Store(true)
	server := &broker.Server{Config: broker.Config{FS: fs}}
	if err := server.Start(); err == nil || !errors.Is(err, syscall.EROFS) || errors.Is(err, broker.ErrLocked) {
		t.Errorf("a server on a read-only directory: %v", err)
		server.Close()
	}
	readOnly.Store(false)
	b.Resume()
	if got := readAll(ctx, t, b, "t", 5); !slices.Equal(got, numerals(0, 5)) {
		t.Errorf("the topic holds %v", got)
	}
	if err := b.Client(t).ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Append(nil, 5)}).FirstErr(); err != nil {
		t.Errorf("when the directory can be written again: %v", err)
	}
}

// What the metadata lost must not look as if it had never been: neither its log nor its snapshot may go after a clean stop, and after a kill, which may leave an empty log behind,
// the topics' directories tell.
func TestMetadataThatLostItsFilesIsNotEmpty(t *testing.T) {
	for _, suffix := range []string{".log", ".snapshot"} {
		for _, kill := range []bool{false, true} {
			ctx := testContext(t)
			var log lines
			fs := vfs.NewMem()
			b := brokertest.Start(t, broker.Config{FS: fs, Logger: log.logger()})
			createTopic(t, b, "t", 1, nil)
			produceAll(ctx, t, b.Client(t), "t", "x")
			if kill {
				b.Server.Kill()
				b.Ended()
			} else {
				b.Stop()
			}
			names, err := fs.List("/millrace/metadata")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if strings.HasSuffix(name, suffix) {
					if err := fs.Remove("/millrace/metadata/" + name); err != nil {
						t.Fatal(err)
					}
				}
			}
			for range 2 { // a supervisor tries again
				again := &broker.Server{Config: broker.Config{FS: fs, Logger: log.logger()}}
				switch err := again.Start(); {
				case kill && suffix == ".log":
					if text := log.String(); err != nil || !strings.Contains(text, "the metadata lost topics") {
						t.Errorf("without its log after a kill: %v\n%s", err, text)
					}
				case err == nil || !strings.Contains(err.Error(), "bring"):
					t.Errorf("without its %s, killed %t: %v", suffix, kill, err)
				}
				again.Kill()
			}
		}
	}
}
