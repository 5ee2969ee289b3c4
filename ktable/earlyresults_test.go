package ktable_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func ExampleEarlyResults() {
	var (
		clicks = stream.NewTopic("clicks", serde.String, serde.String)
		keys   = serde.TimeWindowed(serde.String, time.Hour)
		out    = stream.NewTopic("hourly-clicks", keys, serde.Int64)
	)
	b := stream.NewBuilder()
	hourly := stream.WindowBy(stream.GroupByKey(stream.From(b, clicks)), stream.Tumbling(time.Hour))
	counts := ktable.CountWindows(hourly, statestore.Window("hours", serde.String, serde.Int64))
	early := ktable.EarlyResults(counts, 10*time.Second, statestore.Buffer("waiting", keys, serde.Int64), ktable.BufferLimit{})
	stream.To(ktable.ToStream(early), out)

	d := run(b)
	defer d.Close()
	for minute := range int64(3) {
		check(runtimetest.Pipe(d, clicks, "ann", "/shoes", minute*60_000))
	}
	check(d.AdvanceWallClock(10 * time.Second))                      // so far
	check(d.AdvanceWallClock(10 * time.Second))                      // nothing new
	check(runtimetest.Pipe(d, clicks, "ann", "/hats", 59*60_000))    // one more
	check(runtimetest.Pipe(d, clicks, "ann", "/hats", 60*60_000+10)) // closes the hour
	for _, r := range runtimetest.Output(d, out) {
		fmt.Println(r.Key.Key, r.Key.StartTime().UTC().Format("15:04"), r.Value)
	}
	// Output:
	// ann 00:00 3
	// ann 00:00 4
}

// TestEarlyResultsReplaceTheirFormerOnes sums up early results below: what a window or a session gave before is taken back, after a crash too, and one that became part of
// another gives a tombstone only if it had given something.
func TestEarlyResultsReplaceTheirFormerOnes(t *testing.T) {
	in, out, all := text("in"), stream.NewTopic("out", serde.SessionWindowed(serde.String), serde.String), text("all")
	join := func(a, b string) string { return a + b }
	b := stream.NewBuilder()
	sessions := stream.SessionBy(stream.GroupByKey(stream.From(b, in)), stream.Sessions(10*time.Millisecond).Grace(50*time.Millisecond))
	table := ktable.ReduceSessions(sessions, join, statestore.Session("sessions", serde.String, serde.String))
	early := ktable.EarlyResults(table, time.Second, statestore.Buffer("waiting", serde.SessionWindowed(serde.String), serde.String), ktable.BufferLimit{})
	stream.To(ktable.ToStream(early), out)
	together := ktable.GroupBy(early, func(w stream.Windowed[string], v string) (string, string) { return w.Key, v }, text("by-key"))
	sum := ktable.ReduceRows(together, join, func(sofar, v string) string { return strings.Replace(sofar, v, "", 1) },
		statestore.KeyValue("sum", serde.String, serde.String))
	stream.To(ktable.ToStream(sum), all)
	d := run(b)
	defer d.Close()
	for i, c := range []struct {
		value string // "": a second passes
		at    int64
		want  string
		sum   string
	}{
		{value: "a", at: 0},
		{value: "b", at: 20},
		{value: "c", at: 25}, // the session of b alone was never told
		{want: "0-0 a, 20-25 bc", sum: "abc"},
		{},
		{value: "d", at: 10}, // makes them one
		{want: "0-0 null, 0-25 abcd, 20-25 null", sum: "abcd"},
		{value: "e", at: 200}, // closes it without a change
		{value: "f", at: 300, want: "200-200 e", sum: "abcde"},
	} {
		if c.value == "" {
			check(d.AdvanceWallClock(time.Second))
		} else {
			check(runtimetest.Pipe(d, in, "k", c.value, c.at))
		}
		var have []string
		for _, r := range runtimetest.Output(d, out) {
			v := r.Value
			if r.ValueNull {
				v = "null"
			}
			have = append(have, fmt.Sprintf("%d-%d %s", r.Key.Start, r.Key.End, v))
		}
		if got := strings.Join(have, ", "); got != c.want {
			t.Errorf("step %d gives %q, want %q", i, got, c.want)
		}
		last := ""
		for _, r := range runtimetest.Output(d, all) {
			last = r.Value
		}
		if last != c.sum {
			t.Errorf("step %d leaves the sum %q, want %q", i, last, c.sum)
		}
		check(d.Restart(true))
	}
}

// TestEarlyResultsFaults are told when the topology is built.
func TestEarlyResultsFaults(t *testing.T) {
	keys := serde.TimeWindowed(serde.String, time.Second)
	for want, interval := range map[string]time.Duration{"an interval of 0s": 0, "an interval of 1.0001ms": time.Millisecond + 100} {
		b := stream.NewBuilder()
		windows := stream.WindowBy(stream.GroupByKey(stream.From(b, text("in"))), stream.Tumbling(time.Second))
		counts := ktable.CountWindows(windows, statestore.Window("s", serde.String, serde.Int64))
		ktable.EarlyResults(counts, interval, statestore.Buffer("b", keys, serde.Int64), ktable.BufferLimit{})
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Build says %v, want %q", err, want)
		}
	}
}
