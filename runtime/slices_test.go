package runtime

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// A record that was fetched and waits for another partition has not moved the stream time that is committed: a successor's time goes on where this one's was.
func TestWaitingRecordsDoNotMoveStreamTime(t *testing.T) {
	c := newCluster(t)
	ahead, behind := c.name+"-ahead", c.name+"-behind"
	c.createTopic(ahead, 1)
	c.createTopic(behind, 1)
	var times sync.Map // stream time by value
	b := stream.NewBuilder()
	stream.ForEachCtx(stream.Merge(
		stream.From(b, stream.NewTopic(ahead, serde.String, serde.String)),
		stream.From(b, stream.NewTopic(behind, serde.String, serde.String)),
	), func(ctx context.Context, _, value string) error {
		m, _ := stream.MetaOf(ctx)
		times.Store(value, m.StreamTime)
		return nil
	})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	committed := func(topic string, want int64) func(Progress) bool {
		return func(p Progress) bool {
			for _, task := range p.Tasks {
				for _, in := range task.Inputs {
					if in.Topic == topic {
						return in.Committed == want
					}
				}
			}
			return false
		}
	}
	cfg := Config{Workers: 1, MaxTaskIdle: time.Hour, CommitInterval: 10 * time.Millisecond}
	c.produceAt(ahead, []int64{1_000, 100_000}) // the second one waits for the other topic's next record
	c.produceAt(behind, []int64{2_000})
	i := c.start(topo, cfg)
	i.await(t, "the first two records", soon, committed(behind, 1))
	i.end(t)

	c.produceAt(behind, []int64{3_000})
	i = c.start(topo, cfg)
	i.await(t, "the record before the waiting one", soon, committed(behind, 2))
	i.end(t)
	for _, at := range []int64{1_000, 2_000, 3_000} {
		if got, _ := times.Load(strconv.FormatInt(at, 10)); got != at {
			t.Errorf("the stream time at %d was %v", at, got)
		}
	}
}

// Behind is a partition whose records cannot be fetched at present: a task that has waited longer than MaxTaskIdle for them sleeps until they come.
func TestATaskThatWaitsLongSleeps(t *testing.T) {
	b := stream.NewBuilder()
	stream.ForEach(stream.From(b, stream.NewTopic("in", serde.String, serde.String)), func(_, _ string) {})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	waits := &task{w: &worker{app: &App{cfg: Config{MaxTaskIdle: time.Second}}}}
	if waits.topo, err = topo.Subtopologies()[0].NewTask(&env{t: waits}); err != nil {
		t.Fatal(err)
	}
	defer waits.topo.Close()
	begun := time.UnixMilli(1_700_000_000_000)
	for _, c := range []struct {
		name         string
		waiting, now time.Time
		want         time.Time
	}{
		{"no wait", time.Time{}, begun, time.Time{}},
		{"begun", begun, begun, begun.Add(time.Second)},
		{"nearly over", begun, begun.Add(999 * time.Millisecond), begun.Add(time.Second)},
		{"over", begun, begun.Add(time.Second), time.Time{}},
		{"long over", begun, begun.Add(time.Minute), time.Time{}},
	} {
		waits.waiting = c.waiting
		if got := waits.wakeAt(c.now); !got.Equal(c.want) {
			t.Errorf("%s: woken at %v, want %v", c.name, got, c.want)
		}
	}
}

// Records that are passed over take their place in a slice of work: what waits for the worker, a rebalance say, does not wait for all of them.
func TestRecordsPassedOverEndASlice(t *testing.T) {
	const (
		records = 2000
		slice   = 10
	)
	c := newCluster(t)
	in := c.name + "-in"
	c.createTopic(in, 1)
	// The times are asked for on the worker's goroutine, under its mu.
	var app *App
	started := make(chan struct{})
	passed, longest, turn := 0, 0, 0
	topic := stream.NewTopic(in, serde.String, serde.String).EventTime(func(_, _ string, _, _ int64) int64 {
		<-started
		if w := app.workers[0]; w.turn != turn {
			turn, passed = w.turn, 0
		}
		passed++
		longest = max(longest, passed)
		return -1
	})
	b := stream.NewBuilder()
	stream.ForEach(stream.From(b, topic), func(_, _ string) {})
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	c.produceAt(in, make([]int64, records))
	i := c.start(topo, Config{Workers: 1, MaxPollRecords: slice})
	app = i.app
	close(started)
	i.await(t, "the end of the input", soon, Progress.Done)
	i.end(t)
	if longest > slice {
		t.Errorf("%d records were passed over in one slice of work, want %d at most", longest, slice)
	}
	if got := i.app.Progress().Tasks; len(got) > 0 && got[0].Drops[0].Count != records {
		t.Errorf("drops %v, want %d", got[0].Drops, records)
	}
}

// A worker that has ended takes in no task: its engines are closed after it.
func TestEndedWorkerStartsNoTask(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 1)
	c.createTopic(w.counts.Name(), 1)
	i := c.start(w.topo, Config{Workers: 1})
	i.await(t, "running", soon, func(p Progress) bool { return p.State == Running && len(p.Tasks) == 2 })
	i.end(t)
	worker := i.app.workers[0]
	worker.assigned() // the group's callback was waiting for the worker when that ended
	worker.mu.Lock()
	defer worker.mu.Unlock()
	if n := len(worker.order); n != 0 {
		t.Errorf("%d tasks were started", n)
	}
	worker.dropAll()
}
