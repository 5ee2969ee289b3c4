package client

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// drain takes what a cursor has until it has handed out n records.
func (w *world) drain(f *Fetcher, c *Cursor, n int) (offsets []int64) {
	w.t.Helper()
	var r record.Record
	for len(offsets) < n {
		ok, err := c.Next(&r)
		w.must(err)
		if ok {
			offsets = append(offsets, int64(r.Offset))
			continue
		}
		select {
		case <-f.Ready():
		case <-w.ctx.Done():
			w.t.Fatalf("%d of %d records", len(offsets), n)
		}
	}
	return offsets
}

// awaitError takes what a cursor has until it fails.
func (w *world) awaitError(f *Fetcher, c *Cursor) error {
	w.t.Helper()
	var r record.Record
	for {
		ok, err := c.Next(&r)
		if err != nil {
			return err
		}
		if ok {
			continue
		}
		select {
		case <-f.Ready():
		case <-w.ctx.Done():
			w.t.Fatal("no error")
		}
	}
}

// A fetch may begin in the middle of a batch, and cut connections change nothing about what is read.
func TestFetchBeginsAnywhereAndSurvivesCuts(t *testing.T) {
	w := newWorld(t, 1)
	p, topic := w.producer(nil, ProducerConfig{BatchBytes: 20_000, Features: Features{Transactions2: true}})
	w.append(p, topic, 0, 0, 5000)
	w.must(p.Flush(w.ctx))
	cuts := newCutter(t, 200_000)
	cl := w.client(cuts, Features{Transactions2: true})
	f := NewFetcher(cl, NewTopics(cl), FetchConfig{PartitionBytes: 16 << 10})
	defer f.Close()
	for _, from := range []int64{0, 1, 777, 4999} {
		c := f.Add(TopicPartition{w.topic, 0}, from)
		got := w.drain(f, c, 5000-int(from))
		for i, o := range got {
			if o != from+int64(i) {
				t.Fatalf("from %d: record %d has offset %d", from, i, o)
			}
		}
		if c.Position() != 5000 {
			t.Errorf("position %d at the end", c.Position())
		}
		f.Remove(c)
	}
	if cuts.cuts < 3 {
		t.Errorf("only %d connections were cut: the test shows nothing", cuts.cuts)
	}
}

// The position passes markers and aborted records, so that a group that has read everything shows no lag.
func TestPositionPassesMarkersAndAbortedRecords(t *testing.T) {
	w := newWorld(t, 1)
	p, topic := w.producer(nil, ProducerConfig{TransactionalID: "writer", Features: Features{Transactions2: true}})
	w.append(p, topic, 0, 0, 5)
	w.must(p.Flush(w.ctx))
	w.must(p.End(w.ctx, true))
	w.append(p, topic, 0, 5, 9)
	w.must(p.Flush(w.ctx))
	w.must(p.End(w.ctx, false))
	cl := w.client(nil, Features{Transactions2: true})
	f := NewFetcher(cl, NewTopics(cl), FetchConfig{ReadCommitted: true})
	defer f.Close()
	c := f.Add(TopicPartition{w.topic, 0}, 0)
	w.drain(f, c, 5)
	const end = 5 + 1 + 4 + 1 // records and markers
	var r record.Record
	for c.Position() < end {
		if ok, err := c.Next(&r); ok || err != nil {
			t.Fatalf("Next: %v, %v; want nothing more", ok, err)
		}
		if c.Position() < end {
			select {
			case <-f.Ready():
			case <-w.ctx.Done():
				t.Fatalf("position %d, want %d", c.Position(), end)
			}
		}
	}
	if high, _ := c.End(); high != end {
		t.Errorf("high watermark %d, want %d", high, end)
	}
	if c.Behind() {
		t.Error("the cursor is behind at the end")
	}
}

