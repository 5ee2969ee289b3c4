package statestore_test

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// A count that begins anew for who was silent for a day.
func ExampleKeyValueSpec_ExpireAfter() {
	logins := stream.NewTopic("logins", serde.String, serde.String)
	counts := statestore.KeyValue("recent-logins", serde.String, serde.Int64).ExpireAfter(24 * time.Hour)

	b := stream.NewBuilder()
	ktable.Count(stream.GroupByKey(stream.From(b, logins)), counts)

	topology, err := b.Build()
	if err != nil {
		panic(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{})
	if err != nil {
		panic(err)
	}
	defer d.Close()
	hour := time.Hour.Milliseconds()
	for _, at := range []int64{0, 1, 30} {
		if err := runtimetest.Pipe(d, logins, "ann", "ok", at*hour); err != nil {
			panic(err)
		}
		n, _, err := runtimetest.KeyValue(d, counts).Get("ann")
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 1 <nil>
}
