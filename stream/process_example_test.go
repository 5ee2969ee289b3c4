package stream_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// A processor that speaks up when a device falls silent, and again when it is back.
func ExampleProcess() {
	type Alert = string
	beats := stream.NewTopic("beats", serde.String, serde.String)
	alerts := stream.NewTopic("alerts", serde.String, serde.String)
	lastSeen := statestore.KeyValue("last-seen", serde.String, serde.Int64)

	b := stream.NewBuilder()
	out := stream.Process(stream.From(b, beats), func(p *stream.Processor[string, Alert]) func(*stream.Record[string, string]) error {
		seen := stream.Store(p, lastSeen)
		p.Every(stream.WallClock, 10*time.Second, func(now int64) error {
			for e, err := range seen.All() {
				if err != nil {
					return err
				}
				if now-e.Timestamp < 30_000 {
					continue
				}
				if err := seen.Delete(e.Key, now); err != nil {
					return err
				}
				if err := p.Forward(stream.Record[string, Alert]{Key: e.Key, Value: "silent", Timestamp: now}); err != nil {
					return err
				}
			}
			return nil
		})
		return func(r *stream.Record[string, string]) error {
			n, known, err := seen.Get(r.Key)
			if err != nil {
				return err
			}
			if err := seen.Put(r.Key, n+1, p.Now()); err != nil || known {
				return err
			}
			return p.Forward(stream.With(r, "alive"))
		}
	}, lastSeen)
	stream.To(out, alerts)

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, beats, "pump", "", 0))
	check(d.AdvanceWallClock(20 * time.Second))
	check(runtimetest.Pipe(d, beats, "pump", "", 20_000))
	check(d.AdvanceWallClock(40 * time.Second))
	for _, r := range runtimetest.Output(d, alerts) {
		fmt.Println(r.Key, r.Value, r.Timestamp)
	}
	// Output:
	// pump alive 0
	// pump silent 60000
}

func ExampleProcessValues() {
	words := stream.NewTopic("words", serde.String, serde.String)
	numbered := stream.NewTopic("numbered", serde.String, serde.String)
	counts := statestore.KeyValue("counts", serde.String, serde.Int64)

	b := stream.NewBuilder()
	out := stream.ProcessValues(stream.From(b, words), func(p *stream.ValueProcessor[string, string]) func(*stream.Record[string, string]) error {
		store := stream.Store(p, counts)
		return func(r *stream.Record[string, string]) error {
			n, _, err := store.Get(r.Key)
			if err != nil {
				return err
			}
			if err := store.Put(r.Key, n+1, r.Timestamp); err != nil {
				return err
			}
			return p.Forward(stream.With(r, fmt.Sprintf("%d: %s", n+1, r.Value)))
		}
	}, counts)
	stream.To(out, numbered)

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, words, "k", "so", 0))
	check(runtimetest.Pipe(d, words, "k", "on", 1))
	for _, r := range runtimetest.Output(d, numbered) {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// k 1: so
	// k 2: on
}

func ExampleChild() {
	in := stream.NewTopic("in", serde.String, serde.String)
	good := stream.NewTopic("good", serde.String, serde.String)
	bad := stream.NewTopic("bad", serde.String, serde.String)

	b := stream.NewBuilder()
	checked := stream.Process(stream.From(b, in), func(p *stream.Processor[string, string]) func(*stream.Record[string, string]) error {
		return func(r *stream.Record[string, string]) error {
			if r.Value == "" {
				return p.ForwardTo("bad", stream.With(r, "empty"))
			}
			return p.ForwardTo("good", *r)
		}
	})
	stream.To(stream.Child(checked, "good"), good)
	stream.To(stream.Child(checked, "bad"), bad)

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, in, "1", "x", 0))
	check(runtimetest.Pipe(d, in, "2", "", 0))
	fmt.Println(results(d, good), results(d, bad))
	// Output: [1=x@0] [2=empty@0]
}

func ExampleSplit() {
	payments := stream.NewTopic("payments", serde.String, serde.Int64)
	refunds := stream.NewTopic("refunds", serde.String, serde.Int64)
	other := stream.NewTopic("other", serde.String, serde.Int64)

	b := stream.NewBuilder()
	byKind := stream.Split(stream.From(b, payments))
	stream.To(byKind.Branch("refunds", func(_ string, cents int64) bool { return cents < 0 }), refunds)
	stream.To(byKind.Default("rest"), other)

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, payments, "ann", 500, 0))
	check(runtimetest.Pipe(d, payments, "bob", -120, 0))
	fmt.Println(results(d, refunds), results(d, other))
	// Output: [bob=-120@0] [ann=500@0]
}

