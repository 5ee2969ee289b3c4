package ktable_test

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// family is a topology of one operator, or of a few that belong together.
type family struct {
	name string
	// build reads in, and other where the operator has a second input, and sees results.
	build func(b *stream.Builder, s *sight)
	// function tells that a function of the user sees values of in.
	function bool
	// lingers tells that a value is stored before the function sees it, which therefore sees it again as the old value of the next record.
	lingers bool
	// nullKey and nullValue are what a record without a key or value of in is dropped for, "" when it is not dropped.
	nullKey, nullValue string
}

// sight is what a family's topology gets and gives.
type sight struct {
	in, other stream.Topic[string, int64]
	opts      []stream.SourceOption
	two       bool // other is read
	results   int
}

func (s *sight) stream(b *stream.Builder) *stream.Stream[string, int64] {
	return stream.From(b, s.in, s.opts...)
}

func (s *sight) grouped(b *stream.Builder) *stream.Grouped[string, int64] {
	return stream.GroupByKey(s.stream(b))
}

func (s *sight) table(b *stream.Builder) *ktable.Table[string, int64] {
	return ktable.From(b, s.in, longs("in"), s.opts...)
}

func (s *sight) otherTable(b *stream.Builder) *ktable.Table[string, int64] {
	return ktable.From(b, s.second(), longs("other"))
}

// second is the topic of the second input.
func (s *sight) second() stream.Topic[string, int64] {
	s.two = true
	return s.other
}

func longs(name string) *statestore.KeyValueSpec[string, int64] {
	return statestore.KeyValue(name, serde.String, serde.Int64)
}

func see[K, V any](s *sight, results *stream.Stream[K, V]) {
	stream.ForEach(results, func(K, V) { s.results++ })
}

// unlucky is the value at which the user's functions panic.
const unlucky = 13

func lucky(v int64) int64 {
	if v == unlucky {
		panic(errUnlucky)
	}
	return v
}

var errUnlucky = errors.New("the user's function panics")

func sum(a, b int64) int64 { return a + lucky(b) }

const (
	gap      = 10 * time.Millisecond
	nullKey  = "null-key"
	noValue  = "null-value"
	poison   = "undecodable"
	failed   = "failed"
	badTime  = "invalid-timestamp"
	farAhead = math.MaxInt64
)

