package ktable_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// A filter that keeps its result in a versioned store: an order finds the price of its time among those that passed.
func ExampleFilter_versioned() {
	prices := stream.NewTopic("prices", serde.String, serde.Int64)
	orders := stream.NewTopic("orders", serde.String, serde.String)
	out := stream.NewTopic("out", serde.String, serde.String)
	fair := statestore.Versioned("fair", serde.String, serde.Int64, time.Hour)

	b := stream.NewBuilder()
	table := ktable.Filter(ktable.From(b, prices, nil), func(_ string, price int64) bool { return price < 10 }, fair)
	stream.To(ktable.JoinStream(stream.From(b, orders), table, func(order string, price int64) string { return fmt.Sprint(order, " at ", price) }), out)
	topology, err := b.Build()
	if err != nil {
		panic(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{})
	if err != nil {
		panic(err)
	}
	defer d.Close()
	for _, err := range []error{
		runtimetest.Pipe(d, prices, "tea", 3, 10),
		runtimetest.Pipe(d, prices, "tea", 4, 20),
		runtimetest.Pipe(d, prices, "tea", 99, 30),
		runtimetest.Pipe(d, orders, "tea", "first", 15),
		runtimetest.Pipe(d, orders, "tea", "second", 25),
		runtimetest.Pipe(d, orders, "tea", "third", 35), // no price is fair
	} {
		if err != nil {
			panic(err)
		}
	}
	for _, r := range runtimetest.Output(d, out) {
		fmt.Println(r.Value)
	}
	// Output:
	// first at 3
	// second at 4
}

func TestOperatorsRefuseANilStoreOfEitherKind(t *testing.T) {
	var plain *statestore.KeyValueSpec[string, string]
	var versioned *statestore.VersionedSpec[string, string]
	for name, store := range map[string]statestore.TableSpec[string, string]{"none": nil, "plain": plain, "versioned": versioned} {
		t.Run(name, func(t *testing.T) {
			b := stream.NewBuilder()
			topic := stream.NewTopic("in", serde.String, serde.String)
			table := ktable.From(b, topic, statestore.KeyValue("T", serde.String, serde.String))
			ktable.Filter(table, func(_, _ string) bool { return true }, store)
			if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "the store is nil") {
				t.Errorf("have %v, want the store is nil", err)
			}
		})
	}
}
