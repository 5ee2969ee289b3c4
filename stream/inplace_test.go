package stream_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func swap(k, v string) (string, string) { return v, k }

func always(_, _ string) bool { return true }

// TestOperatorsChangeNoRecordThatOthersSee has operators that could change their input in place, at each of which a sibling, or a second call, would see it.
func TestOperatorsChangeNoRecordThatOthersSee(t *testing.T) {
	type ss = *stream.Stream[string, string]
	changes := map[string]func(s ss) ss{
		"map values": func(s ss) ss { return stream.MapValues(s, strings.ToUpper) },
		"map":        func(s ss) ss { return stream.Map(s, swap) },
		"select key": func(s ss) ss { return stream.SelectKey(s, func(_, v string) string { return v }) },
	}
	for name, change := range changes {
		for _, c := range []struct {
			above string
			apply func(s ss) ss
		}{
			{"the source", func(s ss) ss { return s }},
			{"a filter", func(s ss) ss { return stream.Filter(s, always) }},
			{"a filter and a peek", func(s ss) ss { return stream.Peek(stream.Filter(s, always), func(_, _ string) {}) }},
			{"another change", func(s ss) ss { return stream.MapValues(s, strings.Clone) }},
			{"a flat map", func(s ss) ss { return stream.FlatMapValues(s, strings.FieldsSeq) }},
		} {
			t.Run(name+" below "+c.above, func(t *testing.T) {
				b := stream.NewBuilder()
				in := stream.NewTopic("in", serde.String, serde.String)
				first, second := stream.NewTopic("first", serde.String, serde.String), stream.NewTopic("second", serde.String, serde.String)
				parent := c.apply(stream.From(b, in))
				stream.To(change(parent), first)
				stream.To(change(stream.Filter(parent, always)), first)
				stream.To(stream.Filter(parent, always), second)
				d := runtimetest.Start(t, b, runtimetest.Config{})
				pipe(t, d, in, "k", "v", 1)
				if got := results(d, second); !slices.Equal(got, []string{"k=v@1"}) {
					t.Errorf("beside %s another operator saw %q", name, got)
				}
			})
		}
	}
}

// TestRecordOfSeveralResultsStays has an operator that makes several records out of one: what is done to the first must not show in the second.
func TestRecordOfSeveralResultsStays(t *testing.T) {
	b := stream.NewBuilder()
	in, out := stream.NewTopic("in", serde.String, serde.String), stream.NewTopic("out", serde.String, serde.String)
	words := stream.FlatMapValues(stream.From(b, in), strings.FieldsSeq)
	stream.To(stream.SelectKey(words, func(k, v string) string { return k + v }), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	pipe(t, d, in, "k", "a b", 1)
	if got := results(d, out); !slices.Equal(got, []string{"ka=a@1", "kb=b@1"}) {
		t.Errorf("got %q", got)
	}
}

// TestMergedRecordsStay has two sides of a merge, of which one shares its records with another operator.
func TestMergedRecordsStay(t *testing.T) {
	b := stream.NewBuilder()
	in := stream.NewTopic("in", serde.String, serde.String)
	merged, beside := stream.NewTopic("merged", serde.String, serde.String), stream.NewTopic("beside", serde.String, serde.String)
	s := stream.From(b, in)
	alone := stream.MapValues(s, strings.ToUpper)
	stream.To(stream.Map(stream.Merge(alone, s), swap), merged)
	stream.To(s, beside)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	pipe(t, d, in, "k", "v", 1)
	if got := results(d, merged); !slices.Equal(got, []string{"V=k@1", "v=k@1"}) {
		t.Errorf("merged: %q", got)
	}
	if got := results(d, beside); !slices.Equal(got, []string{"k=v@1"}) {
		t.Errorf("beside: %q", got)
	}
}

// TestWrapperMayCallTwice has a wrapper that tries each record again: the second try must begin with the same record.
func TestWrapperMayCallTwice(t *testing.T) {
	b := stream.NewBuilder()
	in, out := stream.NewTopic("in", serde.String, serde.String), stream.NewTopic("out", serde.String, serde.String)
	b.Wrap(func(o stream.OperatorInfo) stream.Around {
		if o.Op != "stream.MapValues" {
			return nil
		}
		return func(_ context.Context, _ *stream.RecordHead, process func() error) error {
			if err := process(); err != nil {
				return err
			}
			return process()
		}
	})
	stream.To(stream.MapValues(stream.From(b, in), func(v string) string { return v + "!" }), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	pipe(t, d, in, "k", "v", 1)
	if got := results(d, out); !slices.Equal(got, []string{"k=v!@1", "k=v!@1"}) {
		t.Errorf("got %q", got)
	}
}