var families = []family{
	{"map, filter and their kin", func(b *stream.Builder, s *sight) {
		mapped := stream.Map(s.stream(b), func(k string, v int64) (string, int64) { return k, lucky(v) })
		flat := stream.FlatMapValues(stream.Filter(mapped, func(string, int64) bool { return true }), func(v int64) iter.Seq[int64] { return slices.Values([]int64{v}) })
		see(s, stream.Peek(flat, func(string, int64) {}))
	}, true, false, "", ""},
	{"repartition", func(b *stream.Builder, s *sight) {
		keyed := stream.SelectKey(s.stream(b), func(k string, v int64) string { lucky(v); return k })
		see(s, stream.Repartition(keyed, stream.NewTopic("via", serde.String, serde.Int64)))
	}, true, false, "", ""},
	{"dedup", func(b *stream.Builder, s *sight) {
		see(s, stream.Dedup(s.stream(b), func(_ string, v int64) int64 { return lucky(v) }, gap, statestore.Window("ids", serde.Int64, serde.Int64)))
	}, true, false, "", ""},
	{"process", func(b *stream.Builder, s *sight) {
		sums := longs("sums")
		see(s, stream.Process(s.stream(b), func(p *stream.Processor[string, int64]) func(*stream.Record[string, int64]) error {
			store := stream.Store(p, sums)
			return func(r *stream.Record[string, int64]) error {
				if err := store.Put("sum", lucky(r.Value), r.Timestamp); err != nil {
					return err
				}
				return p.Forward(*r)
			}
		}, sums))
	}, true, false, "", ""},
	{"count", func(b *stream.Builder, s *sight) {
		see(s, ktable.ToStream(ktable.Count(s.grouped(b), longs("c"))))
	}, false, false, nullKey, noValue},
	{"reduce", func(b *stream.Builder, s *sight) {
		see(s, ktable.ToStream(ktable.Reduce(s.grouped(b), sum, longs("c"))))
	}, true, false, nullKey, noValue},
	{"aggregate", func(b *stream.Builder, s *sight) {
		see(s, ktable.ToStream(ktable.Aggregate(s.grouped(b), zero, addTo, longs("c"))))
	}, true, false, nullKey, noValue},
	{"cogroup", func(b *stream.Builder, s *sight) {
		see(s, ktable.ToStream(ktable.Cogroup(zero, longs("c"), ktable.Add(s.grouped(b), addTo))))
	}, true, false, nullKey, noValue},
	{"tumbling windows", windowed(stream.Tumbling(gap).Grace(gap)), true, false, nullKey, ""},
	{"hopping windows", windowed(stream.Hopping(gap, 3*time.Millisecond).Grace(gap)), true, false, nullKey, ""},
	{"sliding windows", windowed(stream.Sliding(gap).Grace(gap)), true, false, nullKey, noValue},
	{"unlimited windows", windowed(stream.Unlimited(time.UnixMilli(0))), true, false, nullKey, ""},
	{"sessions", func(b *stream.Builder, s *sight) {
		by := stream.SessionBy(s.grouped(b), stream.Sessions(gap).Grace(gap))
		see(s, ktable.ToStream(ktable.AggregateSessions(by, zero, addTo, merge, statestore.Session("c", serde.String, serde.Int64))))
	}, true, false, nullKey, ""},
	{"emit on close", func(b *stream.Builder, s *sight) {
		by := stream.WindowBy(s.grouped(b), stream.Tumbling(gap)).EmitOnClose()
		see(s, ktable.ToStream(ktable.AggregateWindows(by, zero, addTo, statestore.Window("c", serde.String, serde.Int64))))
	}, true, false, nullKey, ""},
	{"suppress until close", func(b *stream.Builder, s *sight) {
		windows := stream.Tumbling(gap).Grace(gap)
		counts := ktable.AggregateWindows(stream.WindowBy(s.grouped(b), windows), zero, addTo, statestore.Window("c", serde.String, serde.Int64))
		buffer := statestore.Buffer("held", serde.Serde[stream.Windowed[string]](serde.TimeWindowed(serde.String, gap)), serde.Int64)
		see(s, ktable.ToStream(ktable.SuppressUntilClose(counts, buffer, ktable.BufferLimit{})))
	}, true, false, nullKey, ""},
	{"suppress for a time", func(b *stream.Builder, s *sight) {
		see(s, ktable.ToStream(ktable.SuppressFor(s.table(b), time.Millisecond, statestore.Buffer("held", serde.String, serde.Int64), ktable.BufferLimit{})))
	}, false, false, nullKey, ""},
	{"table", func(b *stream.Builder, s *sight) {
		rows := ktable.MapValues(ktable.Filter(s.table(b), func(string, int64) bool { return true }), lucky)
		see(s, ktable.ToStream(rows))
	}, true, false, nullKey, ""},
	{"to table", func(b *stream.Builder, s *sight) {
		see(s, ktable.ToStream(ktable.MapValues(ktable.ToTable(s.stream(b), longs("c")), lucky)))
	}, true, false, nullKey, ""},
	{"versioned table", func(b *stream.Builder, s *sight) {
		rows := ktable.FromVersioned(b, s.in, statestore.Versioned("c", serde.String, serde.Int64, time.Second), s.opts...)
		see(s, ktable.ToStream(ktable.MapValues(rows, lucky)))
	}, true, false, nullKey, ""},
	{"rows grouped", func(b *stream.Builder, s *sight) {
		by := ktable.GroupBy(s.table(b), func(k string, v int64) (string, int64) { return k, lucky(v) }, stream.NewTopic("via", serde.String, serde.Int64))
		see(s, ktable.ToStream(ktable.ReduceRows(by, sum, func(a, b int64) int64 { return a - b }, longs("c"))))
	}, true, true, nullKey, ""},
	{"table-table join", func(b *stream.Builder, s *sight) {
		see(s, ktable.ToStream(ktable.OuterJoin(s.table(b), s.otherTable(b), func(l, r int64, _ stream.Sides) int64 { return sum(r, l) })))
	}, true, false, nullKey, ""},
	{"foreign-key join", func(b *stream.Builder, s *sight) {
		via := ktable.NewForeignKey("fk", serde.String, serde.Int64, serde.String, serde.Int64)
		joined := ktable.JoinForeign(s.table(b), s.otherTable(b), func(v int64) (string, bool) { lucky(v); return "k", true }, func(l, r int64) int64 { return l + r }, via)
		see(s, ktable.ToStream(joined))
	}, true, true, nullKey, ""},
	{"stream-stream inner join", func(b *stream.Builder, s *sight) {
		see(s, stream.Join(s.stream(b), stream.From(b, s.second()), joinValues, stream.Within(gap).Grace(gap), pairs))
	}, true, false, nullKey, noValue},
	{"stream-stream outer join", func(b *stream.Builder, s *sight) {
		see(s, stream.OuterJoin(s.stream(b), stream.From(b, s.second()), func(l, r int64, _ stream.Sides) int64 { return joinValues(l, r) }, stream.Within(gap).Grace(gap), pairs))
	}, true, false, "", noValue},
	{"stream-table join", func(b *stream.Builder, s *sight) {
		see(s, ktable.JoinStream(s.stream(b), s.otherTable(b), joinValues))
	}, true, false, nullKey, noValue},
	{"stream-table left join", func(b *stream.Builder, s *sight) {
		see(s, ktable.LeftJoinStream(s.stream(b), s.otherTable(b), func(v, row int64, _ bool) int64 { return joinValues(v, row) }))
	}, true, false, "", noValue},
	{"stream-table join with grace", func(b *stream.Builder, s *sight) {
		rows := ktable.FromVersioned(b, s.second(), statestore.Versioned("other", serde.String, serde.Int64, time.Second))
		see(s, ktable.JoinStreamLate(s.stream(b), rows, joinValues, ktable.WaitIn(statestore.GraceBuffer("wait", serde.String, serde.Int64), time.Millisecond)))
	}, true, false, nullKey, noValue},
	{"stream-global join", func(b *stream.Builder, s *sight) {
		rows := ktable.FromGlobal(b, s.second(), longs("other"))
		see(s, ktable.JoinGlobal(s.stream(b), rows, func(string, int64) string { return "k" }, joinValues))
	}, true, false, "", noValue},
}

