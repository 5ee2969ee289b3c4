package stream_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// shown is a record as "key=value@time", null being ∅.
func shown[K, V any](r runtimetest.Record[K, V]) string {
	k, v := fmt.Sprint(r.Key), fmt.Sprint(r.Value)
	if r.KeyNull {
		k = "∅"
	}
	if r.ValueNull {
		v = "∅"
	}
	return fmt.Sprintf("%s=%s@%d", k, v, r.Timestamp)
}

func results[K, V any](d *runtimetest.Driver, topic stream.Topic[K, V]) (all []string) {
	for _, r := range runtimetest.Output(d, topic) {
		all = append(all, shown(r))
	}
	return all
}

// TestStatelessOperators pipes three records, one with a null key and one with a null value, through each operator.
func TestStatelessOperators(t *testing.T) {
	type ss = *stream.Stream[string, string]
	upper := strings.ToUpper
	for _, c := range []struct {
		name  string
		apply func(s ss) ss
		want  []string
	}{
		{"filter", func(s ss) ss { return stream.Filter(s, func(k, v string) bool { return v == "" }) }, []string{"k=∅@3"}},
		{"filter not", func(s ss) ss { return stream.FilterNot(s, func(k, v string) bool { return k == "" }) }, []string{"k=a b@1", "k=∅@3"}},
		{"filter ctx", func(s ss) ss {
			return stream.FilterCtx(s, func(_ context.Context, k, v string) (bool, error) { return k == "", nil })
		}, []string{"∅=c@2"}},
		{"filter not ctx", func(s ss) ss {
			return stream.FilterNotCtx(s, func(_ context.Context, k, v string) (bool, error) { return k == "", nil })
		}, []string{"k=a b@1", "k=∅@3"}},
		{"map values", func(s ss) ss { return stream.MapValues(s, upper) }, []string{"k=A B@1", "∅=C@2", "k=∅@3"}},
		{"map values with key", func(s ss) ss { return stream.MapValuesWithKey(s, func(k, v string) string { return k + v }) }, []string{"k=ka b@1", "∅=c@2", "k=∅@3"}},
		{"map values ctx", func(s ss) ss {
			return stream.MapValuesCtx(s, func(_ context.Context, k, v string) (string, error) { return v + k, nil })
		}, []string{"k=a bk@1", "∅=c@2", "k=∅@3"}},
		{"map", func(s ss) ss { return stream.Map(s, func(k, v string) (string, string) { return v, k }) }, []string{"a b=k@1", "c=@2", "=∅@3"}},
		{"map ctx", func(s ss) ss {
			return stream.MapCtx(s, func(_ context.Context, k, v string) (string, string, error) { return v, k, nil })
		}, []string{"a b=k@1", "c=@2", "=∅@3"}},
		{"select key", func(s ss) ss { return stream.SelectKey(s, func(k, v string) string { return upper(v) }) }, []string{"A B=a b@1", "C=c@2", "=∅@3"}},
		{"select key ctx", func(s ss) ss {
			return stream.SelectKeyCtx(s, func(_ context.Context, k, v string) (string, error) { return upper(v), nil })
		}, []string{"A B=a b@1", "C=c@2", "=∅@3"}},
		{"flat map values", func(s ss) ss { return stream.FlatMapValues(s, strings.FieldsSeq) }, []string{"k=a@1", "k=b@1", "∅=c@2"}},
		{"flat map values ctx", func(s ss) ss {
			return stream.FlatMapValuesCtx(s, func(_ context.Context, k, v string, yield func(string) bool) error {
				_ = yield(k) && yield(v)
				return nil
			})
		}, []string{"k=k@1", "k=a b@1", "∅=@2", "∅=c@2"}},
		{"flat map", func(s ss) ss {
			return stream.FlatMap(s, func(k, v string) iter.Seq2[string, string] {
				return func(yield func(string, string) bool) { _ = yield("1", k) && yield("2", v) }
			})
		}, []string{"1=k@1", "2=a b@1", "1=@2", "2=c@2"}},
		{"flat map ctx", func(s ss) ss {
			return stream.FlatMapCtx(s, func(_ context.Context, k, v string, yield func(string, string) bool) error {
				_ = yield("1", k) && yield("2", v)
				return nil
			})
		}, []string{"1=k@1", "2=a b@1", "1=@2", "2=c@2"}},
		{"peek", func(s ss) ss { return stream.Peek(s, func(k, v string) {}) }, []string{"k=a b@1", "∅=c@2", "k=∅@3"}},
		{"peek ctx", func(s ss) ss {
			return stream.PeekCtx(s, func(context.Context, string, string) error { return nil })
		}, []string{"k=a b@1", "∅=c@2", "k=∅@3"}},
		{"merge", func(s ss) ss { return stream.Merge(s, stream.MapValues(s, upper), s) }, []string{"k=A B@1", "k=a b@1", "∅=C@2", "∅=c@2", "k=∅@3", "k=∅@3"}},
		{"repartition", func(s ss) ss { return stream.Repartition(s, text("r")) }, []string{"k=a b@1", "k=∅@3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, in, out := stream.NewBuilder(), text("in"), text("out")
			stream.To(c.apply(stream.From(b, in)), out)
			d := runtimetest.Start(t, b, runtimetest.Config{})
			header := runtimetest.Header{Key: "h", Value: []byte("x")}
			for _, err := range []error{
				runtimetest.Pipe(d, in, "k", "a b", 1, header),
				d.PipeRaw("in", nil, []byte("c"), 2, header),
				runtimetest.PipeTombstone(d, in, "k", 3, header),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			var have []string
			for _, r := range runtimetest.Output(d, out) {
				have = append(have, shown(r))
				if len(r.Headers) != 1 || r.Headers[0].Key != "h" || string(r.Headers[0].Value) != "x" {
					t.Errorf("%s lost its headers: %v", shown(r), r.Headers)
				}
			}
			if !slices.Equal(have, c.want) {
				t.Errorf("have %v\nwant %v", have, c.want)
			}
			if d.Dropped() != 0 {
				t.Errorf("drops: %v", d.Drops())
			}
		})
	}
}

// TestTypesWithANullSeeNullThemselves: a pointer is nil where the record is null, and a nil result is null.
func TestTypesWithANullSeeNullThemselves(t *testing.T) {
	pointers := serde.Nullable(serde.String)
	in := stream.NewTopic("in", pointers, pointers)
	out := stream.NewTopic("out", serde.String, pointers)
	b := stream.NewBuilder()
	stream.To(stream.Map(stream.From(b, in), func(k, v *string) (string, *string) {
		swap := "from null"
		if v == nil {
			v = &swap
		} else {
			v = nil
		}
		if k == nil {
			return "none", v
		}
		return *k, v
	}), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	k, v := "k", "v"
	for i, p := range [][2]*string{{&k, &v}, {&k, nil}, {nil, nil}} {
		if err := runtimetest.Pipe(d, in, p[0], p[1], int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	var have []string
	for _, r := range runtimetest.Output(d, out) {
		value := "∅"
		if r.Value != nil {
			value = *r.Value
		}
		if (r.Value == nil) != r.ValueNull {
			t.Errorf("%v: ValueNull is %v", r, r.ValueNull)
		}
		have = append(have, r.Key+"="+value)
	}
	if want := []string{"k=∅", "k=from null", "none=from null"}; !slices.Equal(have, want) {
		t.Errorf("have %v\nwant %v", have, want)
	}
}

func TestNullableTellsNullFromZero(t *testing.T) {
	in, out := text("in"), text("out")
	b := stream.NewBuilder()
	stream.To(stream.MapValues(stream.Nullable(stream.From(b, in)), func(v *string) string {
		if v == nil {
			return "null"
		}
		return "«" + *v + "»"
	}), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	if err := errors.Join(runtimetest.Pipe(d, in, "k", "", 1), runtimetest.PipeTombstone(d, in, "k", 2)); err != nil {
		t.Fatal(err)
	}
	if have, want := results(d, out), []string{"k=«»@1", "k=null@2"}; !slices.Equal(have, want) {
		t.Errorf("have %v\nwant %v", have, want)
	}
}

// TestEventTimeOfAHeader finds a record's time in its headers, and takes its own where it has none.
func TestEventTimeOfAHeader(t *testing.T) {
	in, out := text("in").EventTimeOf(func(r *stream.Record[string, string], partitionTime int64) int64 {
		for _, h := range r.Headers {
			if h.Key == "at" {
				return int64(h.Value[0]) + int64(len(r.Key+r.Value)) + max(partitionTime, 0)
			}
		}
		return r.Timestamp
	}), text("out")
	b := stream.NewBuilder()
	stream.To(stream.From(b, in), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	check(runtimetest.Pipe(d, in, "k", "v", 5))
	check(runtimetest.Pipe(d, in, "k", "v", 6, stream.Header{Key: "at", Value: []byte{100}}))
	if have := results(d, out); !slices.Equal(have, []string{"k=v@5", "k=v@107"}) {
		t.Errorf("have %v", have)
	}
}

// TestEventTime covers who says what time it is.
func TestEventTime(t *testing.T) {
	raw := func(ts ...int64) []int64 { return ts }
	for _, c := range []struct {
		name  string
		opts  []stream.SourceOption
		topic func(stream.Topic[string, string]) stream.Topic[string, string]
		in    []int64
		want  []string
		drops int
		fails bool // at the last record
	}{
		{"the record's own", nil, nil, raw(5, 3), []string{"k=v@5", "k=v@3"}, 0, false},
		{"negative fails", nil, nil, raw(5, -1), []string{"k=v@5"}, 0, true},
		{"negative is skipped", []stream.SourceOption{stream.SkipInvalidTimestamps()}, nil, raw(5, -1, 6), []string{"k=v@5", "k=v@6"}, 1, false},
		{"partition time", []stream.SourceOption{stream.UsePartitionTime()}, nil, raw(5, 9, 3, -1), []string{"k=v@5", "k=v@9", "k=v@3", "k=v@9"}, 0, false},
		{"no partition time yet", []stream.SourceOption{stream.UsePartitionTime()}, nil, raw(-1), nil, 0, true},
		{"wall clock", []stream.SourceOption{stream.UseWallClock()}, nil, raw(5, -1), []string{"k=v@0", "k=v@0"}, 0, false},
		{"a function", nil, func(t stream.Topic[string, string]) stream.Topic[string, string] {
			return t.EventTime(func(k, v string, recordTime, partitionTime int64) int64 {
				return recordTime*100 + partitionTime + int64(len(k+v))
			})
		}, raw(1, 2, -1), []string{"k=v@101", "k=v@303"}, 0, false},
		{"a function that says no", nil, func(t stream.Topic[string, string]) stream.Topic[string, string] {
			return t.EventTime(func(_, _ string, recordTime, _ int64) int64 { return recordTime - 2 })
		}, raw(1, 2), []string{"k=v@0"}, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, out := text("in"), text("out")
			if c.topic != nil {
				in = c.topic(in)
			}
			b := stream.NewBuilder()
			stream.To(stream.From(b, in, c.opts...), out)
			d := runtimetest.Start(t, b, runtimetest.Config{})
			for i, ts := range c.in {
				err := runtimetest.Pipe(d, in, "k", "v", ts)
				if fails := c.fails && i == len(c.in)-1; (err != nil) != fails {
					t.Fatalf("record at %d: %v", ts, err)
				}
			}
			have := results(d, out)
			if c.name == "a function" {
				have = have[:min(2, len(have))] // the third is at -100 + 303 + 2
			}
			if !slices.Equal(have, c.want) {
				t.Errorf("have %v\nwant %v", have, c.want)
			}
			if d.Dropped() != c.drops {
				t.Errorf("dropped %v, want %d", d.Drops(), c.drops)
			}
		})
	}
}

func TestFromTwiceIsOneSource(t *testing.T) {
	b := stream.NewBuilder()
	stream.To(stream.From(b, text("in")), text("a"))
	stream.To(stream.From(b, text("in")), text("b"))
	topology, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(topology.String(), "Source: "); n != 1 {
		t.Errorf("%d sources, want 1:\n%s", n, topology)
	}
}

func TestFromAllReadsEveryTopic(t *testing.T) {
	b, one, two, out := stream.NewBuilder(), text("one"), text("two"), text("out")
	stream.To(stream.FromAll(b, []stream.Topic[string, string]{one, two}), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	if err := errors.Join(runtimetest.Pipe(d, two, "b", "2", 1), runtimetest.Pipe(d, one, "a", "1", 2)); err != nil {
		t.Fatal(err)
	}
	if have, want := results(d, out), []string{"b=2@1", "a=1@2"}; !slices.Equal(have, want) {
		t.Errorf("have %v, want %v", have, want)
	}
}
