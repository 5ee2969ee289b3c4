package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/record"
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// prepare makes a task ready to begin: its former owners fenced, its offsets read, its stores restored, in this order. It runs on a goroutine of its own and touches
// nothing of the worker but its connections.
func (t *task) prepare(ctx context.Context) error {
	t.list()
	if err := t.findStart(ctx); err != nil {
		return t.failed(ctx, err)
	}
	t.state.Store(int32(TaskRestoring))
	if err := t.restore(ctx); err != nil {
		return t.failed(ctx, err)
	}
	return nil
}

func (t *task) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil // the task was given up: nobody asks
	}
	return fmt.Errorf("runtime: task %s: %w", t.id, err)
}

// list enumerates the task's input partitions.
func (t *task) list() {
	for i, src := range t.sub.Sources() {
		for _, ref := range src.Topics {
			name := ref.Resolve(t.w.app.cfg.AppID)
			if t.id.Partition < t.w.app.partitions[name] {
				in := &input{source: i, tp: client.TopicPartition{Topic: name, Partition: t.id.Partition}, time: -1, idle: src.Idle}
				in.raw.Topic, in.raw.Partition = name, t.id.Partition
				t.inputs = append(t.inputs, in)
			}
		}
	}
	slices.SortStableFunc(t.inputs, func(a, b *input) int { return strings.Compare(a.tp.Topic, b.tp.Topic) })
}

// findStart fences whoever may still have a transaction with the task's offsets open, and reads where to begin.
func (t *task) findStart(ctx context.Context) error {
	cfg := &t.w.app.cfg
	parts := make([]client.TopicPartition, len(t.inputs))
	for i, in := range t.inputs {
		parts[i] = in.tp
	}
	if cfg.Guarantee == ExactlyOnce {
		if err := t.fence(ctx, parts); err != nil {
			return err
		}
	}
	committed, err := client.FetchOffsets(ctx, t.w.cl, t.w.topics, cfg.AppID, parts, true, cfg.TaskTimeout)
	if err != nil {
		return err
	}
	for _, in := range t.inputs {
		info, err := t.w.topics.Get(ctx, in.tp.Topic)
		if err != nil {
			return fmt.Errorf("topic %s: %w", in.tp.Topic, err)
		}
		in.topicID = info.ID
		if c := committed[in.tp]; c.At >= 0 {
			meta := decodeMetadata(c.Metadata)
			in.start, in.committed, in.time, in.operators = c.At, c.At, meta.time, meta.operators
			continue
		}
		if in.start, err = t.firstOffset(ctx, in); err != nil {
			return err
		}
		in.committed = in.start
	}
	return nil
}

