package runtimetest_test

import (
	"errors"
	"fmt"
	"maps"
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

var (
	lines  = stream.NewTopic("lines", serde.String, serde.String)
	byWord = stream.NewTopic("by-word", serde.String, serde.String)
	totals = stream.NewTopic("totals", serde.String, serde.Int64)
	counts = statestore.KeyValue("counts", serde.String, serde.Int64)
)

func wordCount(t *testing.T, store *statestore.KeyValueSpec[string, int64], c runtimetest.Config) *runtimetest.Driver {
	t.Helper()
	b := stream.NewBuilder()
	words := stream.FlatMapValues(stream.From(b, lines), strings.FieldsSeq)
	grouped := stream.GroupBy(words, func(_, w string) string { return w }, byWord)
	stream.To(ktable.ToStream(ktable.Count(grouped, store)), totals)
	return runtimetest.Start(t, b, c)
}

func pipe(t *testing.T, d *runtimetest.Driver, line string, at int64) {
	t.Helper()
	if err := runtimetest.Pipe(d, lines, line, line, at); err != nil {
		t.Fatal(err)
	}
}

// seen is what came out, as "word=count".
func seen(d *runtimetest.Driver) (all []string) {
	for _, r := range runtimetest.Output(d, totals) {
		all = append(all, fmt.Sprintf("%s=%d", r.Key, r.Value))
	}
	return all
}

// stored is what the store holds.
func stored(t *testing.T, d *runtimetest.Driver) map[string]int64 {
	t.Helper()
	m := map[string]int64{}
	for e, err := range runtimetest.KeyValue(d, counts).All() {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := m[e.Key]; twice {
			t.Errorf("%q is in two partitions", e.Key)
		}
		m[e.Key] = e.Value
	}
	return m
}

// TestKeysMeetInOnePartition counts words that come from all partitions of the input.
func TestKeysMeetInOnePartition(t *testing.T) {
	d := wordCount(t, counts, runtimetest.Config{Partitions: map[string]int{"lines": 5, "totals": 3}})
	want := map[string]int64{}
	for i := range 40 {
		line := fmt.Sprintf("w%d all w%d", i%7, i%3)
		pipe(t, d, line, int64(i))
		for w := range strings.FieldsSeq(line) {
			want[w]++
		}
	}
	if have := stored(t, d); !maps.Equal(have, want) {
		t.Errorf("have %v\nwant %v", have, want)
	}
	partitions := map[string]int32{}
	last := map[string]int64{}
	for _, r := range runtimetest.Output(d, totals) {
		if p, ok := partitions[r.Key]; ok && p != r.Partition {
			t.Errorf("%q is in partitions %d and %d", r.Key, p, r.Partition)
		}
		partitions[r.Key] = r.Partition
		if r.Value != last[r.Key]+1 {
			t.Errorf("%q went from %d to %d", r.Key, last[r.Key], r.Value)
		}
		last[r.Key] = r.Value
	}
}

func TestResultsAppearAtCommits(t *testing.T) {
	d := wordCount(t, counts, runtimetest.Config{CommitEvery: time.Second})
	pipe(t, d, "a a", 1)
	if have := seen(d); have != nil {
		t.Errorf("before the commit came %v", have)
	}
	advance := func(by time.Duration) {
		t.Helper()
		if err := d.AdvanceWallClock(by); err != nil {
			t.Fatal(err)
		}
	}
	advance(999 * time.Millisecond)
	if have := d.OutputRaw("test-by-word-repartition"); have != nil {
		t.Errorf("before the commit came %v", have)
	}
	advance(time.Millisecond) // the words reach the repartition topic, and are counted
	if have := seen(d); have != nil {
		t.Errorf("the counts of a hop that has not committed came: %v", have)
	}
	advance(time.Second)
	if have, want := seen(d), []string{"a=1", "a=2"}; !slices.Equal(have, want) {
		t.Errorf("have %v, want %v", have, want)
	}
}

func TestWriteBackForwardsTheLastValuePerCommit(t *testing.T) {
	run := func(store *statestore.KeyValueSpec[string, int64]) []string {
		d := wordCount(t, store, runtimetest.Config{CommitEvery: time.Hour, WriteBack: true})
		pipe(t, d, "a b a a b", 1)
		if err := d.Commit(); err != nil {
			t.Fatal(err)
		}
		return seen(d)
	}
	// The order of a flush is the store's; the last value per key is what counts.
	have := run(counts)
	slices.Sort(have)
	if want := []string{"a=3", "b=2"}; !slices.Equal(have, want) {
		t.Errorf("with write-back %v, want %v", have, want)
	}
	if have, want := run(counts.WithoutCache()), []string{"a=1", "b=1", "a=2", "a=3", "b=2"}; !slices.Equal(have, want) {
		t.Errorf("a store without a cache gave %v, want %v", have, want)
	}
}

// TestRestartLosesNothingThatWasCommitted crashes at every point of the run, with and without the engine, and compares with a run without crashes.
func TestRestartLosesNothingThatWasCommitted(t *testing.T) {
	input := []string{"a b", "b c", "a", "c c c", "b a"}
	for _, every := range []time.Duration{0, 2 * time.Second} {
		for _, lose := range []bool{false, true} {
			for crash := range len(input) + 1 {
				t.Run(fmt.Sprint(every, lose, crash), func(t *testing.T) {
					d := wordCount(t, counts, runtimetest.Config{CommitEvery: every, Partitions: map[string]int{"lines": 2}})
					for i, line := range input {
						if i == crash {
							if err := d.Restart(lose); err != nil {
								t.Fatal(err)
							}
						}
						pipe(t, d, line, int64(i))
						if err := d.AdvanceWallClock(time.Second); err != nil {
							t.Fatal(err)
						}
					}
					if crash == len(input) {
						if err := d.Restart(lose); err != nil {
							t.Fatal(err)
						}
					}
					if err := d.Commit(); err != nil {
						t.Fatal(err)
					}
					if have, want := stored(t, d), map[string]int64{"a": 3, "b": 3, "c": 4}; !maps.Equal(have, want) {
						t.Errorf("have %v, want %v", have, want)
					}
					last := map[string]int64{}
					for _, r := range runtimetest.Output(d, totals) {
						if r.Value != last[r.Key]+1 {
							t.Errorf("%q went from %d to %d", r.Key, last[r.Key], r.Value)
						}
						last[r.Key] = r.Value
					}
				})
			}
		}
	}
}

// TestRestartKeepsWhatWasLate: an operator's time is committed with the offsets, so a record that was late before a crash is late after it.
func TestRestartKeepsWhatWasLate(t *testing.T) {
	for _, lose := range []bool{false, true} {
		b := stream.NewBuilder()
		store := statestore.Window("windows", serde.String, serde.Int64)
		in := stream.Filter(stream.From(b, lines), func(_, v string) bool { return v != "skip" })
		ktable.CountWindows(stream.WindowBy(stream.GroupByKey(in), stream.Tumbling(10*time.Millisecond)), store)
		topology, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		d, err := runtimetest.New(topology, runtimetest.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		put := func(v string, at int64) {
			t.Helper()
			if err := runtimetest.Pipe(d, lines, "k", v, at); err != nil {
				t.Fatal(err)
			}
		}
		put("a", 25)
		put("skip", 1000) // moves the task's time, but not that of the windows
		if err := d.Restart(lose); err != nil {
			t.Fatal(err)
		}
		put("a", 21) // its window is open
		put("a", 19) // its window has closed
		if n, _, err := runtimetest.Window(d, store).Fetch("k", 20); n != 2 || err != nil {
			t.Errorf("the open window holds %d (%v), want 2", n, err)
		}
		if d.Dropped() != 1 {
			t.Errorf("drops: %v", d.Drops())
		}
	}
}

// TestLowestTimeIsNext joins a stream with a table whose record is older but came later.
func TestLowestTimeIsNext(t *testing.T) {
	b := stream.NewBuilder()
	rows := ktable.From(b, stream.NewTopic("rows", serde.String, serde.String), statestore.KeyValue("rows", serde.String, serde.String))
	out := stream.NewTopic("out", serde.String, serde.String)
	// Both inputs of the join come through repartition topics, filled by one commit.
	all := stream.From(b, lines)
	stream.To(stream.Filter(all, func(k, _ string) bool { return k == "row" }), stream.NewTopic("rows", serde.String, serde.String))
	late := stream.Repartition(stream.Filter(all, func(k, _ string) bool { return k != "row" }), stream.NewTopic("asks", serde.String, serde.String))
	stream.To(ktable.LeftJoinStream(stream.SelectKey(late, func(_, _ string) string { return "row" }), rows,
		func(_, row string, _ bool) string { return row }, stream.NewTopic("asks-by-row", serde.String, serde.String)), out)
	topology, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{CommitEvery: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := errors.Join(runtimetest.Pipe(d, lines, "ask", "?", 10), runtimetest.Pipe(d, lines, "row", "here", 5), d.Commit()); err != nil {
		t.Fatal(err)
	}
	got := runtimetest.Output(d, out)
	if len(got) != 1 || got[0].Value != "here" {
		t.Errorf("the join found %v", got)
	}
}

func TestDriverSaysWhatItCannotDo(t *testing.T) {
	d := wordCount(t, counts, runtimetest.Config{})
	if err := d.PipeRaw("nowhere", nil, nil, 1); err == nil || err.Error() != `runtimetest: the topology reads no topic "nowhere"` {
		t.Errorf("the error is %v", err)
	}
	if err := d.PipeRaw("lines", nil, []byte("x"), -1); err == nil || !strings.Contains(err.Error(), "negative timestamp -1") {
		t.Errorf("the error is %v", err)
	}
	if err := runtimetest.Pipe(d, lines, "", "", 1); err == nil {
		t.Error("a failed driver goes on")
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Error(err)
	}
}

func TestInMemoryStoreAndStoreWithoutChangelog(t *testing.T) {
	for _, c := range []struct {
		name  string
		store *statestore.KeyValueSpec[string, int64]
		want  map[string]int64 // after a restart that loses the engine
	}{
		{"in memory", counts.InMemory(), map[string]int64{"a": 2}},
		{"without changelog", counts.WithoutChangelog(), map[string]int64{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := wordCount(t, c.store, runtimetest.Config{})
			pipe(t, d, "a a", 1)
			if err := d.Restart(true); err != nil {
				t.Fatal(err)
			}
			if have := stored(t, d); !maps.Equal(have, c.want) {
				t.Errorf("have %v, want %v", have, c.want)
			}
		})
	}
}
