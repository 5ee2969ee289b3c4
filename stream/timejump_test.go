package stream_test

import (
	"errors"
	"fmt"
	"math"
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

func TestTimeMovesByTheLimitAtMost(t *testing.T) {
	const limit = 10
	for _, c := range []struct {
		name  string
		times []int64
		want  []int64
	}{
		{"the first record is taken as it is", []int64{1000, 1005}, []int64{1000, 1005}},
		{"up to the limit", []int64{0, 10, 20}, []int64{0, 10, 20}},
		{"one beyond it", []int64{0, 11, 12, 22, 23}, []int64{0, 10, 12, 22, 23}},
		{"absurd", []int64{5, math.MaxInt64, 7, 16}, []int64{5, 15, 7, 16}},
		{"a gap is caught up with step by step", []int64{0, 100, 100, 100}, []int64{0, 10, 20, 30}},
		{"out of order", []int64{50, 3, 55}, []int64{50, 3, 55}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, in, out := stream.NewBuilder(), text("in"), text("out")
			stream.To(stream.From(b, in, stream.LimitTimeJumps(limit*time.Millisecond)), out)
			d := runtimetest.Start(t, b, runtimetest.Config{})
			for _, at := range c.times {
				if err := runtimetest.Pipe(d, in, "k", "v", at); err != nil {
					t.Fatal(err)
				}
			}
			var have []int64
			for _, r := range runtimetest.Output(d, out) {
				have = append(have, r.Timestamp)
			}
			if !slices.Equal(have, c.want) {
				t.Errorf("have %v\nwant %v", have, c.want)
			}
		})
	}
}

// TestALimitKeepsWindowsOpenForOthers: a record from the far future takes nothing from those that follow. A partition without records yet is measured by the task's time.
func TestALimitKeepsWindowsOpenForOthers(t *testing.T) {
	for _, c := range []struct {
		opts []stream.SourceOption
		late int
	}{
		{nil, 1},
		{[]stream.SourceOption{stream.LimitTimeJumps(time.Minute)}, 0},
	} {
		b, one, two := stream.NewBuilder(), text("one"), text("two")
		both := stream.Merge(stream.From(b, one, c.opts...), stream.From(b, two, c.opts...))
		counts := statestore.Window("counts", serde.String, serde.Int64)
		ktable.CountWindows(stream.WindowBy(stream.GroupByKey(both), stream.Tumbling(time.Hour)), counts)
		d := runtimetest.Start(t, b, runtimetest.Config{})
		if err := errors.Join(
			runtimetest.Pipe(d, one, "k", "in time", 1),
			runtimetest.Pipe(d, two, "k", "from the future", math.MaxInt64/2),
			runtimetest.Pipe(d, one, "k", "in time", 2),
		); err != nil {
			t.Fatal(err)
		}
		if d.Dropped() != c.late {
			t.Errorf("with %d options: %d dropped, want %d: %v", len(c.opts), d.Dropped(), c.late, d.Drops())
		}
	}
}

// TestALimitHoldsOverRestarts: what time was before a crash bounds what comes after it.
func TestALimitHoldsOverRestarts(t *testing.T) {
	b, in, out := stream.NewBuilder(), text("in"), text("out")
	stream.To(stream.From(b, in, stream.LimitTimeJumps(time.Second), stream.SkipInvalidTimestamps()), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	if err := errors.Join(runtimetest.Pipe(d, in, "k", "v", 100), d.Restart(true), runtimetest.Pipe(d, in, "k", "v", 1_000_000), runtimetest.Pipe(d, in, "k", "v", -5)); err != nil {
		t.Fatal(err)
	}
	if have := results(d, out); !slices.Equal(have, []string{"k=v@100", "k=v@1100"}) {
		t.Errorf("have %v", have)
	}
	if drops := d.Drops(); len(drops) != 1 || drops[0].Reason != runtimetest.DropTimestamp {
		t.Errorf("drops: %v", drops)
	}
}

// TestALimitHoldsForTopicsOfAPattern, which are read through another door.
func TestALimitHoldsForTopicsOfAPattern(t *testing.T) {
	b, out := stream.NewBuilder(), text("out")
	stream.To(stream.FromPattern(b, "in-.*", text(""), stream.LimitTimeJumps(time.Second)), out)
	d := runtimetest.Start(t, b, runtimetest.Config{Partitions: map[string]int{"in-a": 1}})
	if err := errors.Join(d.PipeRaw("in-a", []byte("k"), []byte("v"), 100), d.PipeRaw("in-a", []byte("k"), []byte("v"), 1_000_000)); err != nil {
		t.Fatal(err)
	}
	if have := results(d, out); !slices.Equal(have, []string{"k=v@100", "k=v@1100"}) {
		t.Errorf("have %v", have)
	}
}

func TestALimitBelowAMillisecondIsRefused(t *testing.T) {
	b := stream.NewBuilder()
	stream.From(b, text("in"), stream.LimitTimeJumps(0))
	want := fmt.Sprintf("timejump_test.go:%d: stream.From: time jumps of 0s at most: give 1ms or more", line()-1)
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("have %v\nwant %s", err, want)
	}
}
