package stream_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func ExampleIdleAfter() {
	var (
		calls     = stream.NewTopic("calls", serde.String, serde.String)
		perMinute = statestore.Window("calls-per-minute", serde.String, serde.Int64)
		counts    = stream.NewTopic("counts", serde.TimeWindowed(serde.String, time.Minute), serde.Int64)
	)
	b := stream.NewBuilder()
	in := stream.From(b, calls, stream.IdleAfter(10*time.Second))
	minutes := stream.WindowBy(stream.GroupByKey(in), stream.Tumbling(time.Minute)).EmitOnClose()
	stream.To(ktable.ToStream(ktable.CountWindows(minutes, perMinute)), counts)

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, calls, "ann", "hello", 40_000))
	for range 3 { // nobody calls any more
		check(d.AdvanceWallClock(15 * time.Second))
		fmt.Println(d.Now().UTC().Format("04:05"), len(runtimetest.Output(d, counts)))
	}
	// Output:
	// 00:15 0
	// 00:30 1
	// 00:45 0
}

const (
	idleTimeout = 10 * time.Second
	idleWindow  = 60_000 // ms
)

// idleWorld counts the records of several topics by windows that give their result when they close.
type idleWorld struct {
	inputs []stream.Topic[string, string]
	out    stream.Topic[stream.Windowed[string], int64]
}

func newIdleWorld(b *stream.Builder, inputs ...[]stream.SourceOption) *idleWorld {
	w := &idleWorld{out: stream.NewTopic("out", serde.TimeWindowed(serde.String, idleWindow*time.Millisecond), serde.Int64)}
	var all *stream.Stream[string, string]
	for i, opts := range inputs {
		in := text(fmt.Sprintf("in%d", i))
		w.inputs = append(w.inputs, in)
		if s := stream.From(b, in, opts...); all == nil {
			all = s
		} else {
			all = stream.Merge(all, s)
		}
	}
	windows := stream.WindowBy(stream.GroupByKey(all), stream.Tumbling(idleWindow*time.Millisecond)).EmitOnClose()
	stream.To(ktable.ToStream(ktable.CountWindows(windows, statestore.Window("counts", serde.String, serde.Int64))), w.out)
	return w
}

// results are the results since the last call, each with its window's start in windows.
func (w *idleWorld) results(d *runtimetest.Driver) (all []string) {
	for _, r := range runtimetest.Output(d, w.out) {
		all = append(all, fmt.Sprintf("%s/%d=%d", r.Key.Key, r.Key.Start/idleWindow, r.Value))
	}
	return all
}

func expect(t *testing.T, what string, have []string, want ...string) {
	t.Helper()
	if !slices.Equal(have, want) {
		t.Errorf("%s: have %v, want %v", what, have, want)
	}
}

func advance(t *testing.T, d *runtimetest.Driver, by time.Duration) {
	t.Helper()
	if err := d.AdvanceWallClock(by); err != nil {
		t.Fatal(err)
	}
}

func TestTimeStandsStillWithoutIdleAfter(t *testing.T) {
	b := stream.NewBuilder()
	w := newIdleWorld(b, nil)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	if err := runtimetest.Pipe(d, w.inputs[0], "k", "v", 1); err != nil {
		t.Fatal(err)
	}
	advance(t, d, 1000*time.Hour)
	expect(t, "after 1000 hours", w.results(d))
}

// The window ends at 60 s; time stands at 1 s when the silence begins, and goes on after the time-out.
func TestASilenceClosesWindowsToTheMillisecond(t *testing.T) {
	b := stream.NewBuilder()
	w := newIdleWorld(b, []stream.SourceOption{stream.IdleAfter(idleTimeout)})
	d := runtimetest.Start(t, b, runtimetest.Config{})
	if err := runtimetest.Pipe(d, w.inputs[0], "k", "v", 1000); err != nil {
		t.Fatal(err)
	}
	advance(t, d, idleTimeout+59*time.Second-time.Millisecond)
	expect(t, "a millisecond before", w.results(d))
	advance(t, d, time.Millisecond)
	expect(t, "at its end", w.results(d), "k/0=1")
	advance(t, d, time.Hour)
	expect(t, "once", w.results(d))

	// What comes now is late where its window is closed, though no record has closed it.
	if err := errors.Join(
		runtimetest.Pipe(d, w.inputs[0], "k", "late", 2000),
		runtimetest.Pipe(d, w.inputs[0], "k", "in time", 70*idleWindow),
	); err != nil {
		t.Fatal(err)
	}
	if drops := d.Drops(); len(drops) != 1 || drops[0].Reason != runtimetest.DropLate || drops[0].Count != 1 {
		t.Errorf("drops: %v", drops)
	}
	// The record has ended the silence: the next one begins with a time-out.
	advance(t, d, idleTimeout)
	expect(t, "the time-out of the next silence", w.results(d))
	advance(t, d, idleWindow*time.Millisecond)
	expect(t, "the next silence", w.results(d), "k/70=1")
}

