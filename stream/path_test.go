package stream_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// countingEnv runs a task without anything around it.
type countingEnv struct {
	sent    int
	dropped int
}

func (e *countingEnv) TaskID() topology.TaskID { return topology.TaskID{} }
func (e *countingEnv) OpenStore(statestore.Spec) (statestore.Store, error) {
	panic("the topology has no store")
}
func (e *countingEnv) Partitions(topology.TopicRef) (int32, error) { return 1, nil }
func (e *countingEnv) Send(topology.TopicRef, int32, *topology.RawRecord) error {
	e.sent++
	return nil
}
func (e *countingEnv) Now() int64                          { return 0 }
func (e *countingEnv) RequestCommit()                      {}
func (e *countingEnv) Dropped(string, topology.DropReason) { e.dropped++ }

// path is the way of a record through some operators, as a function to call once per record.
type path struct {
	env  *countingEnv
	task *topology.Task
	raw  topology.RawRecord
}

func newPath(t testing.TB, build func(in *stream.Stream[int64, int64])) *path {
	t.Helper()
	b := stream.NewBuilder()
	build(stream.From(b, stream.NewTopic("in", serde.Int64, serde.Int64)))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	p := &path{env: &countingEnv{}}
	if p.task, err = topo.Subtopologies()[0].NewTask(p.env); err != nil {
		t.Fatal(err)
	}
	number := []byte{0, 0, 0, 0, 0, 0, 0, 2}
	p.raw = topology.RawRecord{Topic: "in", Key: number, Value: number, Timestamp: 1}
	return p
}

func (p *path) record(t testing.TB) {
	if err := p.task.Process(0, &p.raw, 1); err != nil {
		t.Fatal(err)
	}
}

var out = stream.NewTopic("out", serde.Int64, serde.Int64)

// five is a chain of five operators between a source and what ends it.
func five(in *stream.Stream[int64, int64]) *stream.Stream[int64, int64] {
	s := stream.Filter(in, func(_, v int64) bool { return v > 0 })
	s = stream.MapValues(s, func(v int64) int64 { return v + 1 })
	s = stream.Map(s, func(k, v int64) (int64, int64) { return v, k })
	s = stream.SelectKey(s, func(_, v int64) int64 { return v })
	return stream.Peek(s, func(_, v int64) { peeked += v })
}

var peeked int64

// TestRecordPathMakesNoAllocation takes records through every stateless operator, decoding and encoding included.
func TestRecordPathMakesNoAllocation(t *testing.T) {
	twice := func(v int64) iter.Seq[int64] { return twiceSeq }
	for _, c := range []struct {
		name  string
		build func(in *stream.Stream[int64, int64])
		sent  int // records per input
	}{
		{"five operators", func(in *stream.Stream[int64, int64]) { stream.To(five(in), out) }, 1},
		{"flat map values", func(in *stream.Stream[int64, int64]) { stream.To(stream.FlatMapValues(in, twice), out) }, 2},
		{"flat map", func(in *stream.Stream[int64, int64]) {
			stream.To(stream.FlatMap(in, func(k, v int64) iter.Seq2[int64, int64] { return twicePairs }), out)
		}, 2},
		{"merge and three children", func(in *stream.Stream[int64, int64]) {
			m := stream.Merge(in, stream.MapValues(in, func(v int64) int64 { return -v }))
			stream.To(m, out)
			stream.To(stream.FilterNot(m, func(_, v int64) bool { return v < 0 }), out)
			stream.ForEach(m, func(_, v int64) { peeked += v })
		}, 3},
		{"repartition", func(in *stream.Stream[int64, int64]) {
			stream.Repartition(in, stream.NewTopic("r", serde.Int64, serde.Int64))
		}, 1},
		{"split", func(in *stream.Stream[int64, int64]) {
			parts := stream.Split(in)
			parts.Branch("none", func(_, v int64) bool { return v < 0 })
			stream.To(parts.Default("all"), out)
		}, 1},
		{"process", func(in *stream.Stream[int64, int64]) {
			s := stream.Process(in, func(p *stream.Processor[int64, int64]) func(*stream.Record[int64, int64]) error {
				p.Every(stream.StreamTime, time.Hour, func(int64) error { return nil })
				return func(r *stream.Record[int64, int64]) error {
					if err := p.Forward(*r); err != nil {
						return err
					}
					return p.ForwardTo("child", stream.With(r, r.Value+1))
				}
			})
			stream.To(stream.Child(s, "child"), out)
		}, 2},
		{"process values", func(in *stream.Stream[int64, int64]) {
			stream.To(stream.ProcessValues(in, func(p *stream.ValueProcessor[int64, int64]) func(*stream.Record[int64, int64]) error {
				return func(r *stream.Record[int64, int64]) error { return p.Forward(stream.With(r, r.Value+1)) }
			}), out)
		}, 1},
		{"wrapped", func(in *stream.Stream[int64, int64]) {
			in.Edge().Node.Graph().Wrap(topology.Op{}, func(stream.OperatorInfo) stream.Around {
				return func(_ context.Context, r *stream.RecordHead, process func() error) error { return process() }
			})
			stream.To(stream.MapValues(in, func(v int64) int64 { return v + 1 }), out)
		}, 1},
		{"sinks by function", func(in *stream.Stream[int64, int64]) {
			stream.ToBy(in, func(_, _ int64) stream.Topic[int64, int64] { return out })
			stream.To(in, out, stream.PartitionBy(func(_, _ int64, _ int) int { return 0 }))
			stream.To(in, out, stream.Multicast(func(_, _ int64, _ int) []int { return onlyFirst }))
		}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPath(t, c.build)
			p.record(t)
			if p.env.sent != c.sent {
				t.Fatalf("%d records came out of one, want %d", p.env.sent, c.sent)
			}
			if n := testing.AllocsPerRun(1000, func() { p.record(t) }); n != 0 {
				t.Errorf("%v allocations per record, want 0", n)
			}
		})
	}
}

var onlyFirst = []int{0}

func twiceSeq(yield func(int64) bool) {
	if yield(1) {
		yield(2)
	}
}

func twicePairs(yield func(int64, int64) bool) {
	if yield(1, 1) {
		yield(2, 2)
	}
}

// BenchmarkFiveOperators is the cost of a record through five operators, the source's decoding included and nothing written.
func BenchmarkFiveOperators(b *testing.B) {
	p := newPath(b, func(in *stream.Stream[int64, int64]) { stream.ForEach(five(in), func(_, v int64) { peeked += v }) })
	b.ReportAllocs()
	for b.Loop() {
		p.record(b)
	}
}

// BenchmarkSourceAlone is what BenchmarkFiveOperators spends before and after the operators.
func BenchmarkSourceAlone(b *testing.B) {
	p := newPath(b, func(in *stream.Stream[int64, int64]) { stream.ForEach(in, func(_, v int64) { peeked += v }) })
	b.ReportAllocs()
	for b.Loop() {
		p.record(b)
	}
}
