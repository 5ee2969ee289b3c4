package ktable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

func text(name string) stream.Topic[string, string] {
	return stream.NewTopic(name, serde.String, serde.String)
}

func texts(name string) *statestore.KeyValueSpec[string, string] {
	return statestore.KeyValue(name, serde.String, serde.String)
}

func windows(name string) *statestore.WindowSpec[string, string] {
	return statestore.Window(name, serde.String, serde.String)
}

// feed pipes records written as "key=value@time"; ∅ is null.
func feed(t *testing.T, d *runtimetest.Driver, topic string, records ...string) {
	t.Helper()
	for _, r := range records {
		var ts int64
		kv, at, _ := strings.Cut(r, "@")
		k, v, _ := strings.Cut(kv, "=")
		if _, err := fmt.Sscan(at, &ts); err != nil {
			t.Fatalf("record %q: %v", r, err)
		}
		part := func(s string) []byte {
			if s == "∅" {
				return nil
			}
			return append([]byte{}, s...)
		}
		if err := d.PipeRaw(topic, part(k), part(v), ts); err != nil {
			t.Fatalf("record %q: %v", r, err)
		}
	}
}

// shown is a record as feed takes it.
func shown[K, V any](r runtimetest.Record[K, V]) string {
	k, v := fmt.Sprint(r.Key), fmt.Sprint(r.Value)
	if r.KeyNull {
		k = "∅"
	}
	if r.ValueNull {
		v = "∅"
	}
	if w, ok := any(r.Key).(stream.Windowed[string]); ok {
		k = fmt.Sprintf("%s[%d,%d)", w.Key, w.Start, w.End)
	}
	return fmt.Sprintf("%s=%s@%d", k, v, r.Timestamp)
}

func expect[K, V any](t *testing.T, d *runtimetest.Driver, topic stream.Topic[K, V], want ...string) {
	t.Helper()
	var have []string
	for _, r := range runtimetest.Output(d, topic) {
		have = append(have, shown(r))
	}
	if !slices.Equal(have, want) {
		t.Errorf("topic %s\nhave %v\nwant %v", topic.Name(), have, want)
	}
}

func drops(d *runtimetest.Driver) map[runtimetest.DropReason]int {
	m := map[runtimetest.DropReason]int{}
	for _, drop := range d.Drops() {
		m[drop.Reason] += drop.Count
	}
	return m
}

// TestAggregations covers every form; the records of one key come in two times, one of them late.
func TestAggregations(t *testing.T) {
	type grouped = *stream.Grouped[string, string]
	type table = *ktable.Table[string, string]
	type ctx = context.Context
	concat := func(a, b string) string { return a + "+" + b }
	empty := func() string { return "" }
	for _, c := range []struct {
		name  string
		apply func(g grouped) table
		want  []string
	}{
		{"reduce", func(g grouped) table { return ktable.Reduce(g, concat, texts("s")) }, []string{"k=a@5", "k=a+b@5"}},
		{"reduce ctx", func(g grouped) table {
			return ktable.ReduceCtx(g, func(_ ctx, k, a, b string) (string, error) { return k + concat(a, b), nil }, texts("s"))
		}, []string{"k=a@5", "k=ka+b@5"}},
		{"aggregate", func(g grouped) table {
			return ktable.Aggregate(g, empty, func(k, v, agg string) string { return agg + k + v }, texts("s"))
		}, []string{"k=ka@5", "k=kakb@5"}},
		{"aggregate ctx", func(g grouped) table {
			return ktable.AggregateCtx(g, empty, func(_ ctx, k, v, agg string) (string, error) { return agg + v, nil }, texts("s"))
		}, []string{"k=a@5", "k=ab@5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, out := stream.NewBuilder(), text("out")
			stream.To(ktable.ToStream(c.apply(stream.GroupByKey(stream.From(b, text("in"))))), out)
			d := runtimetest.Start(t, b, runtimetest.Config{})
			feed(t, d, "in", "k=a@5", "k=b@3", "∅=c@6", "k=∅@7")
			expect(t, d, out, c.want...)
			if have := drops(d); have[runtimetest.DropNullKey] != 1 || have[runtimetest.DropNullValue] != 1 || d.Dropped() != 2 {
				t.Errorf("drops: %v", d.Drops())
			}
		})
	}
}

