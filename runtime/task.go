package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/statestore"
)

// task is one task at a worker.
//
//	newTask ──▶ starting ──▶ restoring ──(done is closed)──▶ begin ──▶ running ──▶ drop
//	              └──── the prepare goroutine's ────┘          └── the worker's, under its mu ──┘
type task struct {
	w     *worker
	id    topology.TaskID
	sub   *topology.Subtopology
	grant assign.Grant

	state     atomic.Int32 // a TaskState
	restored  atomic.Int64 // changelog records read
	remaining atomic.Int64 // changelog offsets to read, -1 when not known yet
	cancel    context.CancelFunc
	done      chan struct{} // closed when the prepare goroutine has ended

	// Written by the prepare goroutine before done is closed, the worker's then.
	err    error
	inputs []*input
	stores []*taskStore

	// Owned by the worker, under its mu.
	topo      *topology.Task
	env       *env
	dirty     bool              // something happened since the last commit; the prepare goroutine's before done
	room      int               // records that this slice of work may still take or pass over
	processed int64             // records since the last commit
	drops     map[dropKey]int64 // since the last commit
	waiting   time.Time         // since when records wait for an empty partition, zero when they do not
}

// taskStore is one store's partition.
type taskStore struct {
	spec      statestore.Spec
	engine    statestore.Engine
	part      statestore.Partition
	store     statestore.Store // nil before begin
	changelog string           // topic, "" when there is none
	topicID   client.TopicID
	next      int64  // the changelog offset that the engine is complete up to
	source    *input // the table's own topic where that is the changelog, else nil
	topic     *client.Topic
}

// input is one partition of a source topic.
type input struct {
	reading
	source    int
	tp        client.TopicPartition
	topicID   client.TopicID
	timestamp int64
	has       bool          // rec, raw and timestamp are the next record
	time      int64         // partition time: the highest timestamp taken, -1 before any
	start     int64         // where to begin
	idle      time.Duration // after how long without a record it counts as silent; 0: never
	last      time.Time     // when its last record came here, or the task began
	committed int64         // the offset that a successor would begin at
	operators []byte
}

func newTask(w *worker, id topology.TaskID, grant assign.Grant) *task {
	ctx, cancel := context.WithCancel(w.life)
	t := &task{w: w, id: id, sub: w.app.shape.Subtopologies()[id.Subtopology], grant: grant, cancel: cancel, done: make(chan struct{}), drops: make(map[dropKey]int64)}
	t.remaining.Store(-1)
	go func() {
		defer w.signal()
		defer close(t.done)
		t.err = t.prepare(ctx)
	}()
	return t
}

func (t *task) prepared() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

func (t *task) running() bool { return t.topo != nil }

// begin makes the prepared task run.
func (t *task) begin() error {
	t.env = &env{t: t}
	topo, err := t.sub.NewTask(t.env)
	if err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	streamTime := int64(-1)
	for _, in := range t.inputs {
		streamTime = max(streamTime, in.time)
		if err := topo.SetMetadata(in.operators); err != nil {
			return fmt.Errorf("runtime: %w", errors.Join(err, topo.Close()))
		}
	}
	topo.SetStreamTime(streamTime)
	t.topo = topo
	now := time.Now()
	for _, in := range t.inputs {
		in.last = now
		in.cursor = t.w.fetcher.Add(in.tp, in.start)
	}
	t.state.Store(int32(TaskRunning))
	return nil
}

// drop ends the task wherever it is; what it has not committed is forgotten.
func (t *task) drop() {
	t.cancel()
	<-t.done
	for _, in := range t.inputs {
		if in.cursor != nil {
			t.w.fetcher.Remove(in.cursor)
		}
	}
	if t.topo != nil {
		for _, s := range t.topo.Stores() {
			s.Discard()
		}
		if err := t.topo.Close(); err != nil {
			t.w.log.Warn("closing a task", "task", t.id, "error", err)
		}
		t.topo = nil
	}
	for _, s := range t.stores {
		if err := s.part.Close(); err != nil {
			t.w.log.Warn("closing a store", "task", t.id, "store", s.spec.StoreName(), "error", err)
		}
	}
	t.stores = nil
}

