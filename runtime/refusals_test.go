package runtime

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// refused waits for the end of an app that must not run, and checks what it says.
func (i *instance) refused(t *testing.T, want ...string) {
	t.Helper()
	select {
	case <-i.done:
	case <-time.After(soon):
		t.Fatal("the app runs on")
	}
	if i.err == nil {
		t.Fatalf("Run: nil; want an error with %q", want)
	}
	for _, w := range want {
		if !strings.Contains(i.err.Error(), w) {
			t.Errorf("Run: %v; want %q in it", i.err, w)
		}
	}
	if s := i.app.State(); s != Failed {
		t.Errorf("state %v, want %v", s, Failed)
	}
}

func TestMissingTopicsAreNamed(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.start(w.topo, Config{}).refused(t, w.lines.Name(), w.counts.Name(), "create it first")
}

func TestABrokerThatDoesNotAnswerIsNamed(t *testing.T) {
	w := newWordCount(t, "x")
	var said bytes.Buffer
	app, err := New(w.topo, Config{AppID: "x", Brokers: []string{"nowhere:1"}, StartTimeout: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&said, nil)),
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no way") }})
	if err != nil {
		t.Fatal(err)
	}
	err = app.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nowhere:1") || !strings.Contains(err.Error(), "no way") {
		t.Errorf("Run: %v; want the address and the cause", err)
	}
	if n := strings.Count(said.String(), "no broker answers yet"); n != 1 || strings.Contains(said.String(), "level=ERROR") {
		t.Errorf("the cause stands in the log %d times, want once, and what Run returns not at all:\n%s", n, &said)
	}
	if err := app.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "called before") {
		t.Errorf("Run again: %v", err)
	}
}

func TestConnectionsSayWhoTheyAre(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	app, err := New(w.topo, Config{AppID: c.name, Brokers: c.brokers, Dial: c.dial, StartTimeout: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		SASL: []sasl.Mechanism{plain.Auth{User: "ann", Pass: "secret"}.AsMechanism()}})
	if err != nil {
		t.Fatal(err)
	}
	// A broker without SASL refuses the hand-shake, which is how it is seen that there was one.
	if err := app.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses this application: ILLEGAL_SASL_STATE") || strings.Contains(err.Error(), "secret") {
		t.Errorf("Run: %v; want the broker's refusal of SASL", err)
	}
}

func TestAStateDirectoryHasOneUser(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 1)
	c.createTopic(w.counts.Name(), 1)
	dir := t.TempDir()
	first := c.start(w.topo, Config{StateDir: dir, Workers: 1})
	first.await(t, "running", soon, func(p Progress) bool { return p.State == Running })
	c.start(w.topo, Config{StateDir: dir}).refused(t, dir)
	first.end(t)
}

func TestAChangelogThatForgetsIsRefused(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 1)
	c.createTopic(w.counts.Name(), 1)
	c.createTopic(c.name+"-counts-changelog", 1) // with the broker's default policy, delete
	c.start(w.topo, Config{}).refused(t, c.name+"-counts-changelog", "cleanup.policy=compact")
}

func TestChangedPartitionCountsAreRefused(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 1)
	c.createTopic(w.counts.Name(), 1)
	i := c.start(w.topo, Config{Workers: 1})
	i.await(t, "running", soon, func(p Progress) bool { return p.State == Running })
	i.end(t)
	if _, err := c.admin.CreatePartitions(t.Context(), 2, w.lines.Name()); err != nil {
		t.Fatal(err)
	}
	c.start(w.topo, Config{}).refused(t, "words-repartition", "partitions")
}