func TestOffsetsOutsideTheLogAreReported(t *testing.T) {
	w := newWorld(t, 1)
	p, topic := w.producer(nil, ProducerConfig{Features: Features{Transactions2: true}})
	w.append(p, topic, 0, 0, 10)
	w.must(p.Flush(w.ctx))
	cl := w.client(nil, Features{Transactions2: true})
	w.must(DeleteRecords(w.ctx, cl, map[TopicPartition]int64{{w.topic, 0}: 4}))
	f := NewFetcher(cl, NewTopics(cl), FetchConfig{})
	defer f.Close()
	for _, from := range []int64{2, 11} {
		c := f.Add(TopicPartition{w.topic, 0}, from)
		if err := w.awaitError(f, c); !errors.Is(err, ErrOffsetOutOfRange) {
			t.Errorf("from %d: %v, want ErrOffsetOutOfRange", from, err)
		}
		f.Remove(c)
	}
	c := f.Add(TopicPartition{w.topic, 0}, 4)
	if got := w.drain(f, c, 6); got[0] != 4 {
		t.Errorf("first offset %d, want 4", got[0])
	}
}

// A topic that is deleted and made again is another topic: its offsets mean nothing.
func TestATopicMadeAnewEndsTheCursor(t *testing.T) {
	w := newWorld(t, 1)
	p, topic := w.producer(nil, ProducerConfig{Features: Features{Transactions2: true}})
	w.append(p, topic, 0, 0, 3)
	w.must(p.Flush(w.ctx))
	cl := w.client(nil, Features{Transactions2: true})
	f := NewFetcher(cl, NewTopics(cl), FetchConfig{})
	defer f.Close()
	c := f.Add(TopicPartition{w.topic, 0}, 0)
	w.drain(f, c, 3)
	w.recreate()
	if err := w.awaitError(f, c); !errors.Is(err, ErrTopicChanged) {
		t.Errorf("%v, want ErrTopicChanged", err)
	}
}

// A partition whose consumer has enough is left out, and the others go on.
func TestAFullPartitionDoesNotHoldUpOthers(t *testing.T) {
	w := newWorld(t, 2)
	p, topic := w.producer(nil, ProducerConfig{BatchBytes: 20_000, Features: Features{Transactions2: true}})
	for partition := range topic.Partitions() {
		w.append(p, topic, partition, 0, 3000)
	}
	w.must(p.Flush(w.ctx))
	cl := w.client(nil, Features{Transactions2: true})
	f := NewFetcher(cl, NewTopics(cl), FetchConfig{PartitionBytes: 32 << 10})
	defer f.Close()
	full := f.Add(TopicPartition{w.topic, 0}, 0)
	c := f.Add(TopicPartition{w.topic, 1}, 0)
	w.drain(f, c, 3000)
	f.mu.Lock()
	waiting := full.buffered
	f.mu.Unlock()
	if limit := 2 * (32 << 10); waiting == 0 || waiting > limit {
		t.Errorf("%d bytes wait in the full partition, want some, and %d at most", waiting, limit)
	}
	w.drain(f, full, 3000)
}

