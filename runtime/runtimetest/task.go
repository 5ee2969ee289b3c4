package runtimetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// task is a topology's task with its queues and the environment that it runs in.
type task struct {
	d      *Driver
	id     topology.TaskID
	task   *topology.Task
	queues []*queue
	stores []openStore
	saved  position

	skipped bool // a record without a time was passed by since the last commit
}

// openStore is a task's partition of a store.
type openStore struct {
	decl      topology.StoreDecl
	engine    statestore.Engine
	partition statestore.Partition
	changelog *topicLog // nil when there is none
	source    *topicLog // the table's own topic where that is the changelog, else nil
}

// position is what a commit keeps of a task: where each queue stands and how far time has come.
type position struct {
	committed  bool
	offsets    []int
	times      []int64
	streamTime int64
	metadata   []byte
}

// newTask opens the stores, restores what their engines lack, and puts the queues where the last commit left them.
func (d *Driver) newTask(id topology.TaskID, at position) (*task, error) {
	t := &task{d: d, id: id, saved: at}
	sub := d.topo.Subtopologies()[id.Subtopology]
	inner, err := sub.NewTask(t)
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	t.task = inner
	if at.committed {
		if err := inner.SetMetadata(at.metadata); err != nil {
			return nil, errors.Join(err, t.close())
		}
		inner.SetStreamTime(at.streamTime)
	}
	for i, src := range sub.Sources() {
		for _, ref := range src.Topics {
			l := d.log(ref.Resolve(d.config.App))
			if int(id.Partition) >= len(l.partitions) {
				continue
			}
			q := &queue{task: t, source: i, log: l, partition: id.Partition, partitionTime: -1, idle: src.Idle.Milliseconds(), last: d.now}
			if at.committed {
				q.position, q.partitionTime = at.offsets[len(t.queues)], at.times[len(t.queues)]
				q.arrived = q.position
			}
			t.queues = append(t.queues, q)
			l.readers = append(l.readers, q)
			if err := q.advance(); err != nil {
				return nil, errors.Join(err, t.close())
			}
			d.heads.offer(q)
		}
	}
	return t, nil
}

// process takes the head of a queue through the task.
func (t *task) process(q *queue) error {
	r, ts := q.head, q.headTime
	q.position++
	q.head = nil
	q.partitionTime = max(q.partitionTime, ts)
	if err := t.task.Process(q.source, r, ts); err != nil {
		return err
	}
	if err := q.advance(); err != nil {
		return err
	}
	t.d.heads.offer(q)
	return nil
}

// idleFor is for how long all queues have been silent beyond their time-outs, 0 when one is not. A queue is not while something is on the way to it.
func (t *task) idleFor(now int64) int64 {
	if len(t.queues) == 0 {
		return 0
	}
	var since int64
	for _, q := range t.queues {
		if q.idle == 0 || q.position < len(q.log.partitions[q.partition]) {
			return 0
		}
		since = max(since, q.last+q.idle)
	}
	return max(0, now-since)
}

// position returns what a commit keeps.
func (t *task) position() position {
	p := position{committed: true, streamTime: t.task.StreamTime(), metadata: t.task.Metadata()}
	for _, q := range t.queues {
		p.offsets, p.times = append(p.offsets, q.position), append(p.times, q.partitionTime)
	}
	return p
}

func (t *task) close() error {
	var errs []error
	if t.task != nil {
		errs = append(errs, t.task.Close())
	}
	for _, s := range t.stores {
		errs = append(errs, s.partition.Close())
	}
	t.stores = nil
	return errors.Join(errs...)
}

// TaskID, OpenStore and the methods below make a task its own environment.
func (t *task) TaskID() topology.TaskID { return t.id }

