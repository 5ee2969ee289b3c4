package runtimetest_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// merged runs what two topics have through one task and returns the order in which the records came out.
func merged(t *testing.T, seed uint64) (order []string) {
	t.Helper()
	one, two, out := stream.NewTopic("one", serde.String, serde.Int64), stream.NewTopic("two", serde.String, serde.Int64), stream.NewTopic("out", serde.String, serde.Int64)
	b := stream.NewBuilder()
	stream.To(stream.Merge(stream.From(b, one), stream.From(b, two)), out)
	topology, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{Shuffle: seed})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i := range int64(20) {
		for _, topic := range []stream.Topic[string, int64]{one, two} {
			if err := runtimetest.Pipe(d, topic, topic.Name(), i, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	next := map[string]int64{}
	for _, r := range runtimetest.Output(d, out) {
		if r.Value != next[r.Key] {
			t.Errorf("seed %d: record %d of topic %s came when %d was next", seed, r.Value, r.Key, next[r.Key])
		}
		next[r.Key]++
		order = append(order, fmt.Sprint(r.Key, r.Value))
	}
	if len(order) != 40 {
		t.Errorf("seed %d: %d records came out, want 40", seed, len(order))
	}
	return order
}

func TestASeedDrawsTheOrderOfPartitions(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(20) {
		seen[fmt.Sprint(merged(t, seed+1))] = true
	}
	if len(seen) < 15 {
		t.Errorf("20 seeds gave %d orders", len(seen))
	}
}

// TestShuffledCountsAreExact runs over several partitions with production's cache and commit interval, and with crashes: whatever arrives when, each word counts once.
func TestShuffledCountsAreExact(t *testing.T) {
	want := map[string]int64{}
	for seed := range uint64(30) {
		d := wordCount(t, counts, runtimetest.Config{
			Partitions: map[string]int{"lines": 4, "totals": 2}, Shuffle: seed + 1, CommitEvery: 100 * time.Millisecond, WriteBack: true,
		})
		clear(want)
		for i := range 60 {
			a, b := fmt.Sprint("w", i%7), fmt.Sprint("w", i%5)
			want[a]++
			want[b]++
			pipe(t, d, a+" "+b, int64(i))
			if i%9 == 8 {
				if err := d.AdvanceWallClock(50 * time.Millisecond); err != nil {
					t.Fatal(err)
				}
			}
			if i%25 == 24 {
				if err := d.Restart(seed%2 == 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := d.Commit(); err != nil {
			t.Fatal(err)
		}
		if have := stored(t, d); !maps.Equal(have, want) {
			t.Errorf("seed %d: have %v\nwant %v", seed+1, have, want)
		}
	}
}

// TestTheSameSeedGivesTheSameRun to the last record.
func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	run := func() []string {
		d := wordCount(t, counts, runtimetest.Config{Partitions: map[string]int{"lines": 3}, Shuffle: 7})
		for i := range 30 {
			pipe(t, d, fmt.Sprint("a b", i%4), int64(i))
		}
		if err := d.Commit(); err != nil {
			t.Fatal(err)
		}
		return seen(d)
	}
	if first, second := run(), run(); !slices.Equal(first, second) {
		t.Errorf("first  %v\nsecond %v", first, second)
	}
}