func zero() int64 { return 0 }

func addTo(_ string, v, sofar int64) int64 { return sum(sofar, v) }

func merge(_ string, a, b int64) int64 { return a + b }

func joinValues(l, r int64) int64 { return sum(r, l) }

var pairs = stream.NewJoinState("pairs", serde.String, serde.Int64, serde.Int64)

func windowed(windows stream.Windows) func(*stream.Builder, *sight) {
	return func(b *stream.Builder, s *sight) {
		store := statestore.Window("c", serde.String, serde.Int64)
		see(s, ktable.ToStream(ktable.AggregateWindows(stream.WindowBy(s.grouped(b), windows), zero, addTo, store)))
	}
}

// wrongKey is a serde that cannot read the key "bad".
type wrongKey struct{ serde.Serde[string] }

func (w wrongKey) Decode(b []byte) (string, error) {
	if string(b) == "bad" {
		return "", errors.New("no key")
	}
	return w.Serde.Decode(b)
}

// begin starts a family's topology, with a row on the other side.
func (f family) begin(t *testing.T, c runtimetest.Config, opts ...stream.SourceOption) (*runtimetest.Driver, *sight) {
	t.Helper()
	b := stream.NewBuilder()
	keys := serde.Serde[string](wrongKey{serde.String})
	s := &sight{in: stream.NewTopic("in", keys, serde.Int64), other: stream.NewTopic("other", serde.String, serde.Int64), opts: opts}
	f.build(b, s)
	d := runtimetest.Start(t, b, c)
	if s.two {
		if err := runtimetest.Pipe(d, s.other, "k", 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	return d, s
}

// good pipes records that must give results: the second one lets pass what waits for time to move on.
func (s *sight) good(t *testing.T, d *runtimetest.Driver, at int64) {
	t.Helper()
	before := s.results
	for _, at := range []int64{at, at + 1, at + 100} {
		s.meet(t, d, at)
		if err := runtimetest.Pipe(d, s.in, "k", at, at); err != nil {
			t.Fatal(err)
		}
	}
	if s.results == before {
		t.Error("good records give no result")
	}
}

// meet gives the other side something to join with at a time.
func (s *sight) meet(t *testing.T, d *runtimetest.Driver, at int64) {
	t.Helper()
	if !s.two {
		return
	}
	if err := runtimetest.Pipe(d, s.other, "k", 1, at); err != nil {
		t.Fatal(err)
	}
}

// TestBadInputIsDroppedByReason gives each family one bad record of each kind, with handlers that skip: each is dropped for its reason or has a use, and what comes after it
// is not disturbed, nor by a crash that loses the stores.
func TestBadInputIsDroppedByReason(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			skip := stream.Faults{Deserialization: stream.SkipFaults, Processing: stream.SkipFaults}
			d, s := f.begin(t, runtimetest.Config{Faults: skip}, stream.SkipInvalidTimestamps(), stream.LimitTimeJumps(time.Second))
			s.good(t, d, 1)
			want := map[string]int{}
			for _, bad := range []struct {
				what       string
				key, value []byte
				at         int64
				reason     string
			}{
				{"null key", nil, long(200), 200, f.nullKey},
				{"null value", []byte("k"), nil, 201, f.nullValue},
				{"undecodable key", []byte("bad"), long(1), 202, poison},
				{"undecodable value", []byte("k"), []byte("xx"), 203, poison},
				{"negative timestamp", []byte("k"), long(1), -1, badTime},
				{"unlucky value", []byte("k"), long(unlucky), 204, map[bool]string{true: failed}[f.function]},
				{"absurd timestamp", []byte("k"), long(2), farAhead, ""},
			} {
				if bad.reason == failed {
					s.meet(t, d, bad.at)
				}
				err := d.PipeRaw("in", bad.key, bad.value, bad.at)
				if err == nil && bad.reason == failed { // some wait for time to move on
					err = runtimetest.Pipe(d, s.in, "k", 1, bad.at+100)
				}
				if err != nil {
					t.Fatalf("%s: %v", bad.what, err)
				}
				if bad.reason != "" {
					want[bad.reason]++
				}
				if bad.reason == failed && f.lingers {
					want[failed]++
				}
				if have := reasons(d); !maps.Equal(have, want) {
					t.Fatalf("%s: drops are %v, want %v", bad.what, have, want)
				}
			}
			s.good(t, d, 2000)
			if err := d.Restart(true); err != nil {
				t.Fatal(err)
			}
			s.good(t, d, 3000)
			if have := reasons(d); !maps.Equal(have, want) {
				t.Errorf("in the end drops are %v, want %v", have, want)
			}
		})
	}
}

