package ktable_test

import (
	"errors"
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

func ExampleCountSessions() {
	var (
		clicks   = stream.NewTopic("clicks", serde.String, serde.String)
		sessions = statestore.Session("sessions", serde.String, serde.Int64)
		visits   = stream.NewTopic("visits", serde.SessionWindowed(serde.String), serde.Int64)
	)
	b := stream.NewBuilder()
	byUser := stream.SessionBy(stream.GroupByKey(stream.From(b, clicks)), stream.Sessions(30*time.Minute)).EmitOnClose()
	stream.To(ktable.ToStream(ktable.CountSessions(byUser, sessions)), visits)

	d := run(b)
	defer d.Close()
	for _, minute := range []int64{0, 10, 35, 90, 200} {
		check(runtimetest.Pipe(d, clicks, "ann", "/", minute*60_000))
	}
	for _, r := range runtimetest.Output(d, visits) {
		fmt.Println(r.Key.Key, r.Key.EndTime().Sub(r.Key.StartTime()), r.Value)
	}
	// Output:
	// ann 35m0s 3
	// ann 0s 1
}

func ExampleAggregateRows() {
	var (
		staff  = stream.NewTopic("staff", serde.String, serde.String) // the department of each person
		rows   = statestore.KeyValue("staff", serde.String, serde.String)
		byDept = stream.NewTopic("by-dept", serde.String, serde.String)
		names  = statestore.KeyValue("names", serde.String, serde.String)
		out    = stream.NewTopic("departments", serde.String, serde.String)
	)
	b := stream.NewBuilder()
	people := ktable.From(b, staff, rows)
	departments := ktable.GroupBy(people, func(name, dept string) (string, string) { return dept, name }, byDept)
	members := ktable.AggregateRows(departments, func() string { return "" },
		func(_, name, list string) string { return list + name + " " },
		func(_, name, list string) string { return strings.Replace(list, name+" ", "", 1) }, names)
	stream.To(ktable.ToStream(members), out)

	d := run(b)
	defer d.Close()
	check(runtimetest.Pipe(d, staff, "ann", "sales", 1))
	check(runtimetest.Pipe(d, staff, "bob", "sales", 2))
	check(runtimetest.Pipe(d, staff, "ann", "tools", 3))
	for _, r := range runtimetest.Output(d, out) {
		fmt.Printf("%s: %s\n", r.Key, strings.TrimSpace(r.Value))
	}
	// Output:
	// sales: ann
	// sales: ann bob
	// sales: bob
	// tools: ann
}

func ExampleCogroup() {
	var (
		carts  = stream.NewTopic("carts", serde.String, serde.Int64)
		visits = stream.NewTopic("page-visits", serde.String, serde.String)
		scores = statestore.KeyValue("scores", serde.String, serde.Int64)
		out    = stream.NewTopic("score-changes", serde.String, serde.Int64)
	)
	b := stream.NewBuilder()
	score := ktable.Cogroup(func() int64 { return 0 }, scores,
		ktable.Add(stream.GroupByKey(stream.From(b, carts)), func(_ string, items, score int64) int64 { return score + 10*items }),
		ktable.Add(stream.GroupByKey(stream.From(b, visits)), func(_, _ string, score int64) int64 { return score + 1 }))
	stream.To(ktable.ToStream(score), out)

	d := run(b)
	defer d.Close()
	check(runtimetest.Pipe(d, visits, "ann", "/shoes", 1))
	check(runtimetest.Pipe(d, carts, "ann", 2, 2))
	for _, r := range runtimetest.Output(d, out) {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// ann 1
	// ann 21
}

func ExampleSuppressUntilClose() {
	var (
		meters = stream.NewTopic("meters", serde.String, serde.Int64)
		keys   = serde.TimeWindowed(serde.String, time.Hour)
		hours  = statestore.Window("hours", serde.String, serde.Int64)
		wait   = statestore.Buffer("open-hours", keys, serde.Int64)
		out    = stream.NewTopic("hourly", keys, serde.Int64)
	)
	b := stream.NewBuilder()
	hourly := stream.WindowBy(stream.GroupByKey(stream.From(b, meters)), stream.Tumbling(time.Hour).Grace(5*time.Minute))
	sums := ktable.ReduceWindows(hourly, func(a, b int64) int64 { return a + b }, hours)
	stream.To(ktable.ToStream(ktable.SuppressUntilClose(sums, wait, ktable.BufferLimit{})), out)

	d := run(b)
	defer d.Close()
	for _, minute := range []int64{10, 50, 62, 58, 66} { // that of minute 58 comes late, in time
		check(runtimetest.Pipe(d, meters, "m1", 1, minute*60_000))
	}
	for _, r := range runtimetest.Output(d, out) {
		fmt.Println(r.Key.Key, r.Key.StartTime().UTC().Format("15:04"), r.Value)
	}
	// Output:
	// m1 00:00 3
}

// TestWrongWindowsAreFaults looks for each fault with the line of its call, which is this file's.
func TestWrongWindowsAreFaults(t *testing.T) {
	type grouped = *stream.Grouped[string, string]
	counts := func() *statestore.WindowSpec[string, int64] { return statestore.Window("s", serde.String, serde.Int64) }
	sessions := func() *statestore.SessionSpec[string, int64] {
		return statestore.Session("s", serde.String, serde.Int64)
	}
	buffer := func() *statestore.BufferSpec[stream.Windowed[string], int64] {
		return statestore.Buffer("b", serde.TimeWindowed(serde.String, time.Second), serde.Int64)
	}
	for _, c := range []struct {
		want string
		add  func(g grouped)
	}{
		{"a difference of -1s", func(g grouped) { ktable.CountWindows(stream.WindowBy(g, stream.Sliding(-time.Second)), counts()) }},
		{"no whole number of milliseconds", func(g grouped) { ktable.CountWindows(stream.WindowBy(g, stream.Sliding(time.Microsecond)), counts()) }},
		{"a gap of -1s", func(g grouped) { ktable.CountSessions(stream.SessionBy(g, stream.Sessions(-time.Second)), sessions()) }},
		{"retains 1s", func(g grouped) {
			ktable.CountSessions(stream.SessionBy(g, stream.Sessions(time.Minute)), sessions().Retain(time.Second))
		}},
		{"the store is nil", func(g grouped) { ktable.CountSessions(stream.SessionBy(g, stream.Sessions(time.Minute)), nil) }},
		{"must start in 1970", func(g grouped) {
			ktable.CountWindows(stream.WindowBy(g, stream.Unlimited(time.UnixMilli(-1))), counts())
		}},
		{"never close", func(g grouped) {
			ktable.CountWindows(stream.WindowBy(g, stream.Unlimited(time.UnixMilli(0))).EmitOnClose(), counts())
		}},
		{"an interval of -1s", func(g grouped) {
			ktable.CountWindows(stream.WindowBy(g, stream.Tumbling(time.Second)).EmitOnCloseEvery(-time.Second), counts())
		}},
		{"EmitEarly", func(g grouped) {
			ktable.SuppressUntilClose(ktable.CountWindows(stream.WindowBy(g, stream.Tumbling(time.Second)), counts()), buffer(), ktable.BufferLimit{EmitEarly: true})
		}},
		{"the buffer is nil", func(g grouped) {
			ktable.SuppressUntilClose(ktable.CountWindows(stream.WindowBy(g, stream.Tumbling(time.Second)), counts()), nil, ktable.BufferLimit{})
		}},
		{"must not be negative", func(g grouped) {
			ktable.SuppressFor(ktable.Reduce(g, concat, texts("t")), time.Second, statestore.Buffer("b", serde.String, serde.String), ktable.BufferLimit{MaxRecords: -1})
		}},
		{"a wait of -1s", func(g grouped) {
			ktable.SuppressFor(ktable.Reduce(g, concat, texts("t")), -time.Second, statestore.Buffer("b", serde.String, serde.String), ktable.BufferLimit{})
		}},
		{"the function is nil", func(g grouped) {
			ktable.ReduceSessions(stream.SessionBy(g, stream.Sessions(time.Minute)), nil, statestore.Session("s", serde.String, serde.String))
		}},
		{"the function is nil", func(g grouped) {
			ktable.Cogroup(func() string { return "" }, texts("s"), ktable.Add[string, string, string](g, nil))
		}},
	} {
		b := stream.NewBuilder()
		c.add(stream.GroupByKey(stream.From(b, text("in"))))
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "windowed_test.go:") {
			t.Errorf("%q: the error is %v", c.want, err)
		}
	}
	b := stream.NewBuilder()
	ktable.GroupBy(ktable.From(b, text("in"), nil), func(k, v string) (string, string) { return v, k }, text("by"))
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "keeps no rows") {
		t.Errorf("rows that nobody keeps: the error is %v", err)
	}
}

