package ktable_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
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
func run(b *stream.Builder) *runtimetest.Driver {
	topology, err := b.Build()
	check(err)
	d, err := runtimetest.New(topology, runtimetest.Config{})
	check(err)
	return d
}

func ExampleCount() {
	var (
		lines  = stream.NewTopic("lines", serde.String, serde.String)
		byWord = stream.NewTopic("by-word", serde.String, serde.String)
		totals = stream.NewTopic("totals", serde.String, serde.Int64)
		counts = statestore.KeyValue("counts", serde.String, serde.Int64)
	)
	b := stream.NewBuilder()
	words := stream.FlatMapValues(stream.From(b, lines), strings.FieldsSeq)
	grouped := stream.GroupBy(words, func(_, word string) string { return word }, byWord)
	stream.To(ktable.ToStream(ktable.Count(grouped, counts)), totals)

	d := run(b)
	defer d.Close()
	check(runtimetest.Pipe(d, lines, "", "to be or not to be", 0))
	for _, r := range runtimetest.Output(d, totals) {
		fmt.Println(r.Key, r.Value)
	}
	n, _, err := runtimetest.KeyValue(d, counts).Get("be")
	check(err)
	fmt.Println("the store has", n)
	// Output:
	// to 1
	// be 1
	// or 1
	// not 1
	// to 2
	// be 2
	// the store has 2
}

func ExampleReduce() {
	var (
		bids    = stream.NewTopic("bids", serde.String, serde.Int64)
		best    = stream.NewTopic("best", serde.String, serde.Int64)
		highest = statestore.KeyValue("highest", serde.String, serde.Int64)
	)
	b := stream.NewBuilder()
	top := ktable.Reduce(stream.GroupByKey(stream.From(b, bids)), func(a, b int64) int64 { return max(a, b) }, highest)
	stream.To(ktable.ToStream(top), best)

	d := run(b)
	defer d.Close()
	for i, bid := range []int64{10, 30, 20} {
		check(runtimetest.Pipe(d, bids, "vase", bid, int64(i)))
	}
	for _, r := range runtimetest.Output(d, best) {
		fmt.Println(r.Key, r.Value, "at", r.Timestamp)
	}
	// Output:
	// vase 10 at 0
	// vase 30 at 1
	// vase 30 at 2
}

func ExampleAggregateWindows() {
	var (
		orders  = stream.NewTopic("orders", serde.String, serde.Int64)
		revenue = statestore.Window("revenue", serde.String, serde.Int64)
		minutes = stream.Tumbling(time.Minute).Grace(10 * time.Second)
		report  = stream.NewTopic("report", serde.TimeWindowed(serde.String, time.Minute), serde.Int64)
	)
	b := stream.NewBuilder()
	perMinute := stream.WindowBy(stream.GroupByKey(stream.From(b, orders)), minutes)
	sums := ktable.AggregateWindows(perMinute, func() int64 { return 0 },
		func(_ string, cents, sum int64) int64 { return sum + cents }, revenue)
	stream.To(ktable.ToStream(sums), report)

	d := run(b)
	defer d.Close()
	check(runtimetest.Pipe(d, orders, "shop", 500, 1_000))
	check(runtimetest.Pipe(d, orders, "shop", 250, 61_000))
	check(runtimetest.Pipe(d, orders, "shop", 100, 59_000)) // late, within the grace
	check(runtimetest.Pipe(d, orders, "shop", 999, 70_000))
	check(runtimetest.Pipe(d, orders, "shop", 100, 59_000)) // too late
	for _, r := range runtimetest.Output(d, report) {
		fmt.Printf("%s [%d, %d) %d\n", r.Key.Key, r.Key.Start, r.Key.End, r.Value)
	}
	fmt.Println("dropped", d.Dropped())
	// Output:
	// shop [0, 60000) 500
	// shop [60000, 120000) 250
	// shop [0, 60000) 600
	// shop [60000, 120000) 1249
	// dropped 1
}

func ExampleJoinStream() {
	type customer struct{ Name string }
	var (
		orders    = stream.NewTopic("orders", serde.String, serde.Int64)
		customers = stream.NewTopic("customers", serde.String, serde.JSON[customer]())
		bills     = stream.NewTopic("bills", serde.String, serde.String)
		names     = statestore.KeyValue("names", serde.String, serde.JSON[customer]())
	)
	b := stream.NewBuilder()
	people := ktable.From(b, customers, names)
	stream.To(ktable.JoinStream(stream.From(b, orders), people, func(cents int64, c customer) string {
		return fmt.Sprintf("%s owes %d", c.Name, cents)
	}), bills)

	d := run(b)
	defer d.Close()
	check(runtimetest.Pipe(d, orders, "c1", 100, 0)) // nobody known yet
	check(runtimetest.Pipe(d, customers, "c1", customer{"Ada"}, 1))
	check(runtimetest.Pipe(d, orders, "c1", 250, 2))
	for _, r := range runtimetest.Output(d, bills) {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// c1 Ada owes 250
}