// process takes up to limit records through the operators, those of the smallest timestamp first, and reports whether there were any. Called with the worker's mu held.
func (t *task) process(limit int, now time.Time) (busy bool, err error) {
	for t.room = limit; t.room > 0 && !t.w.wanted; t.room-- {
		in, err := t.choose(now)
		if err != nil {
			return true, err
		}
		if in == nil {
			break
		}
		if err := t.topo.Process(in.source, &in.raw, in.timestamp); err != nil {
			return true, err
		}
		in.has, in.time = false, max(in.time, in.timestamp)
		t.processed++
		t.dirty = true
	}
	if t.room < limit {
		t.heard(now, time.Now())
	}
	return t.room < limit, nil
}

// choose returns the input whose next record comes first, nil when there is none to be processed now.
func (t *task) choose(now time.Time) (first *input, err error) {
	if len(t.inputs) == 1 {
		in := t.inputs[0]
		if !in.has {
			if err := t.fill(in, now); err != nil {
				return nil, err
			}
		}
		if !in.has {
			return nil, nil
		}
		return in, nil
	}
	var empty, behind bool
	for _, in := range t.inputs {
		if !in.has {
			if err := t.fill(in, now); err != nil {
				return nil, err
			}
			if t.room == 0 {
				return nil, nil // passed over as many as a slice may: the next record is not known yet
			}
			if !in.has {
				if in.silentFor() > 0 {
					continue // nobody waits for it
				}
				empty = true
				behind = behind || in.cursor.Behind()
				continue
			}
		}
		if first == nil || in.timestamp < first.timestamp {
			first = in
		}
	}
	if first == nil || !empty || !t.mustWait(behind, now) {
		t.waiting = time.Time{}
		return first, nil
	}
	return nil, nil
}

// mustWait reports whether records have to wait for a partition that has none here at present.
func (t *task) mustWait(behind bool, now time.Time) bool {
	idle := t.w.app.cfg.MaxTaskIdle
	if idle < 0 {
		return false
	}
	if t.waiting.IsZero() {
		t.waiting = now
	}
	if behind {
		return true
	}
	return now.Sub(t.waiting) < idle
}

// wakeAt is when the task has something to do though nothing arrives; zero when there is no such time.
func (t *task) wakeAt(now time.Time) (at time.Time) {
	at = t.silenceAt(now)
	if wall, ok := t.topo.NextPunctuation(); ok {
		at = earlier(time.UnixMilli(wall), at)
	}
	if patience := t.waiting.Add(t.w.app.cfg.MaxTaskIdle); patience.After(now) { // once it is over, only what arrives helps
		at = earlier(patience, at)
	}
	return at
}

// fill takes the input's next record, passing over those without a usable timestamp as long as there is room.
func (t *task) fill(in *input, now time.Time) error {
	for t.room > 0 {
		ok, err := in.next()
		if err != nil {
			return err
		}
		if !ok {
			t.passedOver(in)
			return nil
		}
		in.last = now
		ts, drop, err := t.topo.Timestamp(in.source, &in.raw, in.time)
		if err != nil {
			return err
		}
		if drop {
			t.dirty = true
			t.room--
			continue
		}
		in.timestamp, in.has = ts, true
		return nil
	}
	return nil
}

// passedOver makes the offsets behind markers and aborted records worth a commit, so that a group that has read everything shows no lag.
func (t *task) passedOver(in *input) {
	if in.position() > in.committed {
		t.dirty = true
	}
}

// position is the offset that a successor would have to begin at if everything so far were committed.
func (in *input) position() int64 {
	if in.has {
		return int64(in.rec.Offset)
	}
	return in.cursor.Position()
}

// punctuate fires what is due by the wall clock.
func (t *task) punctuate(now time.Time) error {
	wall, ok := t.topo.NextPunctuation()
	if !ok || now.UnixMilli() < wall {
		return nil
	}
	t.dirty = true
	return t.topo.Punctuate(now.UnixMilli())
}

func (t *task) stagedBytes() (n int) {
	for _, s := range t.stores {
		n += s.store.StagedBytes()
	}
	return n
}

// progress is the task's part of the board. Called with the worker's mu held.
func (t *task) progress() TaskProgress {
	p := TaskProgress{
		ID: t.id, State: TaskState(t.state.Load()),
		Restored: t.restored.Load(), RestoreRemaining: t.remaining.Load(),
	}
	if !t.running() {
		return p
	}
	p.Inputs = make([]InputProgress, len(t.inputs))
	for i, in := range t.inputs {
		end, told := in.cursor.End()
		p.Inputs[i] = InputProgress{Topic: in.tp.Topic, Partition: in.tp.Partition, Position: in.position(), Committed: in.committed, End: end, EndTold: told}
	}
	return p
}
