package stream_test

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

var errUser = errors.New("the user's error")

// TestFailureNamesOperatorLineAndRecord covers every way in which a user's function can fail.
func TestFailureNamesOperatorLineAndRecord(t *testing.T) {
	type ss = *stream.Stream[string, string]
	type ctx = context.Context
	for _, c := range []struct {
		op    string
		panic bool
		apply func(s ss)
	}{
		{"stream.Filter", true, func(s ss) { stream.Filter(s, func(string, string) bool { panic(errUser) }) }},
		{"stream.FilterCtx", false, func(s ss) { stream.FilterCtx(s, func(ctx, string, string) (bool, error) { return false, errUser }) }},
		{"stream.FilterNotCtx", false, func(s ss) {
			stream.FilterNotCtx(s, func(ctx, string, string) (bool, error) { return false, errUser })
		}},
		{"stream.MapCtx", false, func(s ss) {
			stream.MapCtx(s, func(ctx, string, string) (string, string, error) { return "", "", errUser })
		}},
		{"stream.MapValues", true, func(s ss) { stream.MapValues(s, func(string) string { panic(errUser) }) }},
		{"stream.MapValuesCtx", false, func(s ss) {
			stream.MapValuesCtx(s, func(ctx, string, string) (string, error) { return "", errUser })
		}},
		{"stream.SelectKeyCtx", false, func(s ss) {
			stream.SelectKeyCtx(s, func(ctx, string, string) (string, error) { return "", errUser })
		}},
		{"stream.FlatMapCtx", false, func(s ss) {
			stream.FlatMapCtx(s, func(_ ctx, _, _ string, yield func(string, string) bool) error { yield("", ""); return errUser })
		}},
		{"stream.FlatMapValuesCtx", false, func(s ss) {
			stream.FlatMapValuesCtx(s, func(_ ctx, _, _ string, yield func(string) bool) error { return errUser })
		}},
		{"stream.PeekCtx", false, func(s ss) { stream.PeekCtx(s, func(ctx, string, string) error { return errUser }) }},
		{"stream.ForEachCtx", false, func(s ss) { stream.ForEachCtx(s, func(ctx, string, string) error { return errUser }) }},
		{"stream.ForEach", true, func(s ss) { stream.ForEach(s, func(string, string) { panic(errUser) }) }},
	} {
		t.Run(c.op, func(t *testing.T) {
			b, in := stream.NewBuilder(), text("in")
			c.apply(stream.MapValues(stream.From(b, in), func(v string) string { return v }))
			d := runtimetest.Start(t, b, runtimetest.Config{})
			err := runtimetest.Pipe(d, in, "k", "v", 1)
			var f *stream.Fault
			if !errors.As(err, &f) {
				t.Fatalf("the error is %v", err)
			}
			if f.Op != c.op || f.Topic != "in" || f.Offset != 0 || !strings.HasSuffix(f.Site.File, "failures_test.go") || !errors.Is(err, errUser) {
				t.Errorf("the fault is %+v", f)
			}
			if (len(f.Stack) > 0) != c.panic {
				t.Errorf("the fault has a stack of %d bytes", len(f.Stack))
			}
			if again := runtimetest.Pipe(d, in, "k", "v", 2); !errors.Is(again, errUser) {
				t.Errorf("after the failure the driver says %v", again)
			}
		})
	}
}

// TestPanicAfterAYieldNamesTheIteratorsOperator: the children of a flat map run in the middle of the user's iterator; what fails after them is the iterator.
func TestPanicAfterAYieldNamesTheIteratorsOperator(t *testing.T) {
	b, in := stream.NewBuilder(), text("in")
	words := stream.FlatMapValues(stream.From(b, in), func(v string) iter.Seq[string] {
		return func(yield func(string) bool) {
			yield(v)
			panic(errUser)
		}
	})
	stream.ForEach(words, func(string, string) {})
	d := runtimetest.Start(t, b, runtimetest.Config{})
	var f *stream.Fault
	if err := runtimetest.Pipe(d, in, "k", "v", 1); !errors.As(err, &f) || f.Op != "stream.FlatMapValues" {
		t.Errorf("the error is %v", err)
	}
}