// numbers is a topology that cannot take everything: it parses.
func numbers(t *testing.T, c *cluster) (topo *stream.Topology, in, out string) {
	t.Helper()
	in, out = c.name+"-in", c.name+"-out"
	b := stream.NewBuilder()
	texts := stream.From(b, stream.NewTopic(in, serde.String, serde.String))
	parsed := stream.MapValuesCtx(texts, func(_ context.Context, _ string, s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
	stream.To(parsed, stream.NewTopic(out, serde.String, serde.Int64))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	c.createTopic(in, 1)
	c.createTopic(out, 1)
	return topo, in, out
}

func TestAFaultNamesOperatorRecordAndLine(t *testing.T) {
	c := newCluster(t)
	topo, in, _ := numbers(t, c)
	c.produce(in, 1, []string{"1", "2", "three", "4"})
	c.start(topo, Config{Workers: 1}).refused(t, "stream.MapValuesCtx", "refusals_test.go:", in, "partition 0", "offset 2", `"three"`)
}

func TestASkippedFaultIsCountedAndCommitted(t *testing.T) {
	c := newCluster(t)
	topo, in, out := numbers(t, c)
	c.produce(in, 1, []string{"1", "2", "three", "4"})
	i := c.start(topo, Config{Workers: 1, Faults: stream.Faults{Processing: func(f *stream.Fault) stream.Decision {
		if f.Kind == stream.FaultProcessing && f.Offset == 2 {
			return stream.Skip
		}
		return stream.Fail
	}}})
	i.await(t, "the end of the input", soon, Progress.Done)
	task := i.app.Progress().Tasks[0]
	if task.Processed != 4 || len(task.Drops) != 1 || task.Drops[0].Count != 1 || task.Drops[0].Reason != "failed" {
		t.Errorf("%d records, drops %+v; want 4 and one that failed", task.Processed, task.Drops)
	}
	i.end(t)
	if ends, err := c.admin.ListEndOffsets(t.Context(), out); err != nil || ends[out][0].Offset < 3 {
		t.Errorf("the output ends at %v, %v; want 3 records", ends[out][0].Offset, err)
	}
}

func TestALargeRecordIsRefusedWithTheLimit(t *testing.T) {
	c := newCluster(t)
	in, out := c.name+"-in", c.name+"-out"
	b := stream.NewBuilder()
	texts := stream.From(b, stream.NewTopic(in, serde.String, serde.String))
	stream.To(stream.MapValues(texts, func(s string) string { return strings.Repeat(s, 1000) }), stream.NewTopic(out, serde.String, serde.String))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	c.createTopic(in, 1)
	limit := "5000"
	if _, err := c.admin.CreateTopic(t.Context(), 1, -1, map[string]*string{"max.message.bytes": &limit}, out); err != nil {
		t.Fatal(err)
	}
	c.produce(in, 1, []string{"abcdef"})
	i := c.start(topo, Config{Workers: 1})
	i.refused(t, out, "max.message.bytes is 5000")
	if !errors.Is(i.err, client.ErrRecordTooLarge) {
		t.Errorf("%v is not ErrRecordTooLarge", i.err)
	}
}

// Records of several inputs meet by their time, as far as they are there.
func TestRecordsOfSeveralInputsAreTakenByTime(t *testing.T) {
	c := newCluster(t)
	names := []string{c.name + "-a", c.name + "-b"}
	b := stream.NewBuilder()
	var topics []stream.Topic[string, string]
	for _, n := range names {
		c.createTopic(n, 1)
		topics = append(topics, stream.NewTopic(n, serde.String, serde.String))
	}
	seen := make(chan int64, 1000)
	stream.ForEach(stream.FromAll(b, topics), func(_, time string) {
		ts, _ := strconv.ParseInt(time, 10, 64)
		seen <- ts
	})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	const n = 200
	for i, name := range names {
		var at []int64
		for k := range int64(n) {
			at = append(at, 1_000_000+2*k+int64(i))
		}
		c.produceAt(name, at)
	}
	i := c.start(topo, Config{Workers: 1})
	i.await(t, "the end of the input", soon, Progress.Done)
	last := int64(0)
	for range 2 * n {
		ts := <-seen
		if ts <= last {
			t.Fatalf("a record of time %d after one of %d", ts, last)
		}
		last = ts
	}
	i.end(t)
}

// Run ends soon after its context in whatever state it is, and Query says why it has nothing.
func TestRunEndsPromptlyInEveryState(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 2)
	c.createTopic(w.counts.Name(), 1)
	rng := seeded(t)
	lines, want := text(rng, 2000, 100)
	c.produce(w.lines.Name(), 2, lines)
	dir := t.TempDir()
	for round := range 12 {
		i := c.start(w.topo, Config{StateDir: dir, CommitInterval: 10 * time.Millisecond})
		if round > 0 {
			pause := time.NewTimer(time.Duration(rng.IntN(120)) * time.Millisecond) // anywhere between the start and work
			<-pause.C
		}
		begun := time.Now()
		i.end(t)
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("round %d: the end took %v", round, took)
		}
		if _, err := Query(i.app, w.store); err == nil {
			t.Error("Query answers after the end")
		}
	}
	i := c.start(w.topo, Config{StateDir: dir})
	i.await(t, "the end of the input", soon, Progress.Done)
	equalCounts(t, storeCounts(t, w.store, i.app), want)
	if _, err := Query(i.app, statestore.KeyValue("other", serde.String, serde.Int64)); err == nil || !strings.Contains(err.Error(), `no store "other"`) {
		t.Errorf("Query of an unknown store: %v", err)
	}
	i.end(t)
	equalCounts(t, c.finalCounts(w.counts.Name(), true), want)
}

