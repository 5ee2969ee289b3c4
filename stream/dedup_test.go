package stream_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func ExampleDedup() {
	payments := stream.NewTopic("payments", serde.String, serde.String) // "<id> <amount>"
	once := stream.NewTopic("payments-once", serde.String, serde.String)
	id := func(_, payment string) string { return strings.Fields(payment)[0] }

	b := stream.NewBuilder()
	stream.To(stream.Dedup(stream.From(b, payments), id, time.Hour, statestore.Window("seen", serde.String, serde.Int64)), once)
	topology, err := b.Build()
	if err != nil {
		panic(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{})
	if err != nil {
		panic(err)
	}
	defer d.Close()
	for i, p := range []string{"p1 10", "p2 20", "p1 10", "p3 30"} {
		if err := runtimetest.Pipe(d, payments, "ann", p, int64(i)); err != nil {
			panic(err)
		}
	}
	for _, r := range runtimetest.Output(d, once) {
		fmt.Println(r.Value)
	}
	// Output:
	// p1 10
	// p2 20
	// p3 30
}

// TestDedupByTime has copies at the edges, late ones, ones after a restart, and records without an id.
func TestDedupByTime(t *testing.T) {
	in, out := stream.NewTopic("in", serde.String, serde.Bytes), stream.NewTopic("out", serde.String, serde.Bytes)
	b := stream.NewBuilder()
	stream.To(stream.Dedup(stream.From(b, in), func(_ string, v []byte) []byte { return v }, 10*time.Millisecond, statestore.Window("seen", serde.Bytes, serde.Int64)), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	for _, r := range []struct {
		value string
		time  int64
		want  bool
	}{
		{"a", 100, true},
		{"a", 110, false}, // within, and not a new beginning
		{"a", 111, true},
		{"b", 101, true},  // just not too late
		{"b", 100, false}, // too late to tell
		{"", 1, true},     // no id
		{"", 1, true},
		{"a", 105, false}, // near both
		{"c", 200, true},
		{"a", 191, true},
		{"a", 201, false}, // later than its copy, from which it is not far
	} {
		var value []byte
		if r.value != "" {
			value = []byte(r.value)
		}
		if err := d.PipeRaw("in", []byte("k"), value, r.time); err != nil {
			t.Fatal(err)
		}
		if have := len(runtimetest.Output(d, out)) == 1; have != r.want {
			t.Errorf("%q at %d: passed on is %v, want %v", r.value, r.time, have, r.want)
		}
		if err := d.Restart(true); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.Dropped(); n != 1 {
		t.Errorf("%d drops, want that of the late record: %v", n, d.Drops())
	}
}

func TestWrongDedupsAreFaults(t *testing.T) {
	seen := func() *statestore.WindowSpec[string, int64] {
		return statestore.Window("seen", serde.String, serde.Int64)
	}
	id := func(k, v string) string { return v }
	b := stream.NewBuilder()
	in := stream.From(b, stream.NewTopic("in", serde.String, serde.String))
	stream.Dedup(in, id, -time.Second, seen())
	stream.Dedup(in, id, time.Second, seen().Retain(time.Second))
	stream.Dedup[string, string, string](in, nil, time.Second, nil)
	stream.Dedup(stream.SelectKey(in, id), id, time.Second, seen())
	_, err := b.Build()
	if err == nil {
		t.Fatal("it is built")
	}
	for _, want := range []string{"must not be negative", "retains 1s", "the function is nil", "the store is nil", "must go through a repartition topic", "already used"} {
		if !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(l string) bool {
			return strings.HasPrefix(l, "dedup_test.go:") && strings.Contains(l, want)
		}) {
			t.Errorf("no fault says %q: %v", want, err)
		}
	}
}
