package runtimetest_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// TestAVersionedStoreTellsThePast through its view, after a crash that lost the engine too.
func TestAVersionedStoreTellsThePast(t *testing.T) {
	prices := stream.NewTopic("prices", serde.String, serde.Int64)
	history := statestore.Versioned("history", serde.String, serde.Int64, time.Minute)
	b := stream.NewBuilder()
	ktable.FromVersioned(b, prices, history)
	topology, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{Partitions: map[string]int{"prices": 3}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, p := range []struct{ price, at int64 }{{10, 1000}, {30, 3000}, {20, 2000}} {
		if err := runtimetest.Pipe(d, prices, "tea", p.price, p.at); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Restart(true); err != nil {
		t.Fatal(err)
	}
	for _, view := range []statestore.ReadOnlyVersioned[string, int64]{runtimetest.Versioned(d, history), runtimetest.Query(d, history)} {
		for asOf, want := range map[int64]int64{1000: 10, 1999: 10, 2500: 20, 3000: 30, 9000: 30} {
			if v, _, found, err := view.GetAsOf("tea", asOf); err != nil || !found || v != want {
				t.Errorf("as of %d: %d, %v, %v, want %d", asOf, v, found, err, want)
			}
		}
		if _, _, found, err := view.GetAsOf("tea", 999); err != nil || found {
			t.Errorf("before the first price: %v, %v", found, err)
		}
		if v, ts, found, err := view.Get("tea"); err != nil || !found || v != 30 || ts != 3000 {
			t.Errorf("now: %d at %d, %v, %v", v, ts, found, err)
		}
	}
}
