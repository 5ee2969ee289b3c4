package ktable_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Orders name their customer, by whom they are not partitioned; the names of all customers are at hand in every instance.
func ExampleJoinGlobal() {
	customers := stream.NewTopic("customers", serde.String, serde.String)
	orders := stream.NewTopic("orders", serde.String, serde.String)
	named := stream.NewTopic("named", serde.String, serde.String)

	b := stream.NewBuilder()
	names := ktable.FromGlobal(b, customers, statestore.KeyValue("names", serde.String, serde.String))
	out := ktable.JoinGlobal(stream.From(b, orders), names,
		func(_, customer string) string { return customer },
		func(customer, name string) string { return customer + " is " + name })
	stream.To(out, named)
	topology, err := b.Build()
	if err != nil {
		panic(err)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{Partitions: map[string]int{"customers": 4}})
	if err != nil {
		panic(err)
	}
	defer d.Close()
	for _, err := range []error{
		runtimetest.Pipe(d, customers, "c1", "Ann", 0),
		runtimetest.Pipe(d, orders, "o1", "c1", 1),
		runtimetest.Pipe(d, orders, "o2", "nobody", 2),
	} {
		if err != nil {
			panic(err)
		}
	}
	for _, r := range runtimetest.Output(d, named) {
		fmt.Println(r.Key, r.Value)
	}
	// Output: o1 c1 is Ann
}

