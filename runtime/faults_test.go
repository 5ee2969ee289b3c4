package runtime

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// faulty is a topology in which every kind of fault can be had by a word: numbers are doubled, and "panic", "error", "mute" and "huge" go wrong.
func faulty(t *testing.T, c *cluster) (topo *topology.Topology, in, out, dead string) {
	t.Helper()
	in, out, dead = c.name+"-in", c.name+"-out", c.name+"-dead"
	for _, topic := range []string{in, out, dead} {
		c.createTopic(topic, 1)
	}
	b := stream.NewBuilder()
	words := stream.From(b, stream.NewTopic(in, serde.String, serde.Serde[string](picky{serde.String, "undecodable", ""})))
	stream.To(stream.MapValuesCtx(words, func(_ context.Context, _, v string) (string, error) {
		switch v {
		case "panic":
			panic("a function panics")
		case "error":
			return "", errFaulty
		case "huge":
			return strings.Repeat("x", 2<<20), nil
		}
		return v + v, nil
	}), stream.NewTopic(out, serde.String, serde.Serde[string](picky{serde.String, "", "mutemute"})))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo, in, out, dead
}

var errFaulty = errors.New("a function fails")

// picky is a serde that refuses to read one value and to write one.
type picky struct {
	serde.Serde[string]
	unread, unwritten string
}

func (p picky) Decode(b []byte) (string, error) {
	if p.unread != "" && string(b) == p.unread {
		return "", errFaulty
	}
	return p.Serde.Decode(b)
}

func (p picky) Append(dst []byte, v string) ([]byte, error) {
	if p.unwritten != "" && v == p.unwritten {
		return dst, errFaulty
	}
	return p.Serde.Append(dst, v)
}

