package topology

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/statestore"
)

// Task is one partition of a sub-topology at work: its operators as connected closures and its stores. It belongs to one goroutine.
type Task struct {
	id       TaskID
	env      Env
	sub      *Subtopology
	sources  []taskSource
	stores   []statestore.Store
	policy   *FaultPolicy // nil: every fault ends the task
	observed observedTimes
	schedule schedule
	idle     idling
	closers  []func() error // of operators, in order of wiring: lower ones first
	ctx      taskContext

	streamTime int64      // the highest event time that was taken; -1 before any
	raw        *RawRecord // in process, else nil
	at         int32      // the node whose user function runs or ran last
	phase      FaultKind  // what a panic would be: a serde's while one is at work, else a function's
	closed     bool
}

type taskSource struct {
	node  *Node
	time  TimestampFunc
	entry Entry
}

// NewTask opens the stores and connects the operators of one task.
func (s *Subtopology) NewTask(env Env) (*Task, error) {
	t := &Task{id: env.TaskID(), env: env, sub: s, streamTime: -1, at: -1, phase: FaultProcessing}
	t.ctx = taskContext{Context: context.Background(), task: t}
	t.idle.reached = t.observed.cell(idleName)
	if c, ok := env.(ContextEnv); ok {
		t.ctx.Context = c.Context()
	}
	w := &Wiring{task: t, env: env, entries: map[*Node]any{}, stores: map[string]statestore.Store{}}
	if f, ok := env.(FaultEnv); ok {
		t.policy = f.Faults()
	}
	for _, d := range s.stores {
		st, err := env.OpenStore(d.Spec)
		if err != nil {
			err = fmt.Errorf("task %s: store %q (%s): %w", t.id, d.Spec.StoreName(), d.Site, err)
			return nil, errors.Join(err, t.Close())
		}
		t.stores = append(t.stores, st)
		w.stores[d.Spec.StoreName()] = st
	}
	if err := t.wire(w); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// wire connects the operators from the last to the first, so that each finds its children's entries.
func (t *Task) wire(w *Wiring) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case wiringFailure:
			err = fmt.Errorf("task %s: %w", t.id, p.err)
		default:
			panic(p)
		}
	}()
	for i := len(t.sub.nodes) - 1; i >= 0; i-- {
		n := t.sub.nodes[i]
		w.entries[n] = n.wire(w, n)
	}
	for _, s := range t.sub.sources {
		ts := taskSource{node: s.node, time: RecordTime, entry: w.entries[s.node].(Entry)}
		if s.node.source.Timestamps != nil {
			ts.time = s.node.source.Timestamps(w)
		}
		t.sources = append(t.sources, ts)
	}
	return nil
}

// wiringFailure carries an error of the environment out of a node's wiring.
type wiringFailure struct{ err error }

// Fail ends the construction of the task with an error of the environment; only wiring functions may call it.
func (w *Wiring) Fail(err error) { panic(wiringFailure{err}) }

// Timestamp returns the event time of a record of a source. drop tells that the record has none and is to be skipped; it has been counted.
func (t *Task) Timestamp(source int, raw *RawRecord, partitionTime int64) (ts int64, drop bool, err error) {
	s := &t.sources[source]
	t.raw, t.at, t.idle.on = raw, int32(s.node.id), false
	ts, err = t.timeOf(s, raw, partitionTime)
	err = t.settle(err, s.node, raw.Timestamp, raw.Headers)
	t.raw = nil
	if err != nil {
		return 0, false, err
	}
	if ts == skipped {
		return 0, true, nil
	}
	if ts < 0 {
		t.env.Dropped(s.node.name, DropTimestamp)
		return 0, true, nil
	}
	return ts, false, nil
}

// Process decodes a record and takes it through the operators, then fires the stream-time punctuators that are due. A failure is a *[Fault]; the task must
// not be used for further records after one.
func (t *Task) Process(source int, raw *RawRecord, timestamp int64) (err error) {
	s := &t.sources[source]
	t.raw, t.at = raw, int32(s.node.id)
	defer t.recoverInto(&err)
	if t.policy == nil || t.policy.Deserialization == nil {
		err = s.entry(raw, timestamp)
	} else if err = t.enter(s, raw, timestamp); err != nil {
		err = t.settle(err, s.node, raw.Timestamp, raw.Headers)
	}
	if err != nil {
		return t.final(err)
	}
	if t.schedule.streamDue(t.streamTime) {
		t.raw = nil // a punctuation is of no record
		if err = t.schedule.fireStream(t.streamTime); err != nil {
			return t.final(err)
		}
	}
	return nil
}