func long(v int64) []byte {
	b, err := serde.Int64.Append(nil, v)
	if err != nil {
		panic(err)
	}
	return b
}

// reasons counts drops.
func reasons(d *runtimetest.Driver) map[string]int {
	all := map[string]int{}
	for _, drop := range d.Drops() {
		all[drop.Reason.String()] += drop.Count
	}
	return all
}

// TestBadInputEndsTheTaskByDefault without handlers, with an error that names the record and the line of this file.
func TestBadInputEndsTheTaskByDefault(t *testing.T) {
	for _, f := range families {
		for _, bad := range []struct {
			what       string
			key, value []byte
			at         int64
			kind       stream.FaultKind
		}{
			{"undecodable key", []byte("bad"), long(1), 200, stream.FaultDeserialization},
			{"undecodable value", []byte("k"), []byte("xx"), 200, stream.FaultDeserialization},
			{"negative timestamp", []byte("k"), long(1), -1, stream.FaultTimestamp},
			{"unlucky value", []byte("k"), long(unlucky), 200, stream.FaultProcessing},
		} {
			if bad.kind == stream.FaultProcessing && !f.function {
				continue
			}
			t.Run(f.name+"/"+bad.what, func(t *testing.T) {
				d, s := f.begin(t, runtimetest.Config{})
				s.good(t, d, 1)
				s.meet(t, d, 200)
				err := d.PipeRaw("in", bad.key, bad.value, bad.at)
				if err == nil { // some wait for time to move on
					err = runtimetest.Pipe(d, s.in, "k", 1, 300)
				}
				var fault *stream.Fault
				if !errors.As(err, &fault) {
					t.Fatalf("the error is %v", err)
				}
				if fault.Kind != bad.kind || !strings.HasSuffix(fault.Topic, "in") && !strings.HasPrefix(fault.Topic, "test-") || !strings.HasSuffix(fault.Site.File, "badinput_test.go") {
					t.Errorf("the fault is %+v", fault)
				}
				if bad.kind != stream.FaultProcessing && fault.Offset != 3 {
					t.Errorf("the offset is %d, want 3", fault.Offset)
				}
				if bad.kind == stream.FaultProcessing && (!errors.Is(err, errUnlucky) || len(fault.Stack) == 0) {
					t.Errorf("the error is %v, with a stack of %d bytes", err, len(fault.Stack))
				}
			})
		}
	}
}

