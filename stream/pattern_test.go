package stream_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func ExampleFromPattern() {
	b := stream.NewBuilder()
	all := stream.FromPattern(b, "orders-.*", stream.NewTopic("", serde.String, serde.String))
	stream.ForEach(all, func(key, value string) { fmt.Println(key, value) })

	d := run(b, runtimetest.Config{Partitions: map[string]int{"orders-eu": 1, "orders-us": 1, "my-orders-x": 1}})
	defer d.Close()
	check(d.PipeRaw("orders-eu", []byte("1"), []byte("tea"), 0))
	check(d.PipeRaw("orders-us", []byte("2"), []byte("ice"), 1))
	fmt.Println(d.PipeRaw("my-orders-x", nil, nil, 2))
	// Output:
	// 1 tea
	// 2 ice
	// runtimetest: the topology reads no topic "my-orders-x"
}

func TestPatternFaults(t *testing.T) {
	b := stream.NewBuilder()
	stream.FromPattern(b, "in-(", text(""))
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "stream.FromPattern: the pattern is no regular expression") {
		t.Errorf("a bad pattern: %v", err)
	}

	b = stream.NewBuilder()
	stream.From(b, text("in-b"))
	stream.FromPattern(b, "in-.", text(""))
	stream.FromPattern(b, "in-[ac]", text(""))
	stream.FromPattern(b, "none", text(""))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	_, err = runtimetest.New(topo, runtimetest.Config{Partitions: map[string]int{"in-a": 1, "in-b": 1, "__in-a": 1}})
	for _, want := range []string{
		`topic "in-b" matches the pattern "in-." and is already read at`,
		`topic "in-a" matches the pattern "in-[ac]" and is already read at`,
		`no topic matches the pattern "none": create one first`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in %v", want, err)
		}
	}
}

func TestTopicsOfAPatternAreOneTask(t *testing.T) {
	b := stream.NewBuilder()
	stream.To(stream.FromPattern(b, "in-.*", text("")), text("out"))
	d := runtimetest.Start(t, b, runtimetest.Config{Partitions: map[string]int{"in-a": 3, "in-b": 2}})
	for i := range 6 {
		pipe(t, d, text([]string{"in-a", "in-b"}[i%2]), fmt.Sprint("k", i), "v", int64(i))
	}
	if n := len(results(d, text("out"))); n != 6 {
		t.Errorf("%d records came out, want 6", n)
	}
	if err := d.Restart(true); err != nil {
		t.Fatal(err)
	}
	pipe(t, d, text("in-b"), "k9", "v", 9)
	equal(t, "out", results(d, text("out")), "k9=v@9")
}