func ExampleToBy() {
	events := stream.NewTopic("events", serde.String, serde.String)
	day, night := stream.NewTopic("day", serde.String, serde.String), stream.NewTopic("night", serde.String, serde.String)

	b := stream.NewBuilder()
	stream.ToBy(stream.From(b, events), func(_, shift string) stream.Topic[string, string] {
		if shift == "late" {
			return night
		}
		return day
	})

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, events, "a", "early", 0))
	check(runtimetest.Pipe(d, events, "b", "late", 0))
	fmt.Println(results(d, day), results(d, night))
	// Output: [a=early@0] [b=late@0]
}

// What has no topic of its own is a fault of the record.
func ExampleToByCtx() {
	events := stream.NewTopic("events", serde.String, serde.String)
	tenants := map[string]stream.Topic[string, string]{
		"acme": stream.NewTopic("acme-events", serde.String, serde.String),
		"byte": stream.NewTopic("byte-events", serde.String, serde.String),
	}

	b := stream.NewBuilder()
	stream.ToByCtx(stream.From(b, events), func(_ context.Context, tenant, _ string) (stream.Topic[string, string], error) {
		topic, ok := tenants[tenant]
		if !ok {
			return topic, fmt.Errorf("there is no tenant %q", tenant)
		}
		return topic, nil
	})

	d := run(b, runtimetest.Config{Faults: stream.Faults{Processing: stream.SkipFaults}})
	defer d.Close()
	for _, tenant := range []string{"acme", "nobody", "byte"} {
		check(runtimetest.Pipe(d, events, tenant, "start", 0))
	}
	fmt.Println(results(d, tenants["acme"]), results(d, tenants["byte"]), d.Dropped(), "dropped")
	// Output: [acme=start@0] [byte=start@0] 1 dropped
}

// The topic follows from a header.
func ExampleToByRecord() {
	events := stream.NewTopic("events", serde.String, serde.String)
	urgent, rest := stream.NewTopic("urgent", serde.String, serde.String), stream.NewTopic("rest", serde.String, serde.String)

	b := stream.NewBuilder()
	stream.ToByRecord(stream.From(b, events), func(_ context.Context, r *stream.Record[string, string]) (stream.Topic[string, string], error) {
		for _, h := range r.Headers {
			if h.Key == "priority" && string(h.Value) == "high" {
				return urgent, nil
			}
		}
		return rest, nil
	})

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, events, "a", "fire", 0, stream.Header{Key: "priority", Value: []byte("high")}))
	check(runtimetest.Pipe(d, events, "b", "rain", 0))
	fmt.Println(results(d, urgent), results(d, rest))
	// Output: [a=fire@0] [b=rain@0]
}

func ExamplePartitionBy() {
	orders := stream.NewTopic("orders", serde.String, serde.String)
	byRegion := stream.NewTopic("by-region", serde.String, serde.String)

	b := stream.NewBuilder()
	stream.To(stream.From(b, orders), byRegion, stream.PartitionBy(func(_, region string, partitions int) int {
		return int(region[0]) % partitions
	}))

	d := run(b, runtimetest.Config{Partitions: map[string]int{"by-region": 4}})
	defer d.Close()
	check(runtimetest.Pipe(d, orders, "1", "east", 0))
	check(runtimetest.Pipe(d, orders, "2", "west", 0))
	for _, r := range runtimetest.Output(d, byRegion) {
		fmt.Println(r.Key, "in partition", r.Partition)
	}
	// Output:
	// 1 in partition 1
	// 2 in partition 3
}

func ExampleMulticast() {
	news := stream.NewTopic("news", serde.String, serde.String)
	everywhere := stream.NewTopic("everywhere", serde.String, serde.String)

	b := stream.NewBuilder()
	stream.To(stream.From(b, news), everywhere, stream.Multicast(func(_, _ string, partitions int) (all []int) {
		for p := range partitions {
			all = append(all, p)
		}
		return all
	}))

	d := run(b, runtimetest.Config{Partitions: map[string]int{"everywhere": 3}})
	defer d.Close()
	check(runtimetest.Pipe(d, news, "k", "hello", 0))
	for _, r := range runtimetest.Output(d, everywhere) {
		fmt.Println(r.Value, r.Partition)
	}
	// Output:
	// hello 0
	// hello 1
	// hello 2
}

func ExamplePrint() {
	in := stream.NewTopic("in", serde.String, serde.Int64)
	b := stream.NewBuilder()
	stream.Print(stream.From(b, in), os.Stdout, "seen")

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, in, "k", 7, 0))
	check(runtimetest.PipeTombstone(d, in, "k", 1))
	// Output:
	// [seen]: k, 7
	// [seen]: k, null
}