// fence ends the transactions of former owners that are not in the group any more: those that the group remembers, and those that the offsets name, for the case that
// nobody is left who remembers. It is a matter of seconds, not of right or wrong: the stable offsets and the changelog's end are waited for in any case.
func (t *task) fence(ctx context.Context, parts []client.TopicPartition) error {
	ids := slices.Clone(t.grant.Fence)
	before, err := client.FetchOffsets(ctx, t.w.cl, t.w.topics, t.w.app.cfg.AppID, parts, false, t.w.app.cfg.TaskTimeout)
	if err != nil {
		return err
	}
	for _, c := range before {
		if owner := decodeMetadata(c.Metadata).owner; owner != "" {
			ids = append(ids, owner)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if slices.Contains(t.grant.Live, id) || id == t.w.transactional {
			continue
		}
		if err := client.Fence(ctx, t.w.cl, id); err != nil && ctx.Err() == nil {
			t.w.log.Warn("a former owner could not be fenced: its transaction's time-out is waited for", "task", t.id, "transactional_id", id, "error", err)
		}
	}
	return ctx.Err()
}

// firstOffset is where an input begins for which nothing is committed.
func (t *task) firstOffset(ctx context.Context, in *input) (int64, error) {
	src := t.sub.Sources()[in.source]
	ends, err := client.ListEnds(ctx, t.w.cl, in.tp, t.w.app.cfg.TaskTimeout)
	if err != nil {
		return 0, err
	}
	internal := slices.ContainsFunc(src.Topics, func(r topology.TopicRef) bool { return r.Internal })
	ago, byTime := src.Reset.Ago()
	switch {
	case internal || src.Reset == topology.ResetDefault || src.Reset == topology.ResetEarliest:
		return ends.Start, nil
	case src.Reset == topology.ResetLatest:
		t.dirty = true // a successor must begin here too, not at what is latest then
		return ends.LastStable, nil
	case byTime:
		t.dirty = true // as with the latest
		at, err := client.OffsetAt(ctx, t.w.cl, in.tp, time.Now().Add(-ago).UnixMilli(), t.w.app.cfg.TaskTimeout)
		if at < 0 {
			at = ends.LastStable
		}
		return at, err
	}
	return 0, fmt.Errorf("topic %s, partition %d: the group has no committed offset, and the source at %s is set to fail then", in.tp.Topic, in.tp.Partition, src.Site)
}

// restore opens the task's stores and reads the parts of their changelogs that they lack.
func (t *task) restore(ctx context.Context) error {
	a := t.w.app
	a.mu.Lock()
	engines := a.engines
	a.mu.Unlock()
	if engines == nil {
		return context.Canceled
	}
	for _, d := range t.sub.Stores() {
		engine := engines.of(d.Spec)
		part, err := engine.Partition(d.Spec.StoreName(), t.id.Partition)
		if err != nil {
			return fmt.Errorf("store %q: %w", d.Spec.StoreName(), err)
		}
		s := &taskStore{spec: d.Spec, engine: engine, part: part}
		if d.Spec.Changelog().Enabled && d.Source == nil {
			s.changelog = d.Changelog.Resolve(a.cfg.AppID)
		}
		t.stores = append(t.stores, s)
	}
	var jobs []*restoring
	for i, s := range t.stores {
		r, err := t.planRestore(ctx, s, t.sub.Stores()[i])
		if err != nil {
			return fmt.Errorf("store %q: %w", s.spec.StoreName(), err)
		}
		if r != nil {
			jobs = append(jobs, r)
		}
	}
	var remaining int64
	for _, r := range jobs {
		remaining += r.end - r.from
	}
	t.remaining.Store(remaining)
	if len(jobs) == 0 {
		return nil
	}
	select {
	case a.restores <- struct{}{}:
		defer func() { <-a.restores }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return t.readChangelogs(ctx, jobs)
}

// restoring is one store's way to the end of its changelog.
type restoring struct {
	s       *taskStore
	tp      client.TopicPartition
	topicID client.TopicID
	from    int64
	end     int64 // exclusive; read after the former owners were fenced
	wiped   bool
	accepts func(key, value []byte, timestamp int64) bool // nil: everything is the store's
}

// planRestore finds out what a store lacks; nil when it is complete or cannot be restored.
func (t *task) planRestore(ctx context.Context, s *taskStore, d topology.StoreDecl) (*restoring, error) {
	tp := client.TopicPartition{Topic: s.changelog, Partition: t.id.Partition}
	if d.Source != nil {
		tp.Topic = d.Source.Resolve(t.w.app.cfg.AppID)
	}
	if tp.Topic == "" {
		return nil, nil
	}
	info, err := t.w.topics.Get(ctx, tp.Topic)
	if err != nil {
		return nil, fmt.Errorf("changelog topic %s: %w", tp.Topic, err)
	}
	s.topicID = info.ID
	ends, err := t.changelogEnds(ctx, s, tp, d)
	if err != nil {
		return nil, err
	}
	r := &restoring{s: s, tp: tp, topicID: info.ID, from: ends.Start, end: ends.LastStable, accepts: d.Accepts}
	raw, err := s.part.Checkpoint()
	if err != nil {
		return nil, err
	}
	c, ok := decodeCheckpoint(raw)
	switch {
	case ok && c.topic == info.ID && c.next >= ends.Start && c.next <= ends.LastStable:
		r.from, s.next = c.next, c.next
	case raw == nil && !ok:
		r.wiped = true // new: nothing to wipe
	default:
		t.w.log.Warn("a store does not fit its changelog and is restored from the beginning", "task", t.id, "store", s.spec.StoreName(), "topic", tp.Topic, "checkpoint", c.next, "start", ends.Start, "end", ends.LastStable)
		if err := s.part.Wipe(); err != nil {
			return nil, err
		}
		r.wiped = true
	}
	if r.from >= r.end {
		return nil, nil
	}
	return r, nil
}

// changelogEnds returns what of a store's changelog there is to read.
func (t *task) changelogEnds(ctx context.Context, s *taskStore, tp client.TopicPartition, d topology.StoreDecl) (client.Ends, error) {
	if d.Source == nil {
		return t.settledEnds(ctx, tp)
	}
	// The table's own topic: what is beyond the committed offset comes as input. Others write it, and whether they are in a transaction is nothing to the table.
	ends, err := client.ListEnds(ctx, t.w.cl, tp, t.w.app.cfg.TaskTimeout)
	for _, in := range t.inputs {
		if in.tp == tp {
			s.source, ends.LastStable = in, in.start
		}
	}
	return ends, err
}

// unsettledWait is the pause between two looks at a changelog that has an open transaction.
const unsettledWait = 10 * time.Millisecond

// settledEnds returns a changelog's bounds once no transaction is open in it. One writer writes a changelog partition, and that is this task from now on: what is still open is a
// former owner's, decided or fenced but with its marker still to come, or waiting for its time-out. Reading up to the last stable offset before that would miss a transaction
// whose offsets are committed already.
func (t *task) settledEnds(ctx context.Context, tp client.TopicPartition) (client.Ends, error) {
	deadline := time.Now().Add(t.w.app.cfg.TaskTimeout)
	for {
		ends, err := client.ListEnds(ctx, t.w.cl, tp, t.w.app.cfg.TaskTimeout)
		if err != nil || t.w.app.cfg.Guarantee == AtLeastOnce {
			ends.LastStable = ends.HighWatermark
			return ends, err
		}
		if ends.LastStable == ends.HighWatermark {
			return ends, nil
		}
		if time.Now().After(deadline) {
			return ends, fmt.Errorf("topic %s, partition %d: a transaction has been open at offset %d for %v: find and abort it (kafka-transactions.sh find-hanging)", tp.Topic, tp.Partition, ends.LastStable, t.w.app.cfg.TaskTimeout)
		}
		select {
		case <-time.After(unsettledWait):
		case <-ctx.Done():
			return ends, ctx.Err()
		}
	}
}

const (
	restoreFetchBytes = 4 << 20 // per partition: few, large batches
	restoreBatchBytes = 8 << 20 // what goes into the engine at once
)

// readChangelogs reads all jobs to their ends, over connections of its own: a long poll of the worker's fetches must not hold them up.
func (t *task) readChangelogs(ctx context.Context, jobs []*restoring) error {
	a := t.w.app
	cl, err := kgo.NewClient(a.connection("restore")...)
	if err != nil {
		return err
	}
	defer cl.Close()
	f := client.NewFetcher(cl, client.NewTopics(cl), client.FetchConfig{ReadCommitted: a.cfg.Guarantee == ExactlyOnce, PartitionBytes: restoreFetchBytes, Logger: t.w.log})
	defer f.Close()
	for _, r := range jobs {
		begun := time.Now()
		records := t.restored.Load()
		err := t.readChangelog(ctx, f, r)
		if errors.Is(err, client.ErrOffsetOutOfRange) && !r.wiped {
			t.w.log.Warn("the changelog begins after what the store holds: it is restored from the beginning", "task", t.id, "store", r.s.spec.StoreName(), "error", err)
			if err = t.restart(ctx, r); err == nil {
				err = t.readChangelog(ctx, f, r)
			}
		}
		if err != nil {
			return fmt.Errorf("store %q: restoring from topic %s: %w", r.s.spec.StoreName(), r.tp.Topic, err)
		}
		level := slog.LevelInfo
		if t.restored.Load() == records {
			level = slog.LevelDebug // the markers of the last commits, at every start
		}
		t.w.log.Log(ctx, level, "store restored", "task", t.id, "store", r.s.spec.StoreName(), "records", t.restored.Load()-records, "from", r.from, "to", r.end, "took", time.Since(begun).Round(time.Millisecond))
	}
	return nil
}

// restart empties a store and begins with what the changelog begins with now.
func (t *task) restart(ctx context.Context, r *restoring) error {
	if err := r.s.part.Wipe(); err != nil {
		return err
	}
	ends, err := client.ListEnds(ctx, t.w.cl, r.tp, t.w.app.cfg.TaskTimeout)
	r.from, r.wiped = ends.Start, true
	return err
}

// readChangelog reads one changelog to its end, batch by batch into the engine, each with the offset that it reaches: an interrupted restore goes on there.
func (t *task) readChangelog(ctx context.Context, f *client.Fetcher, r *restoring) error {
	restorer, err := r.s.spec.Restore(r.s.part)
	if err != nil {
		return err
	}
	b := r.s.engine.NewBatch()
	defer b.Close()
	c := f.Add(r.tp, r.from)
	defer f.Remove(c)
	var rec record.Record
	for c.Position() < r.end {
		at := c.Position()
		ok, err := c.Next(&rec)
		switch {
		case err != nil:
			return err
		case ok:
			if int64(rec.Offset) >= r.end {
				return t.seal(r, restorer, b, r.end)
			}
			if r.accepts != nil && !r.accepts(rec.Key, rec.Value, rec.Timestamp) {
				continue
			}
			if err := restorer.Add(b, rec.Key, rec.Value, rec.Timestamp); err != nil {
				return err
			}
			t.restored.Add(1)
			t.remaining.Add(at - c.Position())
			if b.Size() >= restoreBatchBytes {
				if err := t.seal(r, restorer, b, c.Position()); err != nil {
					return err
				}
			}
		case c.Position() == at:
			select {
			case <-f.Ready():
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return t.seal(r, restorer, b, r.end)
}

// seal commits a part of a restore.
func (t *task) seal(r *restoring, restorer statestore.Restorer, b statestore.Batch, next int64) error {
	if err := restorer.Seal(b); err != nil {
		return err
	}
	if err := b.SetCheckpoint(r.s.part, checkpoint{topic: r.topicID, next: next, epoch: -1}.encode()); err != nil {
		return err
	}
	r.s.next = next
	return b.Commit()
}