// TestWindowedAggregations covers every form, with a late record, one that is too late, and windows that overlap.
func TestWindowedAggregations(t *testing.T) {
	type windowed = *stream.GroupedWindows[string, string]
	type table = *ktable.Table[stream.Windowed[string], string]
	type ctx = context.Context
	concat := func(a, b string) string { return a + b }
	empty := func() string { return "" }
	for _, c := range []struct {
		name  string
		apply func(g windowed) table
	}{
		{"reduce", func(g windowed) table { return ktable.ReduceWindows(g, concat, windows("s")) }},
		{"reduce ctx", func(g windowed) table {
			return ktable.ReduceWindowsCtx(g, func(_ ctx, _, a, b string) (string, error) { return a + b, nil }, windows("s"))
		}},
		{"aggregate", func(g windowed) table {
			return ktable.AggregateWindows(g, empty, func(_, v, agg string) string { return agg + v }, windows("s"))
		}},
		{"aggregate ctx", func(g windowed) table {
			return ktable.AggregateWindowsCtx(g, empty, func(_ ctx, _, v, agg string) (string, error) { return agg + v, nil }, windows("s"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := stream.NewBuilder()
			out := stream.NewTopic("out", serde.TimeWindowed(serde.String, 10*time.Millisecond), serde.String)
			in := stream.WindowBy(stream.GroupByKey(stream.From(b, text("in"))), stream.Hopping(10*time.Millisecond, 5*time.Millisecond).Grace(2*time.Millisecond))
			stream.To(ktable.ToStream(c.apply(in)), out)
			d := runtimetest.Start(t, b, runtimetest.Config{})
			feed(t, d, "in", "k=a@3", "k=b@7", "k=c@11", "k=d@9", "k=e@12", "k=f@8", "∅=x@1")
			expect(t, d, out,
				"k[0,10)=a@3", "k[0,10)=ab@7", "k[5,15)=b@7", "k[5,15)=bc@11", "k[10,20)=c@11",
				"k[0,10)=abd@9", "k[5,15)=bcd@11", // 9 is late and within the grace
				"k[5,15)=bcde@12", "k[10,20)=ce@12",
				"k[5,15)=bcdef@12") // the window [0,10) has closed at 12
			if have := drops(d); have[runtimetest.DropLate] != 1 || have[runtimetest.DropNullKey] != 1 || d.Dropped() != 2 {
				t.Errorf("drops: %v", d.Drops())
			}
		})
	}
}

func TestWindowsAtTheEndsOfTime(t *testing.T) {
	b := stream.NewBuilder()
	store := statestore.Window("s", serde.String, serde.Int64)
	out := stream.NewTopic("out", serde.TimeWindowed(serde.String, time.Second), serde.Int64)
	in := stream.WindowBy(stream.GroupByKey(stream.From(b, text("in"))), stream.Hopping(time.Second, 300*time.Millisecond))
	stream.To(ktable.ToStream(ktable.CountWindows(in, store)), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	feed(t, d, "in", "k=a@0")
	expect(t, d, out, "k[0,1000)=1@0")
	feed(t, d, "in", "k=a@9223372036854770000")
	if n := len(runtimetest.Output(d, out)); n != 3 {
		t.Errorf("a time near the last is in %d windows, want 3", n)
	}
	// No window can end after the last millisecond, so those of its records are closed: they are drops, not an endless loop over starts that wrap around.
	feed(t, d, "in", "k=a@9223372036854775807", "k=a@5")
	if have := drops(d); len(runtimetest.Output(d, out)) != 0 || have[runtimetest.DropLate] != 4+1 {
		t.Errorf("drops: %v", d.Drops())
	}
}

// TestTablesOfATopic covers filters and maps, on the fly and kept, over insertions, updates and deletions.
func TestTablesOfATopic(t *testing.T) {
	type table = *ktable.Table[string, string]
	type ctx = context.Context
	starts := func(_, v string) bool { return strings.HasPrefix(v, "y") }
	input := []string{"a=yes@1", "a=no@2", "a=none@3", "a=∅@4", "b=yet@5", "c=∅@6", "∅=y@7"}
	all := []string{"a=yes@1", "a=no@2", "a=none@3", "a=∅@4", "b=yet@5", "c=∅@6"}
	upper := []string{"a=YES@1", "a=NO@2", "a=NONE@3", "a=∅@4", "b=YET@5", "c=∅@6"}
	passing := []string{"a=yes@1", "a=∅@2", "b=yet@5"}
	failing := []string{"a=no@2", "a=none@3", "a=∅@4"}
	for _, c := range []struct {
		name  string
		apply func(t table) table
		want  []string
	}{
		{"as it is", func(t table) table { return t }, all},
		{"filter", func(t table) table { return ktable.Filter(t, starts) }, passing},
		{"filter, kept", func(t table) table { return ktable.Filter(t, starts, texts("kept")) }, passing},
		{"filter ctx", func(t table) table {
			return ktable.FilterCtx(t, func(_ ctx, k, v string) (bool, error) { return starts(k, v), nil })
		}, passing},
		{"filter not", func(t table) table { return ktable.FilterNot(t, starts) }, failing},
		{"filter not ctx", func(t table) table {
			return ktable.FilterNotCtx(t, func(_ ctx, k, v string) (bool, error) { return starts(k, v), nil })
		}, failing},
		{"filter not, kept", func(t table) table { return ktable.FilterNot(t, starts, texts("kept")) }, failing},
		{"map values", func(t table) table { return ktable.MapValues(t, strings.ToUpper) }, upper},
		{"map values, kept", func(t table) table { return ktable.MapValues(t, strings.ToUpper, texts("kept")) }, upper},
		{"map values with key", func(t table) table {
			return ktable.MapValuesWithKey(t, func(k, v string) string { return strings.ToUpper(v) })
		}, upper},
		{"map values ctx", func(t table) table {
			return ktable.MapValuesCtx(t, func(_ ctx, _, v string) (string, error) { return strings.ToUpper(v), nil }, texts("kept"))
		}, upper},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, out, looked := stream.NewBuilder(), text("out"), text("looked")
			rows := c.apply(ktable.From(b, text("in"), texts("rows")))
			stream.To(ktable.ToStream(rows), out)
			// What a lookup finds is what the table's changes amount to.
			stream.To(ktable.LeftJoinStream(stream.From(b, text("ask")), rows, func(_, row string, found bool) string { return fmt.Sprint(row, " ", found) }), looked)
			d := runtimetest.Start(t, b, runtimetest.Config{})
			state := map[string]string{}
			for _, in := range input {
				feed(t, d, "in", in)
				for _, r := range runtimetest.Output(d, out) {
					if len(c.want) == 0 || shown(r) != c.want[0] {
						t.Fatalf("after %s came %s, want %v", in, shown(r), c.want)
					}
					c.want = c.want[1:]
					state[r.Key] = r.Value
					if r.ValueNull {
						delete(state, r.Key)
					}
				}
				for _, k := range []string{"a", "b", "c"} {
					v, found := state[k]
					feed(t, d, "ask", k+"=x@0")
					expect(t, d, looked, fmt.Sprintf("%s=%s %v@0", k, v, found))
				}
			}
			if len(c.want) > 0 {
				t.Errorf("%v never came", c.want)
			}
			if have := drops(d); have[runtimetest.DropNullKey] != 1 || d.Dropped() != 1 {
				t.Errorf("drops: %v", d.Drops())
			}
		})
	}
}

func TestTableWithoutStoreKeepsNothing(t *testing.T) {
	b, out := stream.NewBuilder(), text("out")
	rows := ktable.From(b, text("in"), nil)
	stream.To(ktable.ToStream(ktable.Filter(rows, func(_, v string) bool { return v == "y" })), out)
	topology, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(topology.Stores()); n != 0 {
		t.Errorf("%d stores, want none", n)
	}
	d, err := runtimetest.New(topology, runtimetest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	feed(t, d, "in", "a=n@1", "a=y@2", "a=∅@3", "∅=y@4")
	expect(t, d, out, "a=∅@1", "a=y@2", "a=∅@3") // what a row was before, nobody knows
}

// TestToTable covers a stream whose keys stayed and one whose keys changed.
func TestToTable(t *testing.T) {
	b, out := stream.NewBuilder(), text("out")
	in := stream.From(b, text("in"))
	byValue := stream.SelectKey(in, func(_, v string) string { return v })
	stream.To(ktable.ToStream(ktable.ToTable(in, texts("kept"))), out)
	stream.To(ktable.ToStream(ktable.ToTable(byValue, texts("by-value"), text("via"))), text("out2"))
	d := runtimetest.Start(t, b, runtimetest.Config{})
	feed(t, d, "in", "k=a@1", "k=b@2", "k=∅@3", "∅=c@4")
	expect(t, d, out, "k=a@1", "k=b@2", "k=∅@3")
	expect(t, d, text("out2"), "a=a@1", "b=b@2", "=∅@3", "c=c@4")
	if have := drops(d); have[runtimetest.DropNullKey] != 1 || d.Dropped() != 1 {
		t.Errorf("drops: %v", d.Drops())
	}
}

// TestStreamTableJoins covers rows that come, change and go, null keys and null values, and keys that changed.
func TestStreamTableJoins(t *testing.T) {
	type ss = *stream.Stream[string, string]
	type table = *ktable.Table[string, string]
	type ctx = context.Context
	inner := func(v, row string) string { return v + "-" + row }
	left := func(v, row string, found bool) string { return fmt.Sprint(v, "-", row, found) }
	innerWant := []string{"k=b-1@5", "k=c-2@2"}
	leftWant := []string{"k=a-false@1", "k=b-1true@5", "k=c-2true@2", "k=d-false@9", "∅=e-false@9"}
	for _, c := range []struct {
		name  string
		apply func(s ss, t table) ss
		want  []string
		drops int
	}{
		{"inner", func(s ss, t table) ss { return ktable.JoinStream(s, t, inner) }, innerWant, 2},
		{"inner ctx", func(s ss, t table) ss {
			return ktable.JoinStreamCtx(s, t, func(_ ctx, _, v, row string) (string, error) { return inner(v, row), nil })
		}, innerWant, 2},
		{"left", func(s ss, t table) ss { return ktable.LeftJoinStream(s, t, left) }, leftWant, 1},
		{"left ctx", func(s ss, t table) ss {
			return ktable.LeftJoinStreamCtx(s, t, func(_ ctx, _, v, row string, ok bool) (string, error) { return left(v, row, ok), nil })
		}, leftWant, 1},
		{"inner through a repartition topic", func(s ss, t table) ss {
			return ktable.JoinStream(stream.SelectKey(stream.Nullable(s), func(k string, v *string) string { return k }), t, func(v *string, row string) string { return inner(*v, row) },
				stream.NewTopic("via", serde.String, serde.Nullable(serde.String)))
		}, innerWant, 1}, // the null key has become "", which has no row
	} {
		t.Run(c.name, func(t *testing.T) {
			b, out := stream.NewBuilder(), text("out")
			rows := ktable.From(b, text("rows"), texts("rows"))
			stream.To(c.apply(stream.From(b, text("in")), rows), out)
			d := runtimetest.Start(t, b, runtimetest.Config{})
			feed(t, d, "in", "k=a@1")
			feed(t, d, "rows", "k=1@3")
			feed(t, d, "in", "k=b@5")
			feed(t, d, "rows", "k=2@4")
			feed(t, d, "in", "k=c@2", "k=∅@6")
			feed(t, d, "rows", "k=∅@7")
			feed(t, d, "in", "k=d@9", "∅=e@9")
			expect(t, d, out, c.want...)
			if d.Dropped() != c.drops {
				t.Errorf("drops: %v, want %d", d.Drops(), c.drops)
			}
		})
	}
}

// TestOldValueIsNotTheAggregateThatWasChangedInPlace: the aggregate is a pointer that the function changes; a filter below, which is told old values, must
// still see what the row was.
func TestOldValueIsNotTheAggregateThatWasChangedInPlace(t *testing.T) {
	type sum struct{ N int }
	b := stream.NewBuilder()
	store := statestore.KeyValue("s", serde.String, serde.Nullable(serde.JSON[sum]()))
	sums := ktable.Aggregate(stream.GroupByKey(stream.From(b, text("in"))), func() *sum { return &sum{} }, func(_, v string, s *sum) *sum {
		s.N += len(v)
		return s
	}, store)
	out := stream.NewTopic("out", serde.String, serde.Nullable(serde.JSON[sum]()))
	stream.To(ktable.ToStream(ktable.Filter(sums, func(_ string, s *sum) bool { return s.N%2 == 1 })), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	feed(t, d, "in", "k=1@1", "k=1@2", "k=11@3")
	var have []int
	for _, r := range runtimetest.Output(d, out) {
		n := -1
		if r.Value != nil {
			n = r.Value.N
		}
		have = append(have, n)
	}
	if want := []int{1, -1}; !slices.Equal(have, want) { // 1 passes, 2 does not, and 4 after it says nothing
		t.Errorf("have %v, want %v", have, want)
	}
}

func TestAggregateThatBecomesNullRemovesItsRow(t *testing.T) {
	b := stream.NewBuilder()
	pointers := serde.Nullable(serde.String)
	in, out := stream.NewTopic("in", serde.String, serde.String), stream.NewTopic("out", serde.String, pointers)
	store := statestore.KeyValue("s", serde.String, pointers)
	t2 := ktable.Aggregate(stream.GroupByKey(stream.From(b, in)), func() *string { return new(string) }, func(_, v string, agg *string) *string {
		if v == "clear" {
			return nil
		}
		s := *agg + v
		return &s
	}, store)
	stream.To(ktable.ToStream(t2), out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	feed(t, d, "in", "k=a@1", "k=b@2", "k=clear@3")
	if _, found, err := runtimetest.KeyValue(d, store).Get("k"); found || err != nil {
		t.Errorf("the row is there: %v %v", found, err)
	}
	feed(t, d, "in", "k=c@1")
	var have []string
	for _, r := range runtimetest.Output(d, out) {
		if r.Value == nil {
			have = append(have, fmt.Sprint("∅@", r.Timestamp))
		} else {
			have = append(have, fmt.Sprint(*r.Value, "@", r.Timestamp))
		}
	}
	if want := []string{"a@1", "ab@2", "∅@3", "c@1"}; !slices.Equal(have, want) {
		t.Errorf("have %v\nwant %v", have, want)
	}
}

func TestFailureInATableNamesTheOperator(t *testing.T) {
	boom := errors.New("boom")
	for op, apply := range map[string]func(*ktable.Table[string, string]){
		"ktable.MapValues": func(t *ktable.Table[string, string]) { ktable.MapValues(t, func(string) string { panic(boom) }) },
		"ktable.FilterCtx": func(t *ktable.Table[string, string]) {
			ktable.FilterCtx(t, func(context.Context, string, string) (bool, error) { return false, boom })
		},
		"ktable.FilterNotCtx": func(t *ktable.Table[string, string]) {
			ktable.FilterNotCtx(t, func(context.Context, string, string) (bool, error) { return false, boom })
		},
	} {
		b := stream.NewBuilder()
		apply(ktable.From(b, text("in"), texts("s")))
		d := runtimetest.Start(t, b, runtimetest.Config{})
		err := d.PipeRaw("in", []byte("k"), []byte("v"), 1)
		var f *stream.Fault
		if !errors.As(err, &f) || !errors.Is(err, boom) || f.Op != op {
			t.Errorf("%s: the error is %v", op, err)
		}
	}
	b := stream.NewBuilder()
	ktable.ReduceCtx(stream.GroupByKey(stream.From(b, text("in"))), func(context.Context, string, string, string) (string, error) { return "", boom }, texts("s"))
	d := runtimetest.Start(t, b, runtimetest.Config{})
	feed(t, d, "in", "k=a@1")
	var f *stream.Fault
	if err := d.PipeRaw("in", []byte("k"), []byte("v"), 1); !errors.As(err, &f) || f.Op != "ktable.ReduceCtx" || f.Offset != 1 {
		t.Errorf("the error is %v", err)
	}
}
