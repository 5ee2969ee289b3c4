package runtimetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream"
)

// Driver runs one topology. It belongs to one goroutine.
type Driver struct {
	config  Config
	topo    *stream.Topology
	plan    *topology.Plan
	logs    map[string]*topicLog // by real name
	tasks   []*task
	heads   queueHeap // of all tasks: the queues that have records
	engine  statestore.Engine
	memory  statestore.Engine // for the stores that are always in memory
	globals []*globalTable

	arrivals *arrivals // nil: records arrive at once

	now        int64 // wall clock, ms
	lastCommit int64
	pending    []pendingRecord // sent and not committed, in order
	drops      []Drop
	commitNow  bool // a task asked for it
	failed     error
	closed     bool
}

// pendingRecord waits for the commit.
type pendingRecord struct {
	log       *topicLog
	partition int32
	record    topology.RawRecord
}

// Drop is how many records went no further at an operator for one reason.
type Drop struct {
	Node   string
	Reason DropReason
	Count  int
}

// New starts the tasks of a topology.
func New(t *stream.Topology, config Config) (*Driver, error) {
	d := &Driver{config: config.withDefaults(), topo: t, logs: map[string]*topicLog{}, memory: memstore.New()}
	d.arrivals = newArrivals(d.config.Shuffle)
	d.now = d.config.Start.UnixMilli()
	d.lastCommit = d.now
	t, err := t.Match(d.config.App, slices.Collect(maps.Keys(d.config.Partitions)))
	if err != nil {
		return nil, fmt.Errorf("runtimetest: %w", err)
	}
	d.topo = t
	plan, err := t.Plan(d.config.App, func(name string) (int32, bool) {
		if isInternal(t, d.config.App, name) {
			return 0, false
		}
		return d.config.partitions(name), true
	})
	if err != nil {
		return nil, fmt.Errorf("runtimetest: %w", err)
	}
	d.plan = plan
	for _, p := range plan.Topics {
		d.logs[p.Name] = newTopicLog(p.Name, p.Partitions)
	}
	if d.engine, err = d.config.Open(); err != nil {
		return nil, fmt.Errorf("runtimetest: open the engine: %w", err)
	}
	if err := d.start(nil); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func isInternal(t *stream.Topology, app, name string) bool {
	return slices.ContainsFunc(t.Internal(), func(i topology.InternalTopic) bool { return i.Ref.Resolve(app) == name })
}

// log returns a topic, which is made when it is met first.
func (d *Driver) log(name string) *topicLog {
	l := d.logs[name]
	if l == nil {
		l = newTopicLog(name, d.config.partitions(name))
		d.logs[name] = l
	}
	return l
}

// start makes the tasks; committed holds where they go on, by task.
func (d *Driver) start(committed map[topology.TaskID]position) error {
	d.heads = queueHeap{}
	if err := d.openGlobals(); err != nil {
		return err
	}
	for _, id := range d.plan.Tasks {
		t, err := d.newTask(id, committed[id])
		if err != nil {
			return err
		}
		d.tasks = append(d.tasks, t)
	}
	return nil
}

// AdvanceWallClock moves the wall clock, and stream time where the inputs are silent for longer than [stream.IdleAfter] says, fires the punctuators that are due, commits when that is
// due, and processes what came of it.
func (d *Driver) AdvanceWallClock(by time.Duration) error {
	if d.failed != nil {
		return d.failed
	}
	d.now += by.Milliseconds()
	fired, err := d.passTime()
	if err != nil {
		return d.fail(err)
	}
	for _, t := range d.tasks {
		if next, ok := t.task.NextPunctuation(); ok && next <= d.now {
			fired = true
			if err := t.task.Punctuate(d.now); err != nil {
				return d.fail(err)
			}
		}
	}
	if d.config.CommitEvery == 0 && fired || d.commitDue() {
		if err := d.commitAll(); err != nil {
			return d.fail(err)
		}
	}
	return d.run()
}

// passTime lets stream time go on in the tasks whose inputs are silent, those that feed others first: what comes of it ends the silence of the others where each
// record is followed by a commit.
func (d *Driver) passTime() (acted bool, err error) {
	for _, t := range d.tasks {
		some, err := t.task.Idle(t.idleFor(d.now))
		if err != nil {
			return true, err
		}
		if some && d.config.CommitEvery == 0 {
			if err := d.commitAll(); err != nil {
				return true, err
			}
			if err := d.run(); err != nil {
				return true, err
			}
		}
		acted = acted || some
	}
	return acted, nil
}

// Now is the wall clock.
func (d *Driver) Now() time.Time { return time.UnixMilli(d.now) }

// Commit commits all tasks now and processes what became visible by it, until nothing is left, on the way neither.
func (d *Driver) Commit() error {
	if d.arrivals != nil {
		d.arrivals.all = true
		defer func() { d.arrivals.all = false }()
	}
	for d.failed == nil {
		if err := d.commitAll(); err != nil {
			return d.fail(err)
		}
		if d.heads.empty() && len(d.onTheWay()) == 0 {
			return nil
		}
		if err := d.run(); err != nil {
			return err
		}
	}
	return d.failed
}

// run processes records until all queues are empty.
func (d *Driver) run() error {
	for d.failed == nil {
		if err := d.arrive(); err != nil {
			return d.fail(err)
		}
		if d.heads.empty() {
			break
		}
		q := d.heads.take()
		if err := q.task.process(q); err != nil {
			return d.fail(err)
		}
		err := d.spreadTime(q.task)
		switch {
		case err != nil:
		case d.config.CommitEvery == 0 && d.config.OneStreamTime:
			err = d.commitAll()
		case d.config.CommitEvery == 0:
			err = d.commit(q.task)
		case d.commitNow:
			err = d.commitAll()
		}
		if err != nil {
			return d.fail(err)
		}
	}
	return d.commitSkipped()
}

// spreadTime takes a task's stream time to the others, where that is asked for.
func (d *Driver) spreadTime(from *task) error {
	if !d.config.OneStreamTime {
		return nil
	}
	for _, t := range d.tasks {
		if t == from {
			continue
		}
		if err := t.task.AdvanceStreamTime(from.task.StreamTime()); err != nil {
			return err
		}
	}
	return nil
}

// commitSkipped commits tasks that only passed records by, where each record is to be followed by a commit.
func (d *Driver) commitSkipped() error {
	for _, t := range d.tasks {
		if t.skipped && d.config.CommitEvery == 0 && d.failed == nil {
			if err := d.commit(t); err != nil {
				return d.fail(err)
			}
		}
	}
	return d.failed
}

// fail remembers the first failure: the driver is of no use after it.
func (d *Driver) fail(err error) error {
	if d.failed == nil {
		d.failed = err
	}
	return d.failed
}

// Drops returns what was dropped so far, by operator and reason in the order of their first drop.
func (d *Driver) Drops() []Drop { return slices.Clone(d.drops) }

// Dropped is the number of records that were dropped so far.
func (d *Driver) Dropped() (n int) {
	for _, drop := range d.drops {
		n += drop.Count
	}
	return n
}

func (d *Driver) countDrop(node string, reason DropReason) {
	for i := range d.drops {
		if d.drops[i].Node == node && d.drops[i].Reason == reason {
			d.drops[i].Count++
			return
		}
	}
	d.drops = append(d.drops, Drop{Node: node, Reason: reason, Count: 1})
}

// Close ends the tasks and the engine. Idempotent.
func (d *Driver) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	d.fail(errors.New("runtimetest: the driver is closed"))
	err := d.closeTasks()
	if d.engine != nil {
		err = errors.Join(err, d.engine.Close())
	}
	return errors.Join(err, d.memory.Close())
}

func (d *Driver) closeTasks() error {
	var errs []error
	for _, t := range d.tasks {
		errs = append(errs, t.close())
	}
	d.tasks = nil
	return errors.Join(append(errs, d.closeGlobals())...)
}
