package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/internal/record"
)

// fakeLog is a log in memory that does as it is told.
type fakeLog struct {
	gate chan struct{} // an append takes one before it writes; nil: it does not wait

	mu       sync.Mutex
	data     []byte
	start    int64
	end      int64
	appends  int
	refuse   error // what the next append returns
	anyway   bool  // and writes all the same
	noReads  error // what reads return
	panics   bool  // the next append does
	fenced   error // what CheckProducer and CheckMarker return
	arrivals chan struct{}
}

func (l *fakeLog) Append(ctx context.Context, batches []byte) error {
	if l.arrivals != nil {
		l.arrivals <- struct{}{}
	}
	if l.gate != nil {
		select {
		case <-l.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appends++
	if l.panics {
		l.panics = false
		panic("a bug of the log")
	}
	err := l.refuse
	l.refuse = nil
	if err != nil && !l.anyway {
		return err
	}
	batches = bytes.Clone(batches)
	for b, err := range record.All(batches) {
		if err != nil {
			panic(err)
		}
		if err := b.Check(); err != nil {
			panic(err)
		}
		b.SetBaseOffset(record.Offset(l.end))
		l.end = int64(b.NextOffset())
	}
	l.data = append(l.data, batches...)
	return err
}

func (l *fakeLog) Read(_ context.Context, from int64, maxBytes int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.noReads != nil {
		return nil, l.noReads
	}
	var out []byte
	for b := range record.All(l.data) {
		if int64(b.LastOffset()) < from {
			continue
		}
		if len(out) > 0 && len(out)+len(b) > maxBytes {
			break
		}
		out = append(out, b...)
	}
	return out, nil
}

func (l *fakeLog) Bounds() (start, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start, l.end
}

func (l *fakeLog) set(change func(*fakeLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// fencedLog can tell beforehand.
type fencedLog struct{ *fakeLog }

func (l fencedLog) CheckProducer(entry.Producer) error { return l.fenced }
func (l fencedLog) CheckMarker(entry.Marker) error     { return l.fenced }

// sums is a machine that adds up, by key; a transaction's sum counts when it commits.
type sums struct {
	total    map[string]int
	open     map[int64]map[string]int
	deadline time.Time
	loaded   bool
	ticks    int
}

func newSums(int32, int32) *sums {
	return &sums{total: map[string]int{}, open: map[int64]map[string]int{}}
}

func (m *sums) Apply(r entry.Record, p entry.Producer) {
	n, err := strconv.Atoi(string(r.Value))
	if err != nil {
		panic(err)
	}
	if p.None() {
		m.total[string(r.Key)] += n
		return
	}
	if m.open[p.ID] == nil {
		m.open[p.ID] = map[string]int{}
	}
	m.open[p.ID][string(r.Key)] += n
}

func (m *sums) ApplyMarker(mk entry.Marker) {
	if mk.Commit {
		for k, n := range m.open[mk.ID] {
			m.total[k] += n
		}
	}
	delete(m.open, mk.ID)
}

func (m *sums) Loaded(time.Time)        { m.loaded = true }
func (m *sums) NextDeadline() time.Time { return m.deadline }

func add(key string, n int) entry.Record {
	return entry.Record{Key: []byte(key), Value: []byte(strconv.Itoa(n))}
}

// plus is a step that adds n to key.
func plus(key string, n int) func(*sums, time.Time, *Writer) {
	return func(m *sums, _ time.Time, w *Writer) {
		r := add(key, n)
		m.Apply(r, entry.NoProducer())
		w.Append(r)
		clear(r.Value) // the writer has taken its own copy
	}
}

func newSumSet(unloaded func(*Shard[*sums], error)) *Set[*sums] {
	return NewSet(Config[*sums]{
		Topic: "__sums",
		New:   newSums,
		Tick: func(_ *Shard[*sums], m *sums, now time.Time, w *Writer) {
			m.ticks++
			m.deadline = time.Time{}
			plus("ticks", 1)(m, now, w)
		},
		Unloaded: unloaded,
	})
}

func lead(s *Set[*sums], log Log) *Shard[*sums] {
	s.Lead(0, 0, log)
	shard, err := s.Shard(0)
	if err != nil {
		panic(err)
	}
	return shard
}

// total reads a key the way an answer would: after all that was written before is committed.
func total(s *Shard[*sums], key string) (n int, err error) {
	err = s.Do(context.Background(), func(m *sums, _ time.Time, _ *Writer) { n = m.total[key] })
	return n, err
}

// replayed is the sum that the log has.
func replayed(l *fakeLog, key string) int {
	m := newSums(0, 0)
	if err := replay(context.Background(), l, m); err != nil {
		panic(fmt.Sprintf("replay: %v", err))
	}
	return m.total[key]
}

var errBroken = errors.New("the disk is broken")