// TestAbsurdTimestampsBreakNothing without a bound: the times at both ends of what there is neither hang nor overflow, and what was stored comes back.
func TestAbsurdTimestampsBreakNothing(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			d, s := f.begin(t, runtimetest.Config{})
			s.good(t, d, 1)
			for _, at := range []int64{0, farAhead, 0, farAhead - 1, 1 << 53, farAhead} {
				if err := runtimetest.Pipe(d, s.in, "k", 5, at); err != nil {
					t.Fatalf("at %d: %v", at, err)
				}
				if err := d.Restart(at%2 == 0); err != nil {
					t.Fatalf("after %d: %v", at, err)
				}
			}
		})
	}
}

// fullEngine has room for some commits, then for none until it is given some.
type fullEngine struct {
	statestore.Engine
	room *int
}

type fullBatch struct {
	statestore.Batch
	room *int
}

var errNoSpace = errors.New("no space left on device")

func (e fullEngine) NewBatch() statestore.Batch { return fullBatch{e.Engine.NewBatch(), e.room} }

func (b fullBatch) Commit() error {
	if *b.room--; *b.room < 0 {
		return errNoSpace
	}
	return b.Batch.Commit()
}

// TestAFullStoreEndsTheTaskAndLosesNothing: no handler may skip it, and when there is room again, all is there.
func TestAFullStoreEndsTheTaskAndLosesNothing(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			room, asked := 1000, 0
			ask := func(*stream.Fault) stream.Decision { asked++; return stream.Skip }
			d, s := f.begin(t, runtimetest.Config{
				Open:   func() (statestore.Engine, error) { return fullEngine{memstore.New(), &room}, nil },
				Faults: stream.Faults{Deserialization: ask, Processing: ask, Production: ask},
			})
			before := room
			s.good(t, d, 1)
			if room == before {
				t.Skip("keeps nothing")
			}
			room = 0
			var err error
			for at := int64(200); err == nil && at < 210; at++ {
				if s.two {
					err = runtimetest.Pipe(d, s.other, "k", at, at)
				}
				if err == nil {
					err = runtimetest.Pipe(d, s.in, fmt.Sprint("k", at), at, at)
				}
			}
			if !errors.Is(err, errNoSpace) || asked != 0 {
				t.Fatalf("asked %d times, the error is %v", asked, err)
			}
			if again := runtimetest.Pipe(d, s.in, "k", 1, 210); !errors.Is(again, errNoSpace) {
				t.Errorf("after it: %v", again)
			}
			room = 1000
			if err := d.Restart(false); err != nil {
				t.Fatal(err)
			}
			s.good(t, d, 300)
		})
	}
}
