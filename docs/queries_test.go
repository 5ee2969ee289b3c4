package docs

import (
	"fmt"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func Example_queries() {
	perMinute := statestore.Window("counts", serde.String, serde.Int64)
	b := stream.NewBuilder()
	ktable.CountWindows(stream.WindowBy(stream.GroupByKey(stream.From(b, in)), stream.Tumbling(minute)), perMinute)

	d := drive(b)
	defer d.Close()
	for i, name := range []string{"ann", "bob", "cid", "ann"} {
		check(runtimetest.Pipe(d, in, name, "", int64(i)))
	}
	for w, err := range runtimetest.Window(d, perMinute).FetchKeys(statestore.Between("ann", "bob").Inclusive(), 0, minute.Milliseconds()) {
		check(err)
		fmt.Println(w.Key, w.Start, w.Value)
	}
	// Output:
	// ann 0 2
	// bob 0 1
}
