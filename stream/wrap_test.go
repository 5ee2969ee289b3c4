package stream_test

import (
	"context"
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

// Each operator tells when a record comes and when it is done, with all that follows.
func ExampleBuilder_Wrap() {
	in := stream.NewTopic("in", serde.String, serde.String)
	b := stream.NewBuilder()
	depth := 0
	b.Wrap(func(o stream.OperatorInfo) stream.Around {
		return func(ctx context.Context, r *stream.RecordHead, process func() error) error {
			m, _ := stream.MetaOf(ctx)
			fmt.Printf("%s%s offset %d\n", strings.Repeat("  ", depth), o.Op, m.Offset)
			depth++
			defer func() { depth-- }()
			return process()
		}
	})
	upper := stream.MapValues(stream.From(b, in), strings.ToUpper)
	stream.To(stream.Filter(upper, func(_, v string) bool { return v != "" }), stream.NewTopic("out", serde.String, serde.String))

	d := run(b, runtimetest.Config{})
	defer d.Close()
	check(runtimetest.Pipe(d, in, "k", "v", 0))
	check(runtimetest.Pipe(d, in, "k", "", 1))
	// Output:
	// stream.MapValues offset 0
	//   stream.Filter offset 0
	//     stream.To offset 0
	// stream.MapValues offset 1
	//   stream.Filter offset 1
}

func TestWrappersAreAroundEveryOperatorOnce(t *testing.T) {
	b := stream.NewBuilder()
	calls := map[string]int{}
	var order []string
	count := func(who string) stream.Wrapper {
		return func(o stream.OperatorInfo) stream.Around {
			if o.Site.Line == 0 || o.Task.String() != "0_0" {
				t.Errorf("asked about %+v", o)
			}
			return func(_ context.Context, r *stream.RecordHead, process func() error) error {
				calls[who+" "+o.Op]++
				if o.Op == "stream.MapValues" {
					order = append(order, who)
				}
				return process()
			}
		}
	}
	b.Wrap(count("a"))
	b.Wrap(count("b"))
	b.Wrap(func(stream.OperatorInfo) stream.Around { return nil })
	s := stream.MapValues(stream.From(b, text("in")), strings.ToUpper)
	table := ktable.Count(stream.GroupByKey(s), statestore.KeyValue("counts", serde.String, serde.Int64))
	stream.To(ktable.ToStream(table), stream.NewTopic("out", serde.String, serde.Int64))
	d := runtimetest.Start(t, b, runtimetest.Config{})
	pipe(t, d, text("in"), "k", "v", 1)
	for _, op := range []string{"stream.MapValues", "ktable.Count", "ktable.ToStream", "stream.To"} {
		for _, who := range []string{"a", "b"} {
			if n := calls[who+" "+op]; n != 1 {
				t.Errorf("%s was called %d times around %s, want once", who, n, op)
			}
		}
	}
	equal(t, "order", order, "a", "b")
}

func TestAWrapperMayLeaveOutOrRefuseRecords(t *testing.T) {
	boom := errors.New("boom")
	b := stream.NewBuilder()
	b.Wrap(func(o stream.OperatorInfo) stream.Around {
		if o.Op != "stream.To" {
			return nil
		}
		return func(_ context.Context, r *stream.RecordHead, process func() error) error {
			switch {
			case r.ValueNull:
				return nil
			case r.Timestamp == 2:
				return boom
			}
			return process()
		}
	})
	stream.To(stream.From(b, text("in")), text("out"))
	d := runtimetest.Start(t, b, runtimetest.Config{})
	if err := runtimetest.PipeTombstone(d, text("in"), "k", 0); err != nil {
		t.Fatal(err)
	}
	pipe(t, d, text("in"), "k", "v", 1)
	equal(t, "out", results(d, text("out")), "k=v@1")
	var f *stream.Fault
	if err := runtimetest.Pipe(d, text("in"), "k", "v", 2); !errors.Is(err, boom) || !errors.As(err, &f) || f.Op != "stream.To" || f.Kind != stream.FaultProcessing {
		t.Errorf("the error is %v", err)
	}
}

func TestWrapperFaults(t *testing.T) {
	b := stream.NewBuilder()
	b.Wrap(nil)
	stream.From(b, text("in"))
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "stream.Builder.Wrap: the function is nil") {
		t.Errorf("the error is %v", err)
	}
}