// Windowed state survives a crash with its stream time: what was too late before is too late after.
func TestStreamTimeSurvivesACrash(t *testing.T) {
	c := newCluster(t)
	in := c.name + "-in"
	c.createTopic(in, 1)
	b := stream.NewBuilder()
	source := stream.From(b, stream.NewTopic(in, serde.String, serde.String))
	windows := stream.Tumbling(time.Second).Grace(time.Second)
	store := statestore.Window("seconds", serde.String, serde.Int64).Retain(time.Minute)
	ktable.CountWindows(stream.WindowBy(stream.GroupBy(source, func(_, v string) string { return "all" }, stream.NewTopic("all", serde.String, serde.String)), windows), store)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	drops := func(i *instance) (n int64) {
		for _, task := range i.app.Progress().Tasks {
			for _, d := range task.Drops {
				n += d.Count
			}
		}
		return n
	}
	cfg := Config{Workers: 1, SessionTimeout: 6 * time.Second, InstanceID: "me"}
	c.produceAt(in, []int64{100_000})
	i := c.start(topo, cfg)
	i.await(t, "the end of the input", soon, Progress.Done)
	if n := drops(i); n != 0 {
		t.Errorf("%d drops before anything is late", n)
	}
	i.crash()
	c.produceAt(in, []int64{10_000})
	i = c.start(topo, cfg)
	i.await(t, "the end of the input", soon, Progress.Done)
	if n := drops(i); n != 1 {
		t.Errorf("%d drops after the crash, want the late record", n)
	}
	i.end(t)
}

// Records that were deleted before they were processed are lost, and nobody but the user may say that it goes on without them.
func TestRecordsDeletedUnprocessedAreNamed(t *testing.T) {
	c := newCluster(t)
	topo, in, _ := numbers(t, c)
	c.produce(in, 1, []string{"1", "2"})
	i := c.start(topo, Config{Workers: 1})
	i.await(t, "the end of the input", soon, Progress.Done)
	i.end(t)
	c.produce(in, 1, []string{"3", "4", "5"})
	var before kadm.Offsets
	before.Add(kadm.Offset{Topic: in, At: 4})
	if _, err := c.admin.DeleteRecords(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	c.start(topo, Config{Workers: 1}).refused(t, in, "have been deleted", "set the group's offset")
}

// A topic that is deleted and made again under an application is another topic: its offsets mean nothing there.
func TestATopicMadeAgainIsRefused(t *testing.T) {
	c := newCluster(t)
	topo, in, _ := numbers(t, c)
	c.produce(in, 1, []string{"1", "2"})
	i := c.start(topo, Config{Workers: 1})
	i.await(t, "the end of the input", soon, Progress.Done)
	if _, err := c.admin.DeleteTopics(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	c.createTopic(in, 1)
	c.produce(in, 1, []string{"3"})
	i.refused(t, in, "restore it, or reset the application")
}
