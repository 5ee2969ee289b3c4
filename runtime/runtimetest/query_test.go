package runtimetest_test

import (
	"fmt"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// What runtime.Query gives of a running application, Query gives of a driver: the store's handle tells the types.
func ExampleQuery() {
	var (
		clicks = stream.NewTopic("clicks", serde.String, serde.String)
		perKey = statestore.KeyValue("clicks-by-user", serde.String, serde.Int64)
	)
	b := stream.NewBuilder()
	ktable.Count(stream.GroupByKey(stream.From(b, clicks)), perKey)
	topology, err := b.Build()
	if err != nil {
		panic(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{Partitions: map[string]int{"clicks": 3}})
	if err != nil {
		panic(err)
	}
	defer d.Close()
	for i, user := range []string{"ann", "bob", "ann"} {
		if err := runtimetest.Pipe(d, clicks, user, "/", int64(i)); err != nil {
			panic(err)
		}
	}
	n, found, err := runtimetest.Query(d, perKey).Get("ann")
	fmt.Println(n, found, err)
	// Output: 2 true <nil>
}
