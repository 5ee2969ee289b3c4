package stream_test

import (
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

type (
	strs      = stream.Record[string, string]
	processor = stream.Processor[string, string]
	process   = func(*strs) error
)

func pipe(t *testing.T, d *runtimetest.Driver, topic stream.Topic[string, string], key, value string, at int64) {
	t.Helper()
	if err := runtimetest.Pipe(d, topic, key, value, at); err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, what string, have []string, want ...string) {
	t.Helper()
	if !slices.Equal(have, want) {
		t.Errorf("%s: have %q, want %q", what, have, want)
	}
}

func TestSplitSendsEachRecordToTheFirstBranchThatTakesIt(t *testing.T) {
	b := stream.NewBuilder()
	parts := stream.Split(stream.From(b, text("in")))
	stream.To(parts.Branch("a", func(_, v string) bool { return strings.Contains(v, "a") }), text("as"))
	stream.To(parts.Branch("b", func(_, v string) bool { return strings.Contains(v, "b") }), text("bs"))
	stream.To(parts.Default("rest"), text("others"))
	d := runtimetest.Start(t, b, runtimetest.Config{})
	for i, v := range []string{"a", "ab", "b", "c"} {
		pipe(t, d, text("in"), "k", v, int64(i))
	}
	equal(t, "as", results(d, text("as")), "k=a@0", "k=ab@1")
	equal(t, "bs", results(d, text("bs")), "k=b@2")
	equal(t, "others", results(d, text("others")), "k=c@3")
}

func TestSplitFaults(t *testing.T) {
	b := stream.NewBuilder()
	parts := stream.Split(stream.From(b, text("in")))
	all := func(_, _ string) bool { return true }
	parts.Branch("x", all)
	parts.Branch("x", all)
	parts.Branch("", all)
	parts.Branch("n", nil)
	parts.Default("rest")
	parts.Branch("late", all)
	_, err := b.Build()
	for _, want := range []string{
		`stream.Branches.Branch: the split has a branch "x" already`,
		`stream.Branches.Branch: a branch needs a name`,
		`stream.Branches.Branch: the function is nil`,
		`stream.Branches.Branch: branch "late" comes after the default branch, which takes all that is left`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in %v", want, err)
		}
	}
}

func TestPrintWritesALineForEachRecord(t *testing.T) {
	var out strings.Builder
	b := stream.NewBuilder()
	stream.Print(stream.From(b, text("in")), &out, "in")
	d := runtimetest.Start(t, b, runtimetest.Config{})
	pipe(t, d, text("in"), "k", "v", 1)
	if err := d.PipeRaw("in", nil, nil, 2); err != nil {
		t.Fatal(err)
	}
	if want := "[in]: k, v\n[in]: null, null\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestSinksChooseTopicsAndPartitions(t *testing.T) {
	b := stream.NewBuilder()
	in := stream.From(b, text("in"))
	stream.ToBy(in, func(_, v string) stream.Topic[string, string] { return text("to-" + v[:1]) })
	stream.To(in, text("routed"), stream.PartitionBy(func(_, v string, n int) int { return len(v) % n }))
	stream.To(in, text("keyed"), stream.PartitionBy(func(_, _ string, _ int) int { return -1 }))
	stream.To(in, text("spread"), stream.Multicast(func(k, v string, n int) []int {
		if v == "none" {
			return nil
		}
		return []int{2, 0, 2}
	}))
	d := runtimetest.Start(t, b, runtimetest.Config{Partitions: map[string]int{"routed": 3, "keyed": 3, "spread": 3}})
	pipe(t, d, text("in"), "k", "apple", 1)
	pipe(t, d, text("in"), "k", "none", 2)
	equal(t, "to-a", results(d, text("to-a")), "k=apple@1")
	equal(t, "to-n", results(d, text("to-n")), "k=none@2")
	at := func(topic string) (all []string) {
		for _, r := range runtimetest.Output(d, text(topic)) {
			all = append(all, fmt.Sprintf("%s@%d", r.Value, r.Partition))
		}
		return all
	}
	equal(t, "routed", at("routed"), "apple@2", "none@1")
	equal(t, "spread", at("spread"), "apple@2", "apple@0")
	keyed := at("keyed")
	if len(keyed) != 2 || keyed[0][len(keyed[0])-1] != keyed[1][len(keyed[1])-1] {
		t.Errorf("records of one key went to %q", keyed)
	}
	if drops := d.Drops(); len(drops) != 1 || drops[0].Count != 1 || drops[0].Reason.String() != "no-partition" {
		t.Errorf("drops are %v, want one that went nowhere", drops)
	}
}

