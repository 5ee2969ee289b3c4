package ktable_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// storeEnv runs a task with stores in memory and nothing else around it.
type storeEnv struct {
	engine statestore.Engine
	sent   int
}

func (e *storeEnv) TaskID() topology.TaskID { return topology.TaskID{} }
func (e *storeEnv) OpenStore(spec statestore.Spec) (statestore.Store, error) {
	p, err := e.engine.Partition(spec.StoreName(), 0)
	if err != nil {
		return nil, err
	}
	return spec.Open(statestore.Backend{Partition: p, CacheBytes: 64 << 20})
}
func (e *storeEnv) Partitions(topology.TopicRef) (int32, error) { return 1, nil }
func (e *storeEnv) Send(topology.TopicRef, int32, *topology.RawRecord) error {
	e.sent++
	return nil
}
func (e *storeEnv) Now() int64                          { return 0 }
func (e *storeEnv) RequestCommit()                      {}
func (e *storeEnv) Dropped(string, topology.DropReason) {}

// path is the way of a record through operators with state.
type path struct {
	env  *storeEnv
	task *topology.Task
	raw  topology.RawRecord
	n    int64 // records so far

	sources int
}

const pathKeys = 1000

func newPath(t testing.TB, build func(b *stream.Builder, in *stream.Stream[int64, int64])) *path {
	t.Helper()
	b := stream.NewBuilder()
	build(b, stream.From(b, stream.NewTopic("in", serde.Int64, serde.Int64)))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	sub := topo.Subtopologies()[0]
	p := &path{env: &storeEnv{engine: memstore.New()}, sources: len(sub.Sources())}
	if p.task, err = sub.NewTask(p.env); err != nil {
		t.Fatal(err)
	}
	p.raw = topology.RawRecord{Topic: "in", Key: make([]byte, 8), Value: make([]byte, 8)}
	return p
}

// record takes the next record through the first source: the keys go around, a millisecond passes with each.
func (p *path) record(t testing.TB) { p.recordAt(t, 0) }

func (p *path) recordAt(t testing.TB, source int) {
	p.n++
	binary.BigEndian.PutUint64(p.raw.Key, uint64(p.n%pathKeys))
	if err := p.task.Process(source, &p.raw, p.n); err != nil {
		t.Fatal(err)
	}
}

var stateful = []struct {
	name  string
	build func(b *stream.Builder, in *stream.Stream[int64, int64])
}{
	{"count", func(_ *stream.Builder, in *stream.Stream[int64, int64]) {
		stream.To(ktable.ToStream(ktable.Count(stream.GroupByKey(in), statestore.KeyValue("s", serde.Int64, serde.Int64))), numbers)
	}},
	{"tumbling", func(_ *stream.Builder, in *stream.Stream[int64, int64]) {
		windows := stream.WindowBy(stream.GroupByKey(in), stream.Tumbling(time.Minute).Grace(time.Second))
		stream.To(ktable.ToStream(ktable.CountWindows(windows, statestore.Window("s", serde.Int64, serde.Int64))),
			stream.NewTopic("out", serde.TimeWindowed(serde.Int64, time.Minute), serde.Int64))
	}},
	{"hopping", func(_ *stream.Builder, in *stream.Stream[int64, int64]) {
		windows := stream.WindowBy(stream.GroupByKey(in), stream.Hopping(time.Minute, 10*time.Second).Grace(time.Second))
		stream.To(ktable.ToStream(ktable.CountWindows(windows, statestore.Window("s", serde.Int64, serde.Int64))),
			stream.NewTopic("out", serde.TimeWindowed(serde.Int64, time.Minute), serde.Int64))
	}},
	{"cogroup", func(_ *stream.Builder, in *stream.Stream[int64, int64]) {
		sums := ktable.Cogroup(func() int64 { return 0 }, statestore.KeyValue("s", serde.Int64, serde.Int64),
			ktable.Add(stream.GroupByKey(in), func(_, v, sum int64) int64 { return sum + v }),
			ktable.Add(stream.GroupByKey(in), func(_, _, sum int64) int64 { return sum + 1 }))
		stream.To(ktable.ToStream(sums), numbers)
	}},
	{"stream-table join", func(b *stream.Builder, in *stream.Stream[int64, int64]) {
		rows := ktable.From(b, stream.NewTopic("rows", serde.Int64, serde.Int64), statestore.KeyValue("s", serde.Int64, serde.Int64))
		stream.To(ktable.JoinStream(in, rows, func(v, row int64) int64 { return v + row }), numbers)
	}},
	{"filtered and mapped table", func(_ *stream.Builder, in *stream.Stream[int64, int64]) {
		counts := ktable.Count(stream.GroupByKey(in), statestore.KeyValue("s", serde.Int64, serde.Int64))
		odd := ktable.Filter(counts, func(_, n int64) bool { return n%2 == 1 })
		stream.To(ktable.ToStream(ktable.MapValues(odd, func(n int64) int64 { return -n })), numbers)
	}},
}

var numbers = stream.NewTopic("out", serde.Int64, serde.Int64)

// warm fills the stores: of all sources, one record a key.
func (p *path) warm(t testing.TB) {
	for source := range p.sources {
		for range pathKeys {
			p.recordAt(t, source)
		}
	}
}

// TestStatefulRecordPathMakesNoAllocation takes records of known keys through the operators with state.
func TestStatefulRecordPathMakesNoAllocation(t *testing.T) {
	for _, c := range stateful {
		t.Run(c.name, func(t *testing.T) {
			p := newPath(t, c.build)
			p.warm(t)
			before := p.env.sent
			if n := testing.AllocsPerRun(2000, func() { p.record(t) }); n != 0 {
				t.Errorf("%v allocations per record, want 0", n)
			}
			if p.env.sent == before {
				t.Error("nothing came out")
			}
		})
	}
}

// BenchmarkStateful is the cost of a record, decoding and encoding included, without commits.
func BenchmarkStateful(b *testing.B) {
	for _, c := range stateful {
		b.Run(c.name, func(b *testing.B) {
			p := newPath(b, c.build)
			p.warm(b)
			b.ReportAllocs()
			for b.Loop() {
				p.record(b)
			}
		})
	}
}
