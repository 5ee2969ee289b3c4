package stream_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func text(name string) stream.Topic[string, string] {
	return stream.NewTopic(name, serde.String, serde.String)
}

// line is the number of the line it is called on.
func line() int {
	_, _, n, _ := runtime.Caller(1)
	return n
}

// TestBuildReturnsEveryFaultWithItsLine makes one mistake of each kind, all in one builder: nothing hides behind the first.
func TestBuildReturnsEveryFaultWithItsLine(t *testing.T) {
	b := stream.NewBuilder()
	var want []string
	expect := func(line int, format string, args ...any) {
		want = append(want, fmt.Sprintf("faults_test.go:%d: %s", line, fmt.Sprintf(format, args...)))
	}
	key := func(_, v string) string { return v }
	counts := statestore.KeyValue("counts", serde.String, serde.Int64)

	in := stream.From(b, text("in"))
	ktable.Count(stream.GroupByKey(in), counts)
	first := line() - 1
	ktable.Count(stream.GroupByKey(in), counts)
	expect(line()-1, `ktable.Count: store "counts" is already used at faults_test.go:%d`, first)

	rekeyed := stream.SelectKey(in, key)
	changed := line() - 1
	ktable.Count(stream.GroupByKey(rekeyed), statestore.KeyValue("c2", serde.String, serde.Int64))
	expect(line()-1, `ktable.Count: keys were changed by stream.SelectKey at faults_test.go:%d, so records must go through a repartition topic: give one, its name is durable`, changed)

	stream.Repartition(in, text("r"))
	r := line() - 1
	stream.Repartition(rekeyed, text("r"))
	expect(line()-1, `stream.Repartition: repartition topic "r-repartition" is already used at faults_test.go:%d`, r)

	ktable.From(b, text("in"), statestore.KeyValue("t", serde.String, serde.String))
	expect(line()-1, `ktable.From: topic "in" is read as a stream and as a table (the other is at faults_test.go:%d): use ktable.ToStream or ktable.ToTable of one of them`, first-1)

	stream.From(b, stream.NewTopic("in", serde.Int64, serde.String))
	expect(line()-1, `stream.From: topic "in" is already read by a source with other topics, types or options at faults_test.go:%d`, first-1)

	stream.From(b, text("timed").EventTime(func(_, _ string, at, _ int64) int64 { return at }), stream.UseWallClock())
	expect(line()-1, `stream.From: topic "timed" has an event time of its own: an option about timestamps contradicts it`)

	stream.From(b, text("ahead"), stream.FromAgo(-time.Second))
	expect(line()-1, `stream.From: reading is to begin -1s ago: give 0 or more`)

	stream.To(in, stream.NewTopic[string, string]("half", nil, serde.String))
	expect(line()-1, `stream.To: topic "half" has no serde for its keys`)

	ktable.Count(stream.GroupByKey(in), statestore.KeyValue[string, int64]("c3", nil, nil))
	expect(line()-1, `ktable.Count: store "c3" has no serde for its keys`)
	expect(line()-2, `ktable.Count: store "c3" has no serde for its values`)

	windows := stream.Tumbling(time.Hour).Grace(time.Hour)
	revenue := statestore.Window("revenue", serde.String, serde.Int64).Retain(time.Hour)
	ktable.CountWindows(stream.WindowBy(stream.GroupByKey(in), windows), revenue)
	expect(line()-1, `ktable.CountWindows: store "revenue" retains 1h0m0s, less than its windows and their grace need (2h0m0s)`)

	stream.WindowBy(stream.GroupByKey(in), stream.Tumbling(0))
	expect(line()-1, `stream.WindowBy: a window of 0s: the size must be 1ms or more`)
	expect(line()-2, `stream.WindowBy: windows of 0s that advance by 0s: the advance must be from 1ms up to the size`)

	stream.WindowBy(stream.GroupByKey(in), stream.Tumbling(time.Minute).Grace(time.Microsecond))
	expect(line()-1, `stream.WindowBy: 1µs is no whole number of milliseconds, which is what records' times are counted in`)

	stream.Filter(in, nil)
	expect(line()-1, `stream.Filter: the function is nil`)

	stream.To(in, text(""))
	expect(line()-1, `stream.To: a topic needs a name`)

	stream.To(in, text("zwei wörter"))
	expect(line()-1, `stream.To: topic name "zwei wörter": only letters a-z and A-Z, digits, '.', '_' and '-' are allowed`)

	ktable.Count(stream.GroupByKey(in), statestore.KeyValue("a/b", serde.String, serde.Int64))
	expect(line()-1, `ktable.Count: store "a/b" cannot name its changelog: topic name "a/b-changelog": only letters a-z and A-Z, digits, '.', '_' and '-' are allowed`)

	stream.Repartition(in, text(""))
	expect(line()-1, `stream.Repartition: a repartition topic needs a name`)

	lookless := ktable.From(b, text("lookless"), nil)
	at := line() - 1
	ktable.JoinStream(in, lookless, func(a, b string) string { return a })
	expect(line()-1, `ktable.JoinStream: the table of faults_test.go:%d keeps no rows to look up: give it a store`, at)

	other := stream.From(stream.NewBuilder(), text("in"))
	stream.Merge(in, other)
	expect(line()-1, `stream.Merge: takes a stream of another Builder`)

	_, err := b.Build()
	if err == nil {
		t.Fatal("built")
	}
	have := strings.Split(err.Error(), "\n")
	for i := range max(len(have), len(want)) {
		h, w := "", ""
		if i < len(have) {
			h = have[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if h != w {
			t.Errorf("fault %d\nhave %s\nwant %s", i, h, w)
		}
	}
}

func TestBuiltTopologyTakesNothingMore(t *testing.T) {
	b := stream.NewBuilder()
	in := stream.From(b, text("in"))
	first, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Build(); err != nil || again.Fingerprint() != first.Fingerprint() {
		t.Errorf("a second Build: %v", err)
	}
	stream.To(in, text("out"))
	want := fmt.Sprintf("faults_test.go:%d: stream.To: the topology is built already: nothing can be added to it", line()-1)
	if _, err := b.Build(); err == nil || err.Error() != want {
		t.Errorf("have %v\nwant %s", err, want)
	}
}

func TestOneTopicIsNotTwoTables(t *testing.T) {
	b := stream.NewBuilder()
	ktable.From(b, text("in"), statestore.KeyValue("one", serde.String, serde.String))
	ktable.From(b, text("in"), statestore.KeyValue("two", serde.String, serde.String))
	at := line() - 1
	want := fmt.Sprintf(`faults_test.go:%d: ktable.From: topic "in" is already read as a table at faults_test.go:%d: use that table`, at, at-1)
	if _, err := b.Build(); err == nil || err.Error() != want {
		t.Errorf("have %v\nwant %s", err, want)
	}
}

func TestBuildRefusesAnEmptyTopology(t *testing.T) {
	_, err := stream.NewBuilder().Build()
	if err == nil || err.Error() != "stream.Build: the topology is empty: it reads no topic" {
		t.Errorf("the error is %v", err)
	}
}

// TestFaultsNameTheCallerOfAUsersOperator: an operator of the user's own is the user's code, so the line is the one inside it.
func TestFaultsNameTheCallerOfAUsersOperator(t *testing.T) {
	b := stream.NewBuilder()
	inside := 0
	double := func(s *stream.Stream[string, string]) *stream.Stream[string, string] {
		inside = line() + 1
		return stream.MapValues[string, string, string](s, nil)
	}
	double(stream.From(b, text("in")))
	_, err := b.Build()
	if want := fmt.Sprintf("faults_test.go:%d: stream.MapValues: the function is nil", inside); err == nil || err.Error() != want {
		t.Errorf("have %v\nwant %s", err, want)
	}
}

// TestSerdesFollowFromTypesOrAreMissed at Build.
func TestSerdesFollowFromTypesOrAreMissed(t *testing.T) {
	b := stream.NewBuilder()
	in := stream.From(b, stream.TopicOf[string, int64]("in"))
	stream.To(in, stream.TopicOf[string, int64]("out"))
	if _, err := b.Build(); err != nil {
		t.Errorf("text and numbers: %v", err)
	}
	b = stream.NewBuilder()
	stream.From(b, stream.TopicOf[string, struct{ A int }]("in"))
	want := fmt.Sprintf(`faults_test.go:%d: stream.From: topic "in" has no serde for its values`, line()-1)
	if _, err := b.Build(); err == nil || err.Error() != want {
		t.Errorf("have %v\nwant %s", err, want)
	}
}