// TestSessionsThatAreChangedInPlace gives functions that write into the aggregate they get.
func TestSessionsThatAreChangedInPlace(t *testing.T) {
	b := stream.NewBuilder()
	keys := serde.SessionWindowed(serde.String)
	sessions := ktable.AggregateSessions(stream.SessionBy(stream.GroupByKey(stream.From(b, text("in"))), stream.Sessions(5*time.Millisecond).Grace(time.Second)),
		func() []byte { return []byte{} },
		func(_, v string, agg []byte) []byte { return append(agg, v...) },
		func(_ string, a, b []byte) []byte {
			clear(b[copy(b, a):])
			return append(append([]byte{}, b...), 'm')
		}, statestore.Session("s", serde.String, serde.Bytes))
	by := ktable.GroupBy(sessions, func(k stream.Windowed[string], v []byte) (string, int64) { return k.Key, int64(len(v)) }, stream.NewTopic("by", serde.String, serde.Int64))
	add := func(a, b int64) int64 { return a + b }
	sum := ktable.ReduceRows(by, add, func(a, b int64) int64 { return a - b }, statestore.KeyValue("sum", serde.String, serde.Int64))
	out, raw := stream.NewTopic("out", serde.String, serde.Int64), stream.NewTopic("raw", keys, serde.Bytes)
	stream.To(ktable.ToStream(sum), out)
	stream.To(ktable.ToStream(sessions), raw)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	feed(t, d, "in", "k=x@10", "k=yy@14", "k=z@100")
	// One session of x; then none; then one of its place holder, the mark of the merge, and yy.
	expect(t, d, out, "k=1@10", "k=0@10", "k=4@14", "k=5@100")
}

