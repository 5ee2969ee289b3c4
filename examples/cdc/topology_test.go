package main

import (
	"maps"
	"testing"

	"github.com/millrace-io/millrace/connect/postgres"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/stream"
)

// pipe sends a row, or takes it away.
func pipe[K, V any](t *testing.T, d *runtimetest.Driver, topic stream.Topic[K, postgres.Change[V]], key K, row *V) {
	t.Helper()
	change := postgres.Change[V]{After: row, Op: postgres.Update}
	if row == nil {
		change.Op = postgres.Delete
	}
	if err := runtimetest.Pipe(d, topic, key, change, 0); err != nil {
		t.Fatal(err)
	}
}

// The topology can be tried without a database and without a log.
func TestRevenueFollowsEveryKindOfChange(t *testing.T) {
	built, err := topology()
	if err != nil {
		t.Fatal(err)
	}
	d, err := runtimetest.New(built, runtimetest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	answer := make(map[DayKey]Revenue)
	want := func(what string, rows map[DayKey]Revenue) {
		t.Helper()
		for _, r := range runtimetest.Output(d, revenue) {
			if r.ValueNull {
				delete(answer, r.Key)
			} else {
				answer[r.Key] = r.Value
			}
		}
		if !maps.Equal(answer, rows) {
			t.Errorf("%s: the answer is %v, want %v", what, answer, rows)
		}
	}
	pipe(t, d, items, ItemKey{1}, &Item{Order: 10, Quantity: 2, Cents: 150})
	pipe(t, d, orders, OrderKey{10}, &Order{Customer: 7, Day: "2026-01-01"})
	want("without the customer", map[DayKey]Revenue{})
	pipe(t, d, customers, CustomerKey{7}, &Customer{Name: "Ada"})
	want("the customer came last", map[DayKey]Revenue{{7, "Ada", "2026-01-01"}: {1, 300}})
	pipe(t, d, items, ItemKey{2}, &Item{Order: 10, Quantity: 1, Cents: 50})
	want("one more item", map[DayKey]Revenue{{7, "Ada", "2026-01-01"}: {2, 350}})
	pipe(t, d, customers, CustomerKey{7}, &Customer{Name: "Ada L."})
	want("another name", map[DayKey]Revenue{{7, "Ada L.", "2026-01-01"}: {2, 350}})
	pipe(t, d, orders, OrderKey{11}, &Order{Customer: 7, Day: "2026-01-02"})
	pipe(t, d, items, ItemKey{2}, &Item{Order: 11, Quantity: 1, Cents: 50})
	want("an item moves", map[DayKey]Revenue{{7, "Ada L.", "2026-01-01"}: {1, 300}, {7, "Ada L.", "2026-01-02"}: {1, 50}})
	pipe(t, d, orders, OrderKey{10}, nil)
	want("an order goes", map[DayKey]Revenue{{7, "Ada L.", "2026-01-02"}: {1, 50}})
	pipe(t, d, customers, CustomerKey{7}, nil)
	want("the customer goes", map[DayKey]Revenue{})
}
