package runtime

import (
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Inputs that fall silent close their windows by the wall clock, behind a repartition topic too; what was given is given once, also by an instance that starts again.
func TestASilentInputClosesItsWindows(t *testing.T) {
	const (
		silent = 20 * time.Millisecond
		window = 50 * time.Millisecond
		first  = 1_000
		later  = 100_000_000 // more than a day: no clock comes to it here
	)
	c := newCluster(t)
	in, out := stream.NewTopic(c.name+"-in", serde.String, serde.String), stream.NewTopic(c.name+"-out", serde.TimeWindowed(serde.String, window), serde.Int64)
	c.createTopic(in.Name(), 1)
	c.createTopic(out.Name(), 1)
	b := stream.NewBuilder()
	byValue := stream.GroupBy(stream.From(b, in, stream.IdleAfter(silent)), func(_, v string) string { return v }, stream.NewTopic("by-value", serde.String, serde.String))
	windows := stream.WindowBy(byValue, stream.Tumbling(window)).EmitOnClose()
	stream.To(ktable.ToStream(ktable.CountWindows(windows, statestore.Window("counts", serde.String, serde.Int64))), out)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	starts := func() (all []int64) {
		for _, r := range c.committed(out.Name()) {
			k, err := out.KeySerde().Decode(r.Key)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, k.Start)
		}
		return all
	}
	cfg := Config{Workers: 1, CommitInterval: 10 * time.Millisecond}
	c.produceAt(in.Name(), []int64{first})
	i := c.start(topo, cfg)
	await(t, "the window's result", soon, func() bool { return slices.Equal(starts(), []int64{first}) })
	i.end(t)

	// The first of these comes late: the window is closed, though all that tells so is what was committed.
	c.produceAt(in.Name(), []int64{first + 1, later})
	i = c.start(topo, cfg)
	await(t, "the next window's result", soon, func() bool { return len(starts()) > 1 })
	i.end(t)
	if have := starts(); !slices.Equal(have, []int64{first, later}) {
		t.Errorf("results of the windows at %v", have)
	}
}

// A task does not wait for a silent partition, however long it may wait for others.
func TestATaskDoesNotWaitForASilentInput(t *testing.T) {
	c := newCluster(t)
	one, two := c.name+"-one", c.name+"-two"
	c.createTopic(one, 1)
	c.createTopic(two, 1)
	var seen atomic.Int64
	b := stream.NewBuilder()
	stream.ForEach(stream.Merge(
		stream.From(b, stream.NewTopic(one, serde.String, serde.String)),
		stream.From(b, stream.NewTopic(two, serde.String, serde.String), stream.IdleAfter(20*time.Millisecond)),
	), func(_, value string) {
		at, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			t.Error(err)
		}
		seen.Store(at)
	})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	c.produceAt(one, []int64{1_000, 100_000})
	c.produceAt(two, []int64{2_000})
	i := c.start(topo, Config{Workers: 1, MaxTaskIdle: time.Hour, CommitInterval: 10 * time.Millisecond})
	await(t, "the record that would wait", soon, func() bool { return seen.Load() == 100_000 })
	i.end(t)
}

// The time that a task takes for the records of a slice is none in which its input was silent, and one that no record came from stays as it was.
func TestWorkIsNoSilence(t *testing.T) {
	begin := time.Unix(1_000, 0)
	busy, quiet := &input{idle: time.Second, last: begin}, &input{idle: time.Second, last: begin.Add(-time.Minute)}
	never := &input{last: begin.Add(-time.Hour)}
	tk := &task{inputs: []*input{busy, quiet, never}}
	end := begin.Add(10 * time.Second)
	tk.heard(begin, end)
	if !busy.last.Equal(end) || !quiet.last.Equal(begin.Add(-time.Minute)) {
		t.Errorf("last records at %v and %v", busy.last, quiet.last)
	}
	if at := tk.silenceAt(end); !at.Equal(end.Add(time.Second)) {
		t.Errorf("the next silence begins at %v", at)
	}
	if at := tk.silenceAt(end.Add(time.Second)); !at.IsZero() {
		t.Errorf("with all silent, the next silence begins at %v", at)
	}
}