// TestWindowsOwedAreEmittedAfterARestart closes a window with the first record after its task was lost.
func TestWindowsOwedAreEmittedAfterARestart(t *testing.T) {
	b := stream.NewBuilder()
	out := stream.NewTopic("out", serde.TimeWindowed(serde.String, 10*time.Millisecond), serde.Int64)
	g := stream.WindowBy(stream.GroupByKey(stream.From(b, text("in"))), stream.Tumbling(10*time.Millisecond)).EmitOnClose()
	stream.To(ktable.ToStream(ktable.CountWindows(g, statestore.Window("s", serde.String, serde.Int64))), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	feed(t, d, "in", "k=a@1", "j=a@2", "k=a@12")
	expect(t, d, out, "j[0,10)=1@2", "k[0,10)=1@1")
	if err := d.Restart(true); err != nil {
		t.Fatal(err)
	}
	feed(t, d, "in", "k=a@5000")
	expect(t, d, out, "k[10,20)=1@12")
}

// TestFullBufferEndsTheTask checks the error that tells so.
func TestFullBufferEndsTheTask(t *testing.T) {
	b := stream.NewBuilder()
	rows := ktable.From(b, text("in"), texts("rows"))
	stream.To(ktable.ToStream(ktable.SuppressFor(rows, time.Hour, statestore.Buffer("b", serde.String, serde.String), ktable.BufferLimit{MaxBytes: 200})), text("out"))
	d := runtimetest.Start(t, b, runtimetest.Config{})
	feed(t, d, "in", "k=a@1")
	if err := d.PipeRaw("in", []byte("j"), make([]byte, 200), 2); !errors.Is(err, ktable.ErrBufferFull) {
		t.Errorf("the error is %v", err)
	}
}