// enter is a source's entry with the panics of its serdes as errors, so that a handler is asked about them too.
func (t *Task) enter(s *taskSource, raw *RawRecord, timestamp int64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = t.panicFault(p)
		}
	}()
	return s.entry(raw, timestamp)
}

// skipped is the time of a record that a handler has skipped: no extractor returns it.
const skipped = math.MinInt64

// timeOf asks a source's extractor.
func (t *Task) timeOf(s *taskSource, raw *RawRecord, partitionTime int64) (ts int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = t.panicFault(p)
		}
		if err != nil {
			ts, err = skipped, t.fault(FaultTimestamp, s.node, err)
		}
	}()
	t.phase = FaultTimestamp
	ts, err = s.time(raw, partitionTime)
	t.phase = FaultProcessing
	return max(ts, -1), err
}

// recoverInto ends a call into the operators: a panic becomes a fault, and no record is in process any more.
func (t *Task) recoverInto(err *error) {
	if p := recover(); p != nil {
		*err = t.panicFault(p)
	}
	t.raw = nil
}

// Punctuate fires the wall-clock punctuators that are due at wall, ms since 1970.
func (t *Task) Punctuate(wall int64) (err error) {
	t.at = -1
	defer t.recoverInto(&err)
	if err = t.schedule.fireWall(wall); err != nil {
		return t.final(err)
	}
	return nil
}

// AdvanceStreamTime moves the stream time on without a record and fires the punctuators that are due.
func (t *Task) AdvanceStreamTime(ts int64) (err error) {
	t.at = -1
	defer t.recoverInto(&err)
	t.streamTime = max(t.streamTime, ts)
	if t.schedule.streamDue(t.streamTime) {
		if err = t.schedule.fireStream(t.streamTime); err != nil {
			return t.final(err)
		}
	}
	return nil
}

// NextPunctuation returns the wall-clock time at which Punctuate has something to do; ok is false when nothing is scheduled.
func (t *Task) NextPunctuation() (wall int64, ok bool) { return t.schedule.nextWall() }

// Flush forwards what write-back caches hold back, upper stores before the lower ones that their results reach.
func (t *Task) Flush() (err error) {
	t.at = -1
	defer t.recoverInto(&err)
	for _, s := range t.stores {
		if err = s.Flush(); err != nil {
			return t.final(err)
		}
	}
	return nil
}

// Stores returns the task's stores in order of declaration, which is topological.
func (t *Task) Stores() []statestore.Store { return t.stores }

// StreamTime is the highest event time that the task has taken, -1 before any.
func (t *Task) StreamTime() int64 { return t.streamTime }

// SetStreamTime restores the stream time that was committed, after [Task.SetMetadata]: the highest time of a record, or what was reached without one. Punctuations that were
// due until then are done.
func (t *Task) SetStreamTime(ts int64) {
	t.streamTime = max(ts, *t.idle.reached)
	if t.streamTime >= 0 {
		t.schedule.resume(t.streamTime)
	}
}

// Metadata returns the operators' own times, to be committed with the offsets; nil when there are none.
func (t *Task) Metadata() []byte { return t.observed.encode() }

// SetMetadata restores what Metadata returned before the task moved or crashed. What it does not know is ignored.
func (t *Task) SetMetadata(b []byte) error {
	if err := t.observed.decode(b); err != nil {
		return fmt.Errorf("task %s: committed metadata: %w", t.id, err)
	}
	return nil
}

// Close ends the operators that asked for it, upper ones first, and closes the stores. Idempotent.
func (t *Task) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	var errs []error
	for _, f := range slices.Backward(t.closers) {
		if err := t.end(f); err != nil {
			errs = append(errs, fmt.Errorf("task %s: %w", t.id, err))
		}
	}
	for _, s := range t.stores {
		if err := s.Close(); err != nil {
			errs = append(errs, fmt.Errorf("task %s: store %q: %w", t.id, s.StoreName(), err))
		}
	}
	return errors.Join(errs...)
}

// end calls what an operator does at the end; a panic there must not keep the stores open.
func (t *Task) end(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Panic{Value: p}
		}
	}()
	return f()
}

// RecordTime is the timestamp extractor of a source that was given none: the record's own time; a record without one is an error.
func RecordTime(raw *RawRecord, _ int64) (int64, error) {
	if raw.Timestamp < 0 {
		return 0, fmt.Errorf("the record has the negative timestamp %d; choose what to do with such records, for example stream.SkipInvalidTimestamps", raw.Timestamp)
	}
	return raw.Timestamp, nil
}