// Orders go on whether or not their customer is known.
func ExampleLeftJoinGlobal() {
	customers, orders, named := text("customers"), text("orders"), text("named")
	b := stream.NewBuilder()
	names := ktable.FromGlobal(b, customers, statestore.KeyValue("names", serde.String, serde.String))
	out := ktable.LeftJoinGlobal(stream.From(b, orders), names,
		func(_, customer string) string { return customer },
		func(customer, name string, found bool) string {
			if !found {
				return customer + " is unknown"
			}
			return customer + " is " + name
		})
	stream.To(out, named)

	d := run(b)
	defer d.Close()
	check(runtimetest.Pipe(d, customers, "c1", "Ann", 0))
	check(runtimetest.Pipe(d, orders, "o1", "c1", 1))
	check(runtimetest.Pipe(d, orders, "o2", "nobody", 2))
	for _, r := range runtimetest.Output(d, named) {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// o1 c1 is Ann
	// o2 nobody is unknown
}

// globalDriver joins "in", whose values are keys, with the global table "g".
func globalDriver(t *testing.T, c runtimetest.Config, opts ...stream.SourceOption) (*runtimetest.Driver, *statestore.KeyValueSpec[string, string]) {
	t.Helper()
	rows := statestore.KeyValue("rows", serde.String, serde.String)
	b := stream.NewBuilder()
	g := ktable.FromGlobal(b, stream.NewTopic("g", serde.String, serde.String), rows, opts...)
	in := stream.From(b, stream.NewTopic("in", serde.String, serde.String))
	out := ktable.LeftJoinGlobal(in, g, func(_, v string) string { return v }, func(v, row string, found bool) string { return fmt.Sprint(v, row, found) })
	stream.To(out, stream.NewTopic("out", serde.String, serde.String))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d, err := runtimetest.New(topo, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, rows
}

func globalOut(d *runtimetest.Driver) string {
	var all []string
	for _, r := range runtimetest.Output(d, stream.NewTopic("out", serde.String, serde.String)) {
		all = append(all, r.Value)
	}
	return strings.Join(all, " ")
}

func TestGlobalTableComesBackFromItsTopic(t *testing.T) {
	for _, lose := range []bool{false, true} {
		d, rows := globalDriver(t, runtimetest.Config{Partitions: map[string]int{"g": 3}})
		for i := range 20 {
			if err := d.PipeRaw("g", []byte(fmt.Sprint("k", i)), []byte(fmt.Sprint("v", i)), 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.PipeRaw("g", []byte("k7"), nil, 2); err != nil {
			t.Fatal(err)
		}
		if err := d.Restart(lose); err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"k3", "k7"} {
			if err := d.PipeRaw("in", []byte("x"), []byte(k), 3); err != nil {
				t.Fatal(err)
			}
		}
		if have, want := globalOut(d), "k3v3true k7false"; have != want {
			t.Errorf("lose %v: have %q, want %q", lose, have, want)
		}
		n := 0
		for _, err := range runtimetest.KeyValue(d, rows).All() {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 19 {
			t.Errorf("%d rows, want 19", n)
		}
	}
}

func TestGlobalTableWithBadInput(t *testing.T) {
	d, _ := globalDriver(t, runtimetest.Config{})
	if err := d.PipeRaw("g", []byte("k"), []byte("v"), -5); err == nil || !strings.Contains(err.Error(), "negative timestamp -5") {
		t.Errorf("a negative time: %v", err)
	}
	d, _ = globalDriver(t, runtimetest.Config{}, stream.SkipInvalidTimestamps())
	for _, in := range []struct {
		key []byte
		at  int64
	}{{[]byte("k"), -5}, {nil, 1}} {
		if err := d.PipeRaw("g", in.key, []byte("v"), in.at); err != nil {
			t.Fatal(err)
		}
	}
	if d.Dropped() != 2 {
		t.Errorf("dropped %v, want a negative time and a null key", d.Drops())
	}
}

func TestGlobalTableSkipsWhatItCannotDecode(t *testing.T) {
	for _, skip := range []bool{false, true} {
		c := runtimetest.Config{}
		if skip {
			c.Faults.Deserialization, c.Faults.DeadLetterTopic = stream.DeadLetterFaults, "dead"
		}
		b := stream.NewBuilder()
		numbers := statestore.KeyValue("numbers", serde.String, serde.Int64)
		ktable.FromGlobal(b, stream.NewTopic("g", serde.String, serde.Int64), numbers)
		stream.ForEach(stream.From(b, stream.NewTopic("in", serde.String, serde.String)), func(_, _ string) {})
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		d, err := runtimetest.New(topo, c)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		err = d.PipeRaw("g", []byte("k"), []byte("short"), 1)
		var f *stream.Fault
		if !skip && (!errors.As(err, &f) || f.Kind != stream.FaultDeserialization || f.Op != "ktable.FromGlobal" || f.Topic != "g") {
			t.Errorf("the error is %v, want a fault of the table", err)
		}
		if skip && (err != nil || d.Dropped() != 1) {
			t.Errorf("skipped with %v, %d dropped", err, d.Dropped())
		}
	}
}

func TestGlobalTableFaults(t *testing.T) {
	b := stream.NewBuilder()
	topic := stream.NewTopic("t", serde.String, serde.String)
	rows := statestore.KeyValue("rows", serde.String, serde.String)
	g := ktable.FromGlobal(b, topic, rows)
	ktable.FromGlobal(b, topic, statestore.KeyValue("again", serde.String, serde.String))
	s := stream.From(b, topic)
	ktable.FromGlobal(b, stream.NewTopic("u", serde.String, serde.String), rows, stream.FromLatest())
	ktable.FromGlobal(b, stream.NewTopic("v", serde.String, serde.String), statestore.KeyValue("v", serde.String, serde.String), stream.LimitTimeJumps(time.Hour))
	ktable.FromGlobal(b, stream.NewTopic("w", serde.String, serde.String), (*statestore.KeyValueSpec[string, string])(nil))
	ktable.JoinGlobalCtx(s, g, nil, func(context.Context, string, string, string) (string, error) { return "", nil })
	stream.Process(s, func(*stream.Processor[string, string]) func(*stream.Record[string, string]) error { return nil }, rows)
	_, err := b.Build()
	for _, want := range []string{
		`ktable.FromGlobal: topic "t" is already read at`,
		`stream.From: topic "t" is already read at`,
		`ktable.FromGlobal: store "rows" is already used at`,
		"an option about where to begin contradicts it",
		"a global table has no time that a record could move",
		"ktable.FromGlobal: the store is nil",
		"ktable.JoinGlobalCtx: the function is nil",
		`stream.Process: store "rows" holds the global table of`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in %v", want, err)
		}
	}
}

// globalEnv has one row of a global table.
type globalEnv struct {
	storeEnv
	part statestore.Partition
}

func (e *globalEnv) Global(string) ([]statestore.Partition, error) {
	return []statestore.Partition{e.part}, nil
}

func TestLookupInAGlobalTableMakesNoAllocation(t *testing.T) {
	b := stream.NewBuilder()
	rows := statestore.KeyValue("rows", serde.Int64, serde.Int64)
	g := ktable.FromGlobal(b, stream.NewTopic("g", serde.Int64, serde.Int64), rows)
	in := stream.From(b, stream.NewTopic("in", serde.Int64, serde.Int64))
	joined := int64(0)
	stream.ForEach(ktable.JoinGlobal(in, g, func(k, _ int64) int64 { return k }, func(v, row int64) int64 { return v + row }), func(_, v int64) { joined += v })
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	e := &globalEnv{storeEnv: storeEnv{engine: memstore.New()}}
	if e.part, err = e.engine.Partition("rows", topology.GlobalPartition); err != nil {
		t.Fatal(err)
	}
	feed, err := topo.Globals()[0].NewFeed(e.part, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	seven := []byte{0, 0, 0, 0, 0, 0, 0, 7}
	batch := e.engine.NewBatch()
	if err := feed.Take(batch, &topology.RawRecord{Topic: "g", Key: seven, Value: seven}); err != nil {
		t.Fatal(err)
	}
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	task, err := topo.Subtopologies()[0].NewTask(e)
	if err != nil {
		t.Fatal(err)
	}
	raw := &topology.RawRecord{Topic: "in", Key: seven, Value: seven}
	process := func() {
		if err := task.Process(0, raw, 1); err != nil {
			t.Fatal(err)
		}
	}
	process()
	if joined != 14 {
		t.Fatalf("the join gave %d, want 14", joined)
	}
	if n := testing.AllocsPerRun(1000, process); n != 0 {
		t.Errorf("%v allocations per record, want 0", n)
	}
}