func TestNextDoesNotAllocate(t *testing.T) {
	w := newWorld(t, 1)
	p, topic := w.producer(nil, ProducerConfig{Features: Features{Transactions2: true}})
	w.append(p, topic, 0, 0, 2000)
	w.must(p.Flush(w.ctx))
	cl := w.client(nil, Features{Transactions2: true})
	f := NewFetcher(cl, NewTopics(cl), FetchConfig{})
	defer f.Close()
	c := f.Add(TopicPartition{w.topic, 0}, 0)
	w.drain(f, c, 10)
	var r record.Record
	if n := testing.AllocsPerRun(1500, func() {
		if ok, err := c.Next(&r); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a record", n)
	}
}

// The filter of aborted transactions by itself: overlapping transactions of several producers.
func TestSkipTellsAbortedFromCommitted(t *testing.T) {
	batch := func(base int64, producer record.ProducerID, control *record.Marker) record.Batch {
		var b record.Builder
		var out record.Batch
		if control != nil {
			out = b.FinishMarker(1, producer, 0, *control)
		} else {
			b.AppendRecord(1, nil, []byte("x"), nil)
			out = b.Finish(record.Producer{ID: producer}, record.Transactional, record.None)
		}
		out = slices.Clone(out)
		out.SetBaseOffset(record.Offset(base))
		return out
	}
	abort, commit := &record.Marker{Type: record.AbortMarker}, &record.Marker{Type: record.CommitMarker}
	log := []struct {
		batch record.Batch
		skip  bool
	}{
		{batch(0, 1, nil), true},  // aborted at 3
		{batch(1, 2, nil), false}, // committed at 4
		{batch(2, 1, nil), true},
		{batch(3, 1, abort), true},
		{batch(4, 2, commit), true},
		{batch(5, 1, nil), false}, // the next transaction of the same producer, committed at 7
		{batch(6, 3, nil), true},  // aborted beyond the end of the chunk
		{batch(7, 1, commit), true},
	}
	c := &Cursor{aborted: []abortedTxn{{1, 0}, {3, 6}}}
	for _, l := range log {
		skip, err := c.skip(l.batch)
		if err != nil {
			t.Fatal(err)
		}
		if skip != l.skip {
			t.Errorf("offset %d: skip is %v, want %v", l.batch.BaseOffset(), skip, l.skip)
		}
	}
}

func TestErrorsReadAsSentences(t *testing.T) {
	err := wrap(ErrAbort, errors.New("topic t, partition 1: gone"))
	if !errors.Is(err, ErrAbort) || !strings.HasPrefix(err.Error(), "the transaction must be aborted: topic t") {
		t.Errorf("%v", err)
	}
}

// Each broker that leads a partition has its own goroutine, however quickly leaders change.
func TestLeadersMayMoveBeforeTheirFetchBegins(t *testing.T) {
	w := newWorld(t, 1)
	p, topic := w.producer(nil, ProducerConfig{Features: Features{Transactions2: true}})
	w.append(p, topic, 0, 0, 5)
	w.must(p.Flush(w.ctx))
	cl := w.client(nil, Features{Transactions2: true})
	topics := NewTopics(cl)
	info, err := topics.Get(w.ctx, w.topic)
	w.must(err)
	f := NewFetcher(cl, topics, FetchConfig{})
	defer f.Close()
	c := f.Add(TopicPartition{w.topic, 0}, 0)
	f.mu.Lock()
	for _, leader := range []int32{info.Leaders[0], info.Leaders[0] + 1, info.Leaders[0]} {
		f.moveLeaders(TopicInfo{Name: info.Name, ID: info.ID, Leaders: []int32{leader}})
	}
	f.mu.Unlock()
	w.drain(f, c, 5)
}

// A partition that an answer leaves out is not asked for again at once, over and over: the broker may have nothing to say of it for long.
func TestAPartitionThatAnAnswerLeavesOutIsAskedForLater(t *testing.T) {
	w := newWorld(t, 2)
	cl := w.client(nil, Features{})
	f := NewFetcher(cl, NewTopics(cl), FetchConfig{})
	defer f.Close()
	told, left := f.Add(TopicPartition{w.topic, 0}, 0), f.Add(TopicPartition{w.topic, 1}, 0)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	told.retryAt, told.attempts, left.retryAt, left.attempts = time.Time{}, 0, time.Time{}, 0
	rt := kmsg.NewFetchResponseTopic()
	rt.Topic = w.topic
	rt.Partitions = append(rt.Partitions, kmsg.NewFetchResponseTopicPartition())
	f.settle([]ask{{told, 0}, {left, 0}}, now, &kmsg.FetchResponse{Topics: []kmsg.FetchResponseTopic{rt}}, nil)
	if !left.retryAt.After(now) || left.attempts != 1 {
		t.Errorf("what was left out is asked for again at %v after %d attempts, now is %v", left.retryAt, left.attempts, now)
	}
	if !told.retryAt.IsZero() {
		t.Errorf("what was answered waits until %v", told.retryAt)
	}
}
