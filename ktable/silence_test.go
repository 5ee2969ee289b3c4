package ktable_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// What waits for time is given in a silence: once, with what caches have held back until then, and not again after a crash.
func TestASilenceGivesWhatWaitsForTime(t *testing.T) {
	const timeout = 10 * time.Second
	in := stream.NewTopic("in", serde.String, serde.String)
	table := stream.NewTopic("table", serde.String, serde.String)
	out := stream.NewTopic("out", serde.Bytes, serde.Bytes)
	times, sessions := serde.TimeWindowed(serde.String, time.Minute), serde.SessionWindowed(serde.String)
	idle := stream.IdleAfter(timeout)
	for _, c := range []struct {
		name  string
		build func(b *stream.Builder, s *stream.Stream[string, string])
		due   time.Duration // of stream time, after the records, which are at 0
	}{
		{"a suppressed window", func(b *stream.Builder, s *stream.Stream[string, string]) {
			g := stream.WindowBy(stream.GroupByKey(s), stream.Tumbling(time.Minute))
			n := ktable.CountWindows(g, statestore.Window("n", serde.String, serde.Int64))
			last := ktable.SuppressUntilClose(n, statestore.Buffer("wait", times, serde.Int64), ktable.BufferLimit{})
			stream.To(ktable.ToStream(last), stream.NewTopic(out.Name(), times, serde.Int64))
		}, time.Minute},
		{"a suppressed table", func(b *stream.Builder, s *stream.Stream[string, string]) {
			n := ktable.Count(stream.GroupByKey(s), statestore.KeyValue("n", serde.String, serde.Int64))
			last := ktable.SuppressFor(n, time.Minute, statestore.Buffer("wait", serde.String, serde.Int64), ktable.BufferLimit{})
			stream.To(ktable.ToStream(last), stream.NewTopic(out.Name(), serde.String, serde.Int64))
		}, time.Minute},
		{"a sliding window", func(b *stream.Builder, s *stream.Stream[string, string]) {
			g := stream.WindowBy(stream.GroupByKey(s), stream.Sliding(time.Minute)).EmitOnClose()
			n := ktable.CountWindows(g, statestore.Window("n", serde.String, serde.Int64))
			stream.To(ktable.ToStream(n), stream.NewTopic(out.Name(), times, serde.Int64))
		}, time.Minute + time.Millisecond},
		{"a session", func(b *stream.Builder, s *stream.Stream[string, string]) {
			g := stream.SessionBy(stream.GroupByKey(s), stream.Sessions(time.Minute)).EmitOnClose()
			n := ktable.CountSessions(g, statestore.Session("n", serde.String, serde.Int64))
			stream.To(ktable.ToStream(n), stream.NewTopic(out.Name(), sessions, serde.Int64))
		}, time.Minute + time.Millisecond},
		{"records that wait for a table", func(b *stream.Builder, s *stream.Stream[string, string]) {
			rows := ktable.FromVersioned(b, table, statestore.Versioned("rows", serde.String, serde.String, time.Hour), idle)
			wait := ktable.WaitIn(statestore.GraceBuffer("wait", serde.String, serde.String), time.Minute)
			joined := ktable.LeftJoinStreamLate(s, rows, func(_, _ string, _ bool) string { return "" }, wait)
			twoAsOne := ktable.Count(stream.GroupByKey(joined), statestore.KeyValue("n", serde.String, serde.Int64))
			stream.To(ktable.ToStream(twoAsOne), stream.NewTopic(out.Name(), serde.String, serde.Int64))
		}, time.Minute},
	} {
		for _, every := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprintf("%s, commits every %v", c.name, every), func(t *testing.T) {
				b := stream.NewBuilder()
				c.build(b, stream.From(b, in, idle))
				topo, err := b.Build()
				if err != nil {
					t.Fatal(err)
				}
				d, err := runtimetest.New(topo, runtimetest.Config{CommitEvery: every, WriteBack: true})
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				if err := errors.Join(runtimetest.Pipe(d, in, "k", "v", 0), runtimetest.Pipe(d, in, "k", "v", 0),
					d.AdvanceWallClock(timeout+c.due-time.Millisecond)); err != nil {
					t.Fatal(err)
				}
				results := func() (all []int64) {
					for _, r := range d.OutputRaw(out.Name()) {
						n, err := serde.Int64.Decode(r.Value)
						if err != nil {
							t.Fatal(err)
						}
						all = append(all, n)
					}
					return all
				}
				if have := results(); len(have) != 0 {
					t.Errorf("a millisecond before: %v", have)
				}
				if err := errors.Join(d.AdvanceWallClock(time.Millisecond), d.Commit()); err != nil {
					t.Fatal(err)
				}
				if have := results(); !slices.Equal(have, []int64{2}) {
					t.Errorf("then: %v, want one result of both records", have)
				}
				if err := errors.Join(d.Restart(true), d.AdvanceWallClock(time.Hour), d.Commit()); err != nil {
					t.Fatal(err)
				}
				if have := results(); len(have) != 0 {
					t.Errorf("after a crash: %v", have)
				}
			})
		}
	}
}

// Early results and a silence that closes windows: each result comes once, the window that gave nothing early gives its only one when the silence closes it, and the
// last result of a window that did is not said again.
func TestEarlyResultsEndInASilence(t *testing.T) {
	const timeout, interval = 10 * time.Second, 25 * time.Second
	keys := serde.TimeWindowed(serde.String, time.Minute)
	in, out := text("in"), stream.NewTopic("out", keys, serde.Int64)
	b := stream.NewBuilder()
	minutes := stream.WindowBy(stream.GroupByKey(stream.From(b, in, stream.IdleAfter(timeout))), stream.Tumbling(time.Minute))
	counts := ktable.CountWindows(minutes, statestore.Window("n", serde.String, serde.Int64))
	early := ktable.EarlyResults(counts, interval, statestore.Buffer("wait", keys, serde.Int64), ktable.BufferLimit{})
	stream.To(ktable.ToStream(early), out)
	d := run(b)
	defer d.Close()

	pipe := func(key string, at int64) func() error {
		return func() error { return runtimetest.Pipe(d, in, key, "", at) }
	}
	pass := func(by time.Duration) func() error { return func() error { return d.AdvanceWallClock(by) } }
	for i, step := range []struct {
		do   func() error
		want []string
	}{
		{pipe("a", 10_000), nil},
		{pipe("b", 10_000), nil},
		{pass(interval), []string{"a/0=1", "b/0=1"}}, // the clock is at 25 s; the silence since 10 s took the time to 25 s
		{pipe("a", 45_000), nil},
		{pipe("c", 45_000), nil},
		{pass(timeout + 14*time.Second), nil},           // at 49 s, the time is at 59 s
		{pass(time.Second), []string{"a/0=2", "c/0=1"}}, // at 50 s both are due: by the interval, and since the minute is over
		{pass(time.Hour), nil},
		{pipe("a", 59_000), nil}, // late: the silence has closed its window
		{pass(time.Hour), nil},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, r := range runtimetest.Output(d, out) {
			have = append(have, fmt.Sprintf("%s/%d=%d", r.Key.Key, r.Key.Start, r.Value))
		}
		if !slices.Equal(have, step.want) {
			t.Errorf("step %d: have %v, want %v", i, have, step.want)
		}
	}
	if n := d.Dropped(); n != 1 {
		t.Errorf("%d dropped, want the late one", n)
	}
}
