package ktable_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Each row gets the number of changes that its key has had, those that deleted it among them.
func ExampleTransformValues() {
	prices := stream.NewTopic("prices", serde.String, serde.String)
	out := stream.NewTopic("out", serde.String, serde.String)
	changes := statestore.KeyValue("changes", serde.String, serde.Int64)
	numbered := statestore.KeyValue("numbered", serde.String, serde.String)

	b := stream.NewBuilder()
	table := ktable.From(b, prices, statestore.KeyValue("prices", serde.String, serde.String))
	t := ktable.TransformValues(table, func(p *stream.Operator) func(string, string, bool) (string, bool, error) {
		store := stream.Store(p, changes)
		return func(key, price string, found bool) (string, bool, error) {
			n, _, err := store.Get(key)
			if err != nil {
				return "", false, err
			}
			if err := store.Put(key, n+1, max(0, p.StreamTime())); err != nil {
				return "", false, err
			}
			return fmt.Sprintf("%s (%d)", price, n+1), found, nil
		}
	}, numbered, changes)
	stream.To(ktable.ToStream(t), out)
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
		runtimetest.Pipe(d, prices, "tea", "3", 0),
		runtimetest.PipeTombstone(d, prices, "tea", 1),
		runtimetest.Pipe(d, prices, "tea", "4", 2),
	} {
		if err != nil {
			panic(err)
		}
	}
	for _, r := range runtimetest.Output(d, out) {
		fmt.Println(r.Key, r.Value, r.ValueNull)
	}
	// Output:
	// tea 3 (1) false
	// tea  true
	// tea 4 (3) false
}

func TestTransformedRowsAreLookedUpOnTheFly(t *testing.T) {
	in := stream.NewTopic("in", serde.String, serde.String)
	b := stream.NewBuilder()
	table := ktable.From(b, stream.NewTopic("t", serde.String, serde.String), statestore.KeyValue("t", serde.String, serde.String))
	upper := ktable.TransformValues(table, func(*stream.Operator) func(string, string, bool) (string, bool, error) {
		return func(_, row string, found bool) (string, bool, error) {
			if !found {
				return "none", true, nil
			}
			if row == "boom" {
				return "", false, errors.New("boom")
			}
			return strings.ToUpper(row), row != "hide", nil
		}
	}, nil)
	out := stream.NewTopic("out", serde.String, serde.String)
	stream.To(ktable.JoinStream(stream.From(b, in), upper, func(v, row string) string { return v + row }), out)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d, err := runtimetest.New(topo, runtimetest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, step := range [][3]string{{"t", "k", "row"}, {"in", "k", "1"}, {"in", "other", "2"}, {"t", "k", "hide"}, {"in", "k", "3"}} {
		if err := d.PipeRaw(step[0], []byte(step[1]), []byte(step[2]), 1); err != nil {
			t.Fatal(err)
		}
	}
	var have []string
	for _, r := range runtimetest.Output(d, out) {
		have = append(have, r.Value)
	}
	if fmt.Sprint(have) != "[1ROW 2none]" {
		t.Errorf("have %v", have)
	}
	var f *stream.Fault
	if err := d.PipeRaw("t", []byte("k"), []byte("boom"), 1); !errors.As(err, &f) || f.Op != "ktable.TransformValues" {
		t.Errorf("the error is %v, want a fault of the operator", err)
	}
}