// OpenStore opens the task's partition of a store and restores what its engine lacks.
func (t *task) OpenStore(spec statestore.Spec) (statestore.Store, error) {
	s := openStore{engine: t.d.engine}
	if spec.IsInMemory() {
		s.engine = t.d.memory
	}
	decls := t.d.topo.Stores()
	s.decl = decls[slices.IndexFunc(decls, func(d topology.StoreDecl) bool { return d.Spec.StoreName() == spec.StoreName() })]
	var err error
	if s.partition, err = s.engine.Partition(spec.StoreName(), t.id.Partition); err != nil {
		return nil, err
	}
	t.stores = append(t.stores, s)
	if s.decl.Source != nil {
		own := &t.stores[len(t.stores)-1]
		own.source = t.d.log(s.decl.Source.Resolve(t.d.config.App))
		if err := own.read(own.source.partitions[t.id.Partition][:t.committed(own.source)], t.committed(own.source)); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	} else if spec.Changelog().Enabled {
		t.stores[len(t.stores)-1].changelog = t.d.log(s.decl.Changelog.Resolve(t.d.config.App))
		if err := t.stores[len(t.stores)-1].restore(t.id.Partition); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	return spec.Open(statestore.Backend{Partition: s.partition, CacheBytes: t.d.config.CacheBytes, WriteBack: t.d.config.WriteBack, HoldBytes: t.d.config.HoldBytes,
		StreamTime: func() int64 {
			if t.task == nil {
				return t.saved.streamTime
			}
			return t.task.StreamTime()
		}})
}

// Partitions counts those of a topic that the task writes to.
func (t *task) Partitions(ref topology.TopicRef) (int32, error) {
	return int32(len(t.d.log(ref.Resolve(t.d.config.App)).partitions)), nil
}

// Send keeps a copy of the record until the commit.
func (t *task) Send(ref topology.TopicRef, partition int32, r *topology.RawRecord) error {
	l := t.d.log(ref.Resolve(t.d.config.App))
	if partition < 0 {
		partition = l.choose(r.Key)
	}
	if int(partition) >= len(l.partitions) {
		return fmt.Errorf("runtimetest: topic %s has no partition %d", l.name, partition)
	}
	t.d.pending = append(t.d.pending, pendingRecord{log: l, partition: partition, record: copyRecord(r)})
	return nil
}

// Now is the driver's wall clock.
func (t *task) Now() int64 { return t.d.now }

// RequestCommit makes the driver commit after the record in process.
func (t *task) RequestCommit() { t.d.commitNow = true }

// Dropped counts.
func (t *task) Dropped(node string, reason topology.DropReason) { t.d.countDrop(node, reason) }

// Context is the configured one.
func (t *task) Context() context.Context { return t.d.config.Context }

// Faults is the configured policy.
func (t *task) Faults() *topology.FaultPolicy { return &t.d.config.Faults }

// restore brings the engine's partition to the end of the changelog, from its checkpoint on.
func (s *openStore) restore(partition int32) error {
	records := s.changelog.partitions[partition]
	return s.read(records, len(records))
}

// read brings the engine's partition to the end of records, from its checkpoint on.
func (s *openStore) read(records []topology.RawRecord, end int) error {
	from, err := s.checkpoint()
	if err != nil {
		return err
	}
	if from >= len(records) {
		return nil
	}
	restorer, err := s.decl.Spec.Restore(s.partition)
	if err != nil {
		return err
	}
	b := s.engine.NewBatch()
	defer b.Close()
	for _, r := range records[from:] {
		if s.source != nil && !s.decl.Accepts(r.Key, r.Value, r.Timestamp) {
			continue
		}
		if err := restorer.Add(b, r.Key, r.Value, r.Timestamp); err != nil {
			return err
		}
	}
	if err := restorer.Seal(b); err != nil {
		return err
	}
	if err := s.setCheckpoint(b, end); err != nil {
		return err
	}
	return b.Commit()
}

// committed is where the last commit left a source topic.
func (t *task) committed(l *topicLog) int {
	if !t.saved.committed {
		return 0
	}
	n := 0
	for _, src := range t.d.topo.Subtopologies()[t.id.Subtopology].Sources() {
		for _, ref := range src.Topics {
			have := t.d.log(ref.Resolve(t.d.config.App))
			if int(t.id.Partition) >= len(have.partitions) {
				continue
			}
			if have == l {
				return t.saved.offsets[n]
			}
			n++
		}
	}
	return 0
}

// checkpointBytes is the size of a checkpoint: the end of the changelog, big-endian.
const checkpointBytes = 8

func (s *openStore) checkpoint() (int, error) {
	b, err := s.partition.Checkpoint()
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != checkpointBytes {
		return 0, fmt.Errorf("a checkpoint of %d bytes", len(b))
	}
	return int(binary.BigEndian.Uint64(b)), nil
}

func (s *openStore) setCheckpoint(b statestore.Batch, end int) error {
	return b.SetCheckpoint(s.partition, binary.BigEndian.AppendUint64(nil, uint64(end)))
}
