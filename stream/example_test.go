package stream_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// check ends an example at a failure.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// run starts a driver over what the builder holds.
func run(b *stream.Builder, c runtimetest.Config) *runtimetest.Driver {
	topology, err := b.Build()
	check(err)
	d, err := runtimetest.New(topology, c)
	check(err)
	return d
}

func Example() {
	lines := stream.NewTopic("lines", serde.String, serde.String)
	loud := stream.NewTopic("loud", serde.String, serde.String)

	b := stream.NewBuilder()
	text := stream.From(b, lines)
	stream.To(stream.MapValues(text, strings.ToUpper), loud)

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, lines, "k", "good morning", 0))
	for _, r := range runtimetest.Output(d, loud) {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// k GOOD MORNING
}

func ExampleBuilder_Build() {
	lines := stream.NewTopic("lines", serde.String, serde.String)
	b := stream.NewBuilder()
	stream.To(stream.From(b, lines), stream.NewTopic[string, string]("out", nil, nil))
	_, err := b.Build()
	fmt.Println(err)
	// Output:
	// example_test.go:52: stream.To: topic "out" has no serde for its keys
	// example_test.go:52: stream.To: topic "out" has no serde for its values
}

func ExampleFlatMapValues() {
	lines := stream.NewTopic("lines", serde.String, serde.String)
	words := stream.NewTopic("words", serde.String, serde.String)
	b := stream.NewBuilder()
	stream.To(stream.FlatMapValues(stream.From(b, lines), strings.FieldsSeq), words)

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, lines, "1", "so it goes", 0))
	for _, r := range runtimetest.Output(d, words) {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// 1 so
	// 1 it
	// 1 goes
}

// A function that may fail has the Ctx form; what becomes of the record is the choice of the fault handler.
func ExampleMapValuesCtx() {
	readings := stream.NewTopic("readings", serde.String, serde.String)
	degrees := stream.NewTopic("degrees", serde.String, serde.Int64)
	b := stream.NewBuilder()
	parsed := stream.MapValuesCtx(stream.From(b, readings), func(_ context.Context, sensor, v string) (int64, error) {
		return strconv.ParseInt(v, 10, 64)
	})
	stream.To(parsed, degrees)

	d := run(b, runtimetest.Config{Faults: stream.Faults{Processing: func(f *stream.Fault) stream.Decision {
		fmt.Printf("skipped: %s: offset %d: %v\n", f.Op, f.Offset, errors.Unwrap(f.Err))
		return stream.Skip
	}}})
	defer d.Close()
	check(runtimetest.Pipe(d, readings, "roof", "21", 0))
	check(runtimetest.Pipe(d, readings, "roof", "warm", 1))
	check(runtimetest.Pipe(d, readings, "roof", "22", 2))
	for _, r := range runtimetest.Output(d, degrees) {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// skipped: stream.MapValuesCtx: offset 1: invalid syntax
	// roof 21
	// roof 22
}

func ExampleMerge() {
	web := stream.NewTopic("web", serde.String, serde.String)
	shop := stream.NewTopic("shop", serde.String, serde.String)
	all := stream.NewTopic("orders", serde.String, serde.String)
	b := stream.NewBuilder()
	stream.To(stream.Merge(stream.From(b, web), stream.From(b, shop)), all)

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, web, "1", "socks", 0))
	check(runtimetest.Pipe(d, shop, "2", "shoes", 1))
	for _, r := range runtimetest.Output(d, all) {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// 1 socks
	// 2 shoes
}

// Changes keeps the records whose value differs from "same". An operator of your own is a function over streams.
func Changes[K any](s *stream.Stream[K, string]) *stream.Stream[K, string] {
	return stream.FilterNot(s, func(_ K, v string) bool { return v == "same" })
}

func ExampleStream() {
	in := stream.NewTopic("in", serde.String, serde.String)
	out := stream.NewTopic("out", serde.String, serde.String)
	b := stream.NewBuilder()
	stream.To(Changes(stream.From(b, in)), out)

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, in, "k", "same", 0))
	check(runtimetest.Pipe(d, in, "k", "new", 1))
	for _, r := range runtimetest.Output(d, out) {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// k new
}

func ExampleTopic_EventTime() {
	// The time of these records stands in their value.
	in := stream.NewTopic("in", serde.String, serde.Int64).
		EventTime(func(_ string, millis, recordTime, partitionTime int64) int64 { return millis })
	out := stream.NewTopic("out", serde.String, serde.Int64)
	b := stream.NewBuilder()
	stream.To(stream.From(b, in), out)

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, in, "k", 1234, 0))
	for _, r := range runtimetest.Output(d, out) {
		fmt.Println(r.Key, "at", r.Timestamp)
	}
	// Output:
	// k at 1234
}