func TestNothingIsSilentBeforeTheFirstRecord(t *testing.T) {
	b := stream.NewBuilder()
	w := newIdleWorld(b, []stream.SourceOption{stream.IdleAfter(idleTimeout)})
	d := runtimetest.Start(t, b, runtimetest.Config{})
	advance(t, d, 1000*time.Hour)
	if err := runtimetest.Pipe(d, w.inputs[0], "k", "v", 1); err != nil {
		t.Fatal(err)
	}
	if d.Dropped() != 0 {
		t.Errorf("drops: %v", d.Drops())
	}
}

// One input that speaks, or that is never silent, keeps the time of the whole task.
func TestTimeWaitsForAllInputs(t *testing.T) {
	idle := []stream.SourceOption{stream.IdleAfter(idleTimeout)}
	longer := []stream.SourceOption{stream.IdleAfter(3 * idleTimeout)}
	for _, c := range []struct {
		name   string
		inputs [][]stream.SourceOption
		silent time.Duration // until time goes on, 0: for ever
	}{
		{"both", [][]stream.SourceOption{idle, idle}, idleTimeout},
		{"the longer time-out counts", [][]stream.SourceOption{idle, longer}, 3 * idleTimeout},
		{"one without the option", [][]stream.SourceOption{idle, nil}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := stream.NewBuilder()
			w := newIdleWorld(b, c.inputs...)
			d := runtimetest.Start(t, b, runtimetest.Config{})
			if err := runtimetest.Pipe(d, w.inputs[0], "k", "v", 0); err != nil {
				t.Fatal(err)
			}
			if c.silent == 0 {
				advance(t, d, 1000*time.Hour)
				expect(t, "after 1000 hours", w.results(d))
				return
			}
			advance(t, d, c.silent+idleWindow*time.Millisecond-time.Millisecond)
			expect(t, "before", w.results(d))
			advance(t, d, time.Millisecond)
			expect(t, "at the end", w.results(d), "k/0=1")
		})
	}
}

// S1: what a silence has closed is closed after a crash, also when only the committed metadata tells; what it has not, waits for another time-out.
func TestWhatASilenceClosedStaysClosedAfterACrash(t *testing.T) {
	for _, lose := range []bool{false, true} {
		t.Run(fmt.Sprintf("engine lost %v", lose), func(t *testing.T) {
			b := stream.NewBuilder()
			w := newIdleWorld(b, []stream.SourceOption{stream.IdleAfter(idleTimeout)})
			d := runtimetest.Start(t, b, runtimetest.Config{})
			if err := runtimetest.Pipe(d, w.inputs[0], "k", "v", 0); err != nil {
				t.Fatal(err)
			}
			advance(t, d, idleTimeout+idleWindow*time.Millisecond)
			expect(t, "before the crash", w.results(d), "k/0=1")
			if err := errors.Join(d.Restart(lose),
				runtimetest.Pipe(d, w.inputs[0], "k", "late", 1),
				runtimetest.Pipe(d, w.inputs[0], "k", "in time", idleWindow)); err != nil {
				t.Fatal(err)
			}
			if d.Dropped() != 1 {
				t.Errorf("drops: %v", d.Drops())
			}
			if err := d.Restart(lose); err != nil {
				t.Fatal(err)
			}
			advance(t, d, idleTimeout+idleWindow*time.Millisecond-time.Millisecond)
			expect(t, "before the second window's end", w.results(d))
			advance(t, d, time.Millisecond)
			expect(t, "the second window", w.results(d), "k/1=1")
		})
	}
}