// committed reads a topic as a reader of committed records.
func (c *cluster) committed(topic string) (all []*kgo.Record) {
	c.t.Helper()
	ends, err := c.admin.ListCommittedOffsets(c.t.Context(), topic)
	if err != nil {
		c.t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	opts := []kgo.Opt{kgo.SeedBrokers(c.brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords()}
	if c.dial != nil {
		opts = append(opts, kgo.Dialer(c.dial))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(c.t.Context())
		if err := fetches.Err(); err != nil {
			c.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
		})
	}
	return all
}

// Every kind of fault, each with the header that names its error; the records between them pass.
func TestEveryKindOfFaultBecomesADeadLetter(t *testing.T) {
	c := newCluster(t)
	topo, in, out, dead := faulty(t, c)
	bad := []struct{ word, kind, exception, message string }{
		{"undecodable", "undecodable", "deserialization error", "value: a function fails"},
		{"error", "failed", "processing error", "a function fails"},
		{"panic", "failed", "panic", "panic: a function panics"},
		{"mute", "unwritable", "production error", "value: a function fails"},
		{"huge", "unwritable", "production error", "max.message.bytes"},
	}
	words := []string{"a"}
	for _, b := range bad {
		words = append(words, b.word, "a")
	}
	c.produce(in, 1, words)
	i := c.start(topo, Config{Workers: 1, Faults: stream.Faults{
		Deserialization: stream.DeadLetterFaults, Processing: stream.DeadLetterFaults, Production: stream.DeadLetterFaults, DeadLetterTopic: dead,
	}})
	i.await(t, "the end of the input", soon, Progress.Done)
	task := i.app.Progress().Tasks[0]
	i.end(t)
	if n := len(c.committed(out)); n != len(bad)+1 {
		t.Errorf("%d records came out, want %d", n, len(bad)+1)
	}
	counts := map[string]int64{}
	for _, d := range task.Drops {
		counts[d.Reason] += d.Count
	}
	letters := c.committed(dead)
	if len(letters) != len(bad) {
		t.Fatalf("%d dead letters, want %d", len(letters), len(bad))
	}
	for n, b := range bad {
		if counts[b.kind] == 0 {
			t.Errorf("%s: not counted: %v", b.word, counts)
		}
		counts[b.kind]--
		headers := map[string]string{}
		for _, h := range letters[n].Headers {
			headers[h.Key] = string(h.Value)
		}
		if string(letters[n].Value) != b.word || headers["__streams.errors.exception"] != b.exception || !strings.Contains(headers["__streams.errors.message"], b.message) ||
			headers["__streams.errors.topic"] != in || headers["__streams.errors.partition"] != "0" || headers["__streams.errors.offset"] != []string{"1", "3", "5", "7", "9"}[n] {
			t.Errorf("%s: the dead letter is %q with %q", b.word, letters[n].Value, headers)
		}
		if where := headers["__streams.errors.stacktrace"]; !strings.Contains(where, "faults_test.go:") {
			t.Errorf("%s: the line of the program is not in %q", b.word, where)
		}
	}
}

// A dead letter is in the transaction of its record's offset: however often the application is killed, each bad record has one (S1-S4).
func TestDeadLettersAreExactlyOnceThroughKills(t *testing.T) {
	c := newCluster(t)
	rng := seeded(t)
	topo, in, out, dead := faulty(t, c)
	dir := t.TempDir()
	cfg := Config{Workers: 1, StateDir: dir, CommitInterval: 5 * time.Millisecond, SessionTimeout: 6 * time.Second, Faults: stream.Faults{
		Deserialization: stream.SkipFaults, Processing: stream.DeadLetterFaults, DeadLetterTopic: dead,
	}}
	good, bad := 0, 0
	for range 4 {
		var words []string
		for range 500 {
			switch rng.IntN(10) {
			case 0:
				words, bad = append(words, "error"), bad+1
			case 1:
				words = append(words, "undecodable")
			default:
				words, good = append(words, "a"), good+1
			}
		}
		c.produce(in, 1, words)
		i := c.start(topo, cfg)
		enough := int64(rng.IntN(6))
		i.await(t, "some commits", soon, func(p Progress) bool { return p.Commits >= enough || p.Done() })
		i.crash()
	}
	i := c.start(topo, cfg)
	i.await(t, "the end of the input", soon, Progress.Done)
	i.end(t)
	if n := len(c.committed(out)); n != good {
		t.Errorf("%d results, want %d", n, good)
	}
	letters := c.committed(dead)
	seen := map[string]bool{}
	for _, l := range letters {
		for _, h := range l.Headers {
			if h.Key == "__streams.errors.offset" {
				if seen[string(h.Value)] {
					t.Errorf("two dead letters for offset %s", h.Value)
				}
				seen[string(h.Value)] = true
			}
		}
	}
	if len(letters) != bad {
		t.Errorf("%d dead letters, want %d", len(letters), bad)
	}
}

// Without a handler, and with one that fails, nothing of the record is left: no output, no dead letter, no offset.
func TestAFaultThatEndsTheAppLeavesNoDeadLetter(t *testing.T) {
	c := newCluster(t)
	topo, in, out, dead := faulty(t, c)
	c.produce(in, 1, []string{"panic"})
	for _, faults := range []stream.Faults{
		{DeadLetterTopic: dead},
		{Processing: func(*stream.Fault) stream.Decision { return stream.Fail }, DeadLetterTopic: dead},
		{Processing: func(*stream.Fault) stream.Decision { panic("the handler panics") }, DeadLetterTopic: dead},
		{Processing: stream.DeadLetterFaults}, // nowhere to put it
	} {
		i := c.start(topo, Config{Workers: 1, Faults: faults})
		<-i.done
		var f *stream.Fault
		if !errors.As(i.err, &f) || f.Kind != stream.FaultProcessing || f.Op != "stream.MapValuesCtx" || !strings.Contains(i.err.Error(), "a function panics") {
			t.Errorf("Run: %v", i.err)
		}
	}
	if n := len(c.committed(out)) + len(c.committed(dead)); n != 0 {
		t.Errorf("%d records were written", n)
	}
}

func TestADeadLetterTopicMustExist(t *testing.T) {
	c := newCluster(t)
	topo, _, _, _ := faulty(t, c)
	i := c.start(topo, Config{Workers: 1, Faults: stream.Faults{Processing: stream.DeadLetterFaults, DeadLetterTopic: c.name + "-nowhere"}})
	<-i.done
	if i.err == nil || !strings.Contains(i.err.Error(), c.name+"-nowhere") {
		t.Errorf("Run: %v", i.err)
	}
	if err := (Config{AppID: "a", Faults: stream.Faults{DeadLetterTopic: "no name"}}).Validate(); err == nil || !strings.Contains(err.Error(), "DeadLetterTopic") {
		t.Errorf("Validate: %v", err)
	}
}