// TestSkippedFaultLeavesSiblingsAndTheRestRunning: one operator's input is skipped, the operators beside it see the record all the same.
func TestSkippedFaultLeavesSiblingsAndTheRestRunning(t *testing.T) {
	b, in, out := stream.NewBuilder(), text("in"), text("out")
	s := stream.From(b, in)
	stream.To(stream.MapValues(s, func(v string) string {
		if v == "bad" {
			panic(errUser)
		}
		return "first " + v
	}), out)
	stream.To(stream.MapValuesCtx(s, func(_ context.Context, _, v string) (string, error) {
		if v == "worse" {
			return "", errUser
		}
		return "second " + v, nil
	}), out)
	var ops []string
	d := runtimetest.Start(t, b, runtimetest.Config{Faults: stream.Faults{Processing: func(f *stream.Fault) stream.Decision {
		ops = append(ops, f.Op)
		return stream.Skip
	}}})
	for i, v := range []string{"good", "bad", "worse"} {
		if err := runtimetest.Pipe(d, in, "k", v, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	if have, want := results(d, out), []string{"k=first good@0", "k=second good@0", "k=second bad@1", "k=first worse@2"}; !slices.Equal(have, want) {
		t.Errorf("have %v\nwant %v", have, want)
	}
	if want := []string{"stream.MapValues", "stream.MapValuesCtx"}; !slices.Equal(ops, want) {
		t.Errorf("the handler was asked about %v, want %v", ops, want)
	}
	for _, drop := range d.Drops() {
		if drop.Reason != runtimetest.DropFailed || drop.Count != 1 {
			t.Errorf("dropped %+v", drop)
		}
	}
	if d.Dropped() != 2 {
		t.Errorf("%d drops, want 2", d.Dropped())
	}
}

// TestHandlerIsAskedOncePerFault: the operators above the failing one are not asked again when the answer is no.
func TestHandlerIsAskedOncePerFault(t *testing.T) {
	b, in := stream.NewBuilder(), text("in")
	s := stream.Peek(stream.Peek(stream.From(b, in), func(string, string) {}), func(string, string) {})
	stream.ForEach(s, func(string, string) { panic(errUser) })
	asked := 0
	d := runtimetest.Start(t, b, runtimetest.Config{Faults: stream.Faults{Processing: func(*stream.Fault) stream.Decision { asked++; return stream.Fail }}})
	if err := runtimetest.Pipe(d, in, "k", "v", 1); !errors.Is(err, errUser) || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

func TestUndecodableRecordFailsOrIsSkipped(t *testing.T) {
	numbers := stream.NewTopic("in", serde.String, serde.Int64)
	make := func(c runtimetest.Config) *runtimetest.Driver {
		b := stream.NewBuilder()
		stream.To(stream.From(b, numbers), stream.NewTopic("out", serde.String, serde.Int64))
		return runtimetest.Start(t, b, c)
	}
	d := make(runtimetest.Config{})
	var f *stream.Fault
	if err := d.PipeRaw("in", []byte("k"), []byte("xx"), 1); !errors.As(err, &f) || f.Kind != stream.FaultDeserialization || !strings.Contains(err.Error(), "value: ") {
		t.Errorf("the error is %v", err)
	}
	d = make(runtimetest.Config{Faults: stream.Faults{Deserialization: stream.SkipFaults}})
	if err := errors.Join(d.PipeRaw("in", []byte("k"), []byte("xx"), 1), runtimetest.Pipe(d, numbers, "k", 7, 2)); err != nil {
		t.Fatal(err)
	}
	if n := len(d.OutputRaw("out")); n != 1 {
		t.Errorf("%d records came out, want 1", n)
	}
	if drops := d.Drops(); len(drops) != 1 || drops[0].Reason != runtimetest.DropPoison {
		t.Errorf("drops: %v", drops)
	}
}

// refusing is a serde that cannot write some values.
type refusing struct{ serde.Serde[string] }

func (r refusing) Append(dst []byte, v string) ([]byte, error) {
	if v == "secret" {
		return nil, errUser
	}
	return r.Serde.Append(dst, v)
}

func TestValueThatCannotBeWrittenIsAProductionFault(t *testing.T) {
	b, in := stream.NewBuilder(), text("in")
	stream.To(stream.From(b, in), stream.NewTopic("out", serde.String, serde.Serde[string](refusing{serde.String})))
	d := runtimetest.Start(t, b, runtimetest.Config{})
	var f *stream.Fault
	if err := runtimetest.Pipe(d, in, "k", "secret", 1); !errors.As(err, &f) || f.Kind != stream.FaultProduction || f.Op != "stream.To" {
		t.Errorf("the error is %v", err)
	}
}

func TestContextTellsAboutTheRecord(t *testing.T) {
	type key struct{}
	b, in := stream.NewBuilder(), text("in")
	var have []stream.Meta
	stream.ForEachCtx(stream.From(b, in), func(ctx context.Context, _, _ string) error {
		if ctx.Value(key{}) != "mine" {
			return errors.New("the context lost the caller's value")
		}
		m, ok := stream.MetaOf(ctx)
		if !ok {
			return errors.New("the context knows no record")
		}
		m.Headers = slices.Clone(m.Headers)
		have = append(have, m)
		return nil
	})
	d := runtimetest.Start(t, b, runtimetest.Config{Context: context.WithValue(context.Background(), key{}, "mine")})
	h := stream.Header{Key: "h", Value: []byte("1")}
	if err := errors.Join(runtimetest.Pipe(d, in, "k", "v", 9), runtimetest.Pipe(d, in, "k", "v", 4, h)); err != nil {
		t.Fatal(err)
	}
	want := []stream.Meta{{Topic: "in", Offset: 0, StreamTime: 9}, {Topic: "in", Offset: 1, StreamTime: 9, Headers: []stream.Header{h}}}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("have %+v\nwant %+v", have, want)
	}
	if _, ok := stream.MetaOf(context.Background()); ok {
		t.Error("any context knows a record")
	}
}