// A repartition topic is silent as the inputs are that feed it, and what a silence gives there goes on.
func TestASilenceReachesBehindRepartitioning(t *testing.T) {
	b, in, via := stream.NewBuilder(), text("in"), text("via")
	out := stream.NewTopic("out", serde.TimeWindowed(serde.String, time.Minute), serde.Int64)
	byValue := stream.GroupBy(stream.From(b, in, stream.IdleAfter(idleTimeout)), func(_, v string) string { return v }, via)
	windows := stream.WindowBy(byValue, stream.Tumbling(time.Minute)).EmitOnClose()
	stream.To(ktable.ToStream(ktable.CountWindows(windows, statestore.Window("counts", serde.String, serde.Int64))), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	if err := runtimetest.Pipe(d, in, "k", "v", 0); err != nil {
		t.Fatal(err)
	}
	advance(t, d, idleTimeout+time.Minute)
	if r := runtimetest.Output(d, out); len(r) != 1 || r[0].Key.Key != "v" || r[0].Value != 1 {
		t.Errorf("have %v", r)
	}
}

// Punctuations by stream time are called with the time that was reached, and that is the task's.
func TestASilenceCallsStreamTimePunctuations(t *testing.T) {
	b, in := stream.NewBuilder(), text("in")
	var have []int64
	stream.Process(stream.From(b, in, stream.IdleAfter(idleTimeout)), func(p *stream.Processor[string, string]) func(*stream.Record[string, string]) error {
		p.EveryFrom(time.UnixMilli(5000), stream.StreamTime, 5*time.Second, func(now int64) error {
			have = append(have, now, p.StreamTime())
			return nil
		})
		return func(*stream.Record[string, string]) error { return nil }
	})
	d := runtimetest.Start(t, b, runtimetest.Config{})
	if err := runtimetest.Pipe(d, in, "k", "v", 1000); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		advance(t, d, 2*time.Second)
	}
	if want := []int64{5000, 5000}; !slices.Equal(have, want) {
		t.Errorf("have %v, want %v", have, want)
	}
}

func TestASilenceGivesWhatJoinsHoldBack(t *testing.T) {
	for _, outer := range []bool{false, true} {
		b, left, right, out := stream.NewBuilder(), text("left"), text("right"), text("out")
		l, r := stream.From(b, left, stream.IdleAfter(idleTimeout)), stream.From(b, right, stream.IdleAfter(idleTimeout))
		state := stream.NewJoinState("join", serde.String, serde.String, serde.String)
		within := stream.Within(time.Minute)
		if outer {
			stream.To(stream.OuterJoin(l, r, func(a, c string, _ stream.Sides) string { return a + "+" + c }, within, state), out)
		} else {
			stream.To(stream.LeftJoin(l, r, func(a, c string, _ bool) string { return a + "+" + c }, within, state), out)
		}
		d := runtimetest.Start(t, b, runtimetest.Config{})
		if err := runtimetest.Pipe(d, left, "k", "a", 0); err != nil {
			t.Fatal(err)
		}
		advance(t, d, idleTimeout+time.Minute)
		expect(t, "while a partner may come", results(d, out))
		advance(t, d, time.Millisecond)
		expect(t, "then", results(d, out), "k=a+@0")
	}
}

func TestTimeOutsThatCannotBeAreRefused(t *testing.T) {
	for _, c := range []struct {
		timeout time.Duration
		want    string
	}{
		{0, "stream.From: silent after 0s: give 1ms or more"},
		{-time.Second, "stream.From: silent after -1s: give 1ms or more"},
		{1500 * time.Microsecond, "1.5ms is no whole number of milliseconds"},
	} {
		b := stream.NewBuilder()
		stream.From(b, text("in"), stream.IdleAfter(c.timeout))
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: have %v, want %s", c.timeout, err, c.want)
		}
	}
	b := stream.NewBuilder()
	ktable.FromGlobal(b, text("in"), statestore.KeyValue("rows", serde.String, serde.String), stream.IdleAfter(time.Second))
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "a global table has no time that could go on in a silence") {
		t.Errorf("a global table: %v", err)
	}
}
