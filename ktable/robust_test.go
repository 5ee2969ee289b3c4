package ktable_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

var errDisk = errors.New("the disk is gone")

// brokenEngine cannot read.
type brokenEngine struct{ statestore.Engine }

func (e brokenEngine) Partition(store string, n int32) (statestore.Partition, error) {
	p, err := e.Engine.Partition(store, n)
	return brokenPartition{p}, err
}

type brokenPartition struct{ statestore.Partition }

func (brokenPartition) Get([]byte, []byte) ([]byte, bool, error) { return nil, false, errDisk }

// everyFault is a policy with one handler for all.
func everyFault(handler func(*stream.Fault) stream.Decision) stream.Faults {
	return stream.Faults{Deserialization: handler, Processing: handler, Production: handler}
}

// TestStoreThatFailsIsNeverSkipped: a handler that skips everything is not asked about a store that cannot be read, and the fault names the operator.
func TestStoreThatFailsIsNeverSkipped(t *testing.T) {
	b := stream.NewBuilder()
	ktable.Count(stream.GroupByKey(stream.From(b, text("in"))), statestore.KeyValue("s", serde.String, serde.Int64))
	asked := 0
	d := runtimetest.Start(t, b, runtimetest.Config{
		Open:   func() (statestore.Engine, error) { return brokenEngine{memstore.New()}, nil },
		Faults: everyFault(func(*stream.Fault) stream.Decision { asked++; return stream.Skip }),
	})
	err := d.PipeRaw("in", []byte("k"), []byte("v"), 1)
	var f *stream.Fault
	if !errors.As(err, &f) || !errors.Is(err, errDisk) || f.Op != "ktable.Count" || f.Topic != "in" || asked != 0 {
		t.Errorf("asked %d times, the error is %v", asked, err)
	}
}

// TestOneTopologyRunsInSeveralTasksAtOnce lets the race detector look at what tasks share.
func TestOneTopologyRunsInSeveralTasksAtOnce(t *testing.T) {
	b := stream.NewBuilder()
	rows := ktable.From(b, text("rows"), texts("rows"))
	joined := ktable.LeftJoinStream(stream.From(b, text("in")), rows, func(v, row string, _ bool) string { return v + row })
	sums := ktable.Reduce(stream.GroupBy(joined, func(_, v string) string { return v }, text("via")), func(a, b string) string { return a + b }, texts("sums"))
	stream.To(ktable.ToStream(ktable.Filter(sums, func(_, v string) bool { return len(v)%2 == 0 })), text("out"))
	topology, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	results := make([]string, 4)
	for i := range results {
		wg.Go(func() {
			d, err := runtimetest.New(topology, runtimetest.Config{})
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			for n := range 50 {
				k := []byte(fmt.Sprint(n % 5))
				if err := errors.Join(d.PipeRaw("rows", k, k, int64(n)), d.PipeRaw("in", k, []byte("v"), int64(n))); err != nil {
					t.Error(err)
					return
				}
			}
			for _, r := range runtimetest.Output(d, text("out")) {
				results[i] += shown(r) + " "
			}
		})
	}
	wg.Wait()
	for _, r := range results {
		if r == "" || r != results[0] {
			t.Errorf("the same input gave\n%s\nand\n%s", r, results[0])
		}
	}
}