func TestSinksRefuseWhatIsNotThere(t *testing.T) {
	for _, c := range []struct {
		name string
		add  func(in *stream.Stream[string, string])
		want string
	}{
		{"a partition beyond the last", func(in *stream.Stream[string, string]) {
			stream.To(in, text("out"), stream.PartitionBy(func(_, _ string, n int) int { return n }))
		}, "there is no partition 1"},
		{"a negative partition among several", func(in *stream.Stream[string, string]) {
			stream.To(in, text("out"), stream.Multicast(func(_, _ string, _ int) []int { return []int{0, -1} }))
		}, "there is no partition -1"},
		{"no topic", func(in *stream.Stream[string, string]) {
			stream.ToBy(in, func(_, _ string) stream.Topic[string, string] { return stream.Topic[string, string]{} })
		}, "a topic needs a name"},
		{"a topic without serdes", func(in *stream.Stream[string, string]) {
			stream.ToBy(in, func(_, _ string) stream.Topic[string, string] {
				return stream.NewTopic[string, string]("x", nil, nil)
			})
		}, "no serdes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := stream.NewBuilder()
			c.add(stream.From(b, text("in")))
			d := runtimetest.Start(t, b, runtimetest.Config{})
			if err := runtimetest.Pipe(d, text("in"), "k", "v", 1); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestProcessorsShareAStore(t *testing.T) {
	seen := statestore.KeyValue("seen", serde.String, serde.String)
	b := stream.NewBuilder()
	remember := func(p *processor) process {
		store := stream.Store(p, seen)
		return func(r *strs) error { return store.Put(r.Key, r.Value, r.Timestamp) }
	}
	recall := func(p *stream.ValueProcessor[string, string]) process {
		store := stream.ReadStore(p, seen)
		return func(r *strs) error {
			v, _, err := store.Get(r.Key)
			if err != nil {
				return err
			}
			return p.Forward(stream.With(r, r.Value+v))
		}
	}
	stream.Process(stream.From(b, text("facts")), remember, seen)
	stream.To(stream.ProcessValues(stream.From(b, text("questions")), recall, seen), text("answers"))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(topo.Subtopologies()); n != 1 {
		t.Errorf("%d sub-topologies, but processors that share a store run in the same tasks", n)
	}
	d, err := runtimetest.New(topo, runtimetest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	pipe(t, d, text("facts"), "k", "42", 1)
	if err := d.Restart(true); err != nil {
		t.Fatal(err)
	}
	pipe(t, d, text("questions"), "k", "?", 2)
	equal(t, "answers", results(d, text("answers")), "k=?42@2")
}

func TestProcessorReadsATablesStoreAndMustNotWriteIt(t *testing.T) {
	rows := statestore.KeyValue("rows", serde.String, serde.String)
	build := func(setup func(p *processor) process, stores ...statestore.Spec) (*runtimetest.Driver, error) {
		b := stream.NewBuilder()
		ktable.From(b, text("table"), rows)
		stream.To(stream.Process(stream.From(b, text("in")), setup, stores...), text("out"))
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return runtimetest.New(topo, runtimetest.Config{})
	}
	d, err := build(func(p *processor) process {
		store := stream.ReadStore(p, rows)
		return func(r *strs) error {
			v, _, err := store.Get(r.Key)
			if err != nil {
				return err
			}
			return p.Forward(stream.With(r, v))
		}
	}, rows)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	pipe(t, d, text("table"), "k", "row", 1)
	pipe(t, d, text("in"), "k", "", 2)
	equal(t, "out", results(d, text("out")), "k=row@2")

	write := func(p *processor) process {
		stream.Store(p, rows)
		return func(*strs) error { return nil }
	}
	if _, err := build(write, rows); err == nil || !strings.Contains(err.Error(), `store "rows" belongs to ktable.From`) {
		t.Errorf("a table's store to be written: %v", err)
	}
	if _, err := build(write); err == nil || !strings.Contains(err.Error(), `store "rows" was not given to it`) {
		t.Errorf("a store that was not named: %v", err)
	}
	if _, err := build(func(*processor) process { return nil }); err == nil || !strings.Contains(err.Error(), "the setup returned no function") {
		t.Errorf("a setup that returns nothing: %v", err)
	}
}

func TestChildrenGetWhatIsForThemAndWhatIsForAll(t *testing.T) {
	b := stream.NewBuilder()
	s := stream.Process(stream.From(b, text("in")), func(p *processor) process {
		return func(r *strs) error {
			if r.Value == "all" {
				return p.Forward(*r)
			}
			return p.ForwardTo(r.Value, *r)
		}
	})
	stream.To(stream.Child(s, "x"), text("xs"))
	stream.To(stream.Child(s, "y"), text("ys"))
	stream.To(s, text("rest"))
	d := runtimetest.Start(t, b, runtimetest.Config{})
	for i, v := range []string{"x", "y", "all"} {
		pipe(t, d, text("in"), "k", v, int64(i))
	}
	equal(t, "xs", results(d, text("xs")), "k=x@0", "k=all@2")
	equal(t, "ys", results(d, text("ys")), "k=y@1", "k=all@2")
	equal(t, "rest", results(d, text("rest")), "k=all@2")
	if err := runtimetest.Pipe(d, text("in"), "k", "z", 9); err == nil || !strings.Contains(err.Error(), `no child "z"; its children are ["x" "y"]`) {
		t.Errorf("an unknown child: %v", err)
	}
}

func TestChildFaults(t *testing.T) {
	b := stream.NewBuilder()
	in := stream.From(b, text("in"))
	s := stream.Process(in, func(p *processor) process { return func(*strs) error { return nil } })
	stream.Child(in, "x")
	stream.Child(s, "")
	stream.Child(s, "y")
	stream.Child(s, "y")
	_, err := b.Build()
	for _, want := range []string{"only a stream that comes straight from stream.Process", "a child needs a name", `the processor has a child "y" already`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in %v", want, err)
		}
	}
}

func TestWhatAProcessorMakesOfAFailureBelowDoesNotHideIt(t *testing.T) {
	boom := errors.New("boom")
	b := stream.NewBuilder()
	s := stream.Process(stream.From(b, text("in")), func(p *processor) process {
		return func(r *strs) error {
			_ = p.Forward(*r)
			return nil
		}
	})
	stream.ForEach(s, func(_, _ string) { panic(boom) })
	d := runtimetest.Start(t, b, runtimetest.Config{})
	var f *stream.Fault
	if err := runtimetest.Pipe(d, text("in"), "k", "v", 1); !errors.Is(err, boom) || !errors.As(err, &f) || f.Op != "stream.ForEach" {
		t.Errorf("the error is %v, want the panic below", err)
	}
}

func TestProcessorsRefuseNegativeTimes(t *testing.T) {
	b := stream.NewBuilder()
	stream.Process(stream.From(b, text("in")), func(p *processor) process {
		return func(r *strs) error { return p.Forward(strs{Timestamp: -1}) }
	})
	d := runtimetest.Start(t, b, runtimetest.Config{})
	if err := runtimetest.Pipe(d, text("in"), "k", "v", 1); err == nil || !strings.Contains(err.Error(), "negative timestamp -1") {
		t.Errorf("the error is %v", err)
	}
}

func TestValueProcessorKeepsTheKeyAndHasNoneInAPunctuation(t *testing.T) {
	b := stream.NewBuilder()
	var late error
	s := stream.ProcessValues(stream.From(b, text("in")), func(p *stream.ValueProcessor[string, int]) process {
		p.Every(stream.WallClock, time.Second, func(now int64) error {
			late = p.Forward(stream.Record[string, int]{Key: "made up"})
			return nil
		})
		return func(r *strs) error {
			return p.Forward(stream.Record[string, int]{Key: "other", Value: len(r.Value), Timestamp: r.Timestamp})
		}
	})
	out := stream.NewTopic("out", serde.String, serde.JSON[int]())
	stream.To(s, out)
	d := runtimetest.Start(t, b, runtimetest.Config{})
	pipe(t, d, text("in"), "k", "four", 1)
	if err := d.AdvanceWallClock(time.Second); err != nil {
		t.Fatal(err)
	}
	equal(t, "out", results(d, out), "k=4@1")
	if late == nil || !strings.Contains(late.Error(), "no record is in process") {
		t.Errorf("a punctuation forwarded: %v", late)
	}
}

func TestPunctuationsOfAFailingFunctionAreSettledLikeRecords(t *testing.T) {
	boom := errors.New("boom")
	for _, skip := range []bool{false, true} {
		b := stream.NewBuilder()
		fired := 0
		stream.Process(stream.From(b, text("in")), func(p *processor) process {
			p.Every(stream.StreamTime, 10*time.Millisecond, func(int64) error { fired++; return boom })
			return func(*strs) error { return nil }
		})
		c := runtimetest.Config{}
		if skip {
			c.Faults.Processing = stream.SkipFaults
		}
		d := runtimetest.Start(t, b, c)
		err := runtimetest.Pipe(d, text("in"), "k", "v", 1)
		if fired != 1 {
			t.Errorf("fired %d times, want once", fired)
		}
		if skip && (err != nil || d.Dropped() != 1) || !skip && !errors.Is(err, boom) {
			t.Errorf("skip %v: the error is %v, %d dropped", skip, err, d.Dropped())
		}
	}
}

func TestOperatorTellsWhereItIs(t *testing.T) {
	b := stream.NewBuilder()
	closed := 0
	var told []string
	s := stream.Process(stream.From(b, text("in")), func(p *processor) process {
		p.OnClose(func() error { closed++; return nil })
		return func(r *strs) error {
			m := p.Meta()
			told = append(told, fmt.Sprintf("%s-%d@%d %s stream %d wall %d", m.Topic, m.Partition, m.Offset, m.Task, p.StreamTime(), p.Now()))
			p.Drop(stream.DropNullValue)
			p.Commit()
			return p.Forward(r.WithHeader("h", []byte("1")))
		}
	})
	stream.To(s, text("out"))
	d := runtimetest.Start(t, b, runtimetest.Config{Start: time.UnixMilli(7), CommitEvery: time.Hour})
	pipe(t, d, text("in"), "k", "v", 5)
	equal(t, "told", told, "in-0@0 0_0 stream 5 wall 7")
	out := runtimetest.Output(d, text("out"))
	if len(out) != 1 || len(out[0].Headers) != 1 || out[0].Headers[0].Key != "h" {
		t.Errorf("out is %v: the commit that was asked for shows one record with a header", out)
	}
	if drops := d.Drops(); len(drops) != 1 || drops[0].Reason != runtimetest.DropNullValue {
		t.Errorf("drops are %v", drops)
	}
	if err := d.Restart(false); err != nil || closed != 1 {
		t.Errorf("closed %d times after a restart (%v), want once", closed, err)
	}
}

func TestProcessFaults(t *testing.T) {
	b := stream.NewBuilder()
	in := stream.From(b, text("in"))
	setup := func(*processor) process { return func(*strs) error { return nil } }
	one, other := statestore.KeyValue("s", serde.String, serde.String), statestore.KeyValue("s", serde.String, serde.Int64)
	stream.Process(in, setup, one)
	stream.Process(in, setup, other)
	stream.Process(in, setup, nil)
	stream.Process[string, string, string, string](in, nil)
	_, err := b.Build()
	for _, want := range []string{`store "s" is already used at`, "under another handle", "a store is nil", "the function is nil"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in %v", want, err)
		}
	}
}

// damaged is a serde whose bytes cannot be read back.
type damaged struct{ serde.Serde[string] }

var errDamaged = errors.New("damaged")

func (damaged) Decode([]byte) (string, error) { return "", errDamaged }

func TestAStoreThatFailsIsNoFaultOfTheRecord(t *testing.T) {
	store := statestore.KeyValue("s", serde.String, serde.Serde[string](damaged{serde.String}))
	b := stream.NewBuilder()
	stream.Process(stream.From(b, text("in")), func(p *processor) process {
		s := stream.Store(p, store)
		return func(r *strs) error {
			if _, _, err := s.Get(r.Key); err != nil {
				return fmt.Errorf("what was before: %w", err)
			}
			return s.Put(r.Key, r.Value, r.Timestamp)
		}
	}, store)
	d := runtimetest.Start(t, b, runtimetest.Config{Faults: stream.Faults{Processing: stream.SkipFaults, Production: stream.SkipFaults}})
	pipe(t, d, text("in"), "k", "v", 1)
	var f *stream.Fault
	if err := runtimetest.Pipe(d, text("in"), "k", "v", 2); !errors.As(err, &f) || f.Kind != stream.FaultInternal || !errors.Is(err, errDamaged) {
		t.Errorf("the error is %v, which must not be skipped", err)
	}
}

func TestRepartitionByFunction(t *testing.T) {
	b := stream.NewBuilder()
	in := stream.From(b, text("in"))
	via := text("via").Partitions(4)
	s := stream.Repartition(in, via, stream.PartitionBy(func(_, v string, n int) int { return len(v) % n }))
	stream.To(stream.ProcessValues(s, func(p *stream.ValueProcessor[string, string]) process {
		return func(r *strs) error { return p.Forward(stream.With(r, fmt.Sprintf("%s in %s", r.Value, p.Meta().Task))) }
	}), text("out"))
	d := runtimetest.Start(t, b, runtimetest.Config{})
	pipe(t, d, text("in"), "k", "a", 1)
	pipe(t, d, text("in"), "k", "abc", 2)
	equal(t, "out", results(d, text("out")), "k=a in 1_1@1", "k=abc in 1_3@2")

	b = stream.NewBuilder()
	in = stream.From(b, text("in"))
	stream.Repartition(in, text("via"))
	stream.Repartition(in, text("via"), stream.PartitionBy(func(_, _ string, _ int) int { return 0 }))
	stream.To(in, text("out"), stream.PartitionBy[string, string](nil))
	stream.To(in, text("out"), stream.PartitionBy(func(_, _ string, _ int) int { return 0 }), stream.Multicast(func(_, _ string, _ int) []int { return nil }))
	_, err := b.Build()
	for _, want := range []string{"options about partitions belong to its first use", "the function is nil", "takes one option about partitions, not 2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in %v", want, err)
		}
	}
}
