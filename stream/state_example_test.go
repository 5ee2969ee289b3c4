package stream_test

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// must ends an example at a failure.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// driven starts a driver over what the builder holds.
func driven(b *stream.Builder) *runtimetest.Driver {
	topology, err := b.Build()
	must(err)
	d, err := runtimetest.New(topology, runtimetest.Config{})
	must(err)
	return d
}

// The topic of prices is compacted: it keeps the last price of each article for ever, so that the store needs no changelog beside it.
func ExampleAsChangelog() {
	prices := stream.NewTopic("prices", serde.String, serde.Int64)
	latest := statestore.KeyValue("latest", serde.String, serde.Int64)

	b := stream.NewBuilder()
	ktable.From(b, prices, latest, stream.AsChangelog())

	d := driven(b)
	defer d.Close()
	must(runtimetest.Pipe(d, prices, "vase", 20, 0))
	must(runtimetest.Pipe(d, prices, "vase", 25, 1))
	must(d.Restart(true)) // with an empty disk
	price, found, err := runtimetest.KeyValue(d, latest).Get("vase")
	must(err)
	fmt.Println(price, found)
	// Output: 25 true
}

// A processor looks up several rows of a global table for one record, by keys that the record is not partitioned by.
func ExampleReadGlobal() {
	prices := stream.NewTopic("prices", serde.String, serde.Int64)
	baskets := stream.NewTopic("baskets", serde.String, serde.String)
	totals := stream.NewTopic("totals", serde.String, serde.Int64)
	rows := statestore.KeyValue("prices", serde.String, serde.Int64)

	b := stream.NewBuilder()
	ktable.FromGlobal(b, prices, rows)
	sums := stream.ProcessValues(stream.From(b, baskets), func(p *stream.ValueProcessor[string, int64]) func(*stream.Record[string, string]) error {
		price := stream.ReadGlobal(p, rows)
		return func(r *stream.Record[string, string]) error {
			var sum int64
			for article := range strings.FieldsSeq(r.Value) {
				cents, _, err := price.Get(article)
				if err != nil {
					return err
				}
				sum += cents
			}
			return p.Forward(stream.With(r, sum))
		}
	})
	stream.To(sums, totals)

	d := driven(b)
	defer d.Close()
	must(runtimetest.Pipe(d, prices, "vase", 2500, 0))
	must(runtimetest.Pipe(d, prices, "cup", 300, 0))
	must(runtimetest.Pipe(d, baskets, "ann", "cup vase cup", 1))
	for _, r := range runtimetest.Output(d, totals) {
		fmt.Println(r.Key, r.Value)
	}
	// Output: ann 3100
}

// The description is Kafka Streams' own, the pictures are for documents.
func ExampleTopology() {
	b := stream.NewBuilder()
	in, out := stream.NewTopic("in", serde.String, serde.String), stream.NewTopic("out", serde.String, serde.String)
	stream.To(stream.MapValues(stream.From(b, in), strings.ToUpper), out)
	topology, err := b.Build()
	must(err)
	fmt.Print(strings.TrimSpace(topology.String()), "\n\n", topology.Mermaid())
	// Output:
	// Topologies:
	//    Sub-topology: 0
	//     Source: KSTREAM-SOURCE-0000000000 (topics: [in])
	//       --> KSTREAM-MAPVALUES-0000000001
	//     Processor: KSTREAM-MAPVALUES-0000000001 (stores: [])
	//       --> KSTREAM-SINK-0000000002
	//       <-- KSTREAM-SOURCE-0000000000
	//     Sink: KSTREAM-SINK-0000000002 (topic: out)
	//       <-- KSTREAM-MAPVALUES-0000000001
	//
	// flowchart LR
	//   subgraph s0 ["Sub-topology 0"]
	//     n0["KSTREAM-SOURCE-0000000000"]
	//     n1["KSTREAM-MAPVALUES-0000000001"]
	//     n2["KSTREAM-SINK-0000000002"]
	//   end
	//   n3>"in"]
	//   n4>"out"]
	//   n3 --> n0
	//   n0 --> n1
	//   n1 --> n2
	//   n2 --> n4
}
