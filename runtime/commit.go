package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/record"
	"github.com/millrace-io/millrace/statestore"
)

// commit makes everything since the last one count, in the order that exactly-once stands on:
//
//	write-back caches ▶ changelogs ▶ producer flushed, offsets sent ▶ the transaction ends ▶ state into the engine, with the changelog offsets
//
// An error before the transaction's end takes all of it back. A crash after it is made good by the changelogs' tails. Called with mu held.
func (w *worker) commit() error {
	ctx, cancel := context.WithTimeout(w.life, w.app.cfg.TaskTimeout)
	defer cancel()
	if err := w.flushTasks(); err != nil {
		return err
	}
	offsets := w.offsets()
	if err := w.flushAndCommitOffsets(ctx, offsets); err != nil {
		return fmt.Errorf("runtime: commit: %w", err)
	}
	if err := w.producer.End(ctx, true); err != nil {
		return fmt.Errorf("runtime: commit: %w", err)
	}
	if err := w.applyState(); err != nil {
		return err
	}
	w.committed(offsets)
	return nil
}

// flushAndCommitOffsets returns when all records are acknowledged and the offsets are with the group. In a transaction neither counts before its end, and so they go
// side by side, which saves a round trip of every commit. Without a transaction the offsets count at once and must wait for the records. Under transaction
// protocol 1 they wait too: offsets that come late, after a failure has ended the transaction, could slip into the next one.
func (w *worker) flushAndCommitOffsets(ctx context.Context, offsets []offsetOf) error {
	if w.app.cfg.Guarantee != ExactlyOnce || !w.app.features.Transactions2 {
		if err := w.producer.Flush(ctx); err != nil {
			return err
		}
		return w.commitOffsets(ctx, offsets)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- w.commitOffsets(ctx, offsets) }()
	if err := w.producer.Flush(ctx); err != nil {
		cancel()
		<-sent
		return err
	}
	return <-sent
}

// flushTasks brings all that the tasks hold back into the producer.
func (w *worker) flushTasks() error {
	for _, t := range w.order {
		if !t.running() || !t.dirty {
			continue
		}
		if err := t.topo.Flush(); err != nil {
			return err
		}
		for _, s := range t.stores {
			if err := w.appendChangelog(t, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *worker) appendChangelog(t *task, s *taskStore) error {
	if s.changelog == "" {
		return nil
	}
	if s.topic == nil {
		topic, err := w.topic(s.changelog)
		if err != nil {
			return err
		}
		if topic.ID != s.topicID {
			return fmt.Errorf("runtime: topic %s: %w", s.changelog, client.ErrTopicChanged)
		}
		s.topic = topic
	}
	var marks []record.Header
	for _, h := range s.spec.Changelog().Headers {
		marks = append(marks, record.Header(h))
	}
	err := s.store.Changelog(func(key, value []byte, timestamp int64) error {
		headers := marks
		if value == nil {
			headers = nil
		}
		return w.producer.Append(s.topic, t.id.Partition, timestamp, key, value, headers)
	})
	if err != nil {
		return fmt.Errorf("runtime: changelog of store %q: %w", s.spec.StoreName(), err)
	}
	return nil
}

// offsetOf is an offset on its way, with the input that it belongs to.
type offsetOf struct {
	in *input
	client.Offset
}

// offsets returns what the inputs of the dirty tasks have come to. It is never empty while something is dirty: the offsets, unchanged ones too, carry the generation that keeps
// a worker which is no longer in the group from committing anything.
func (w *worker) offsets() []offsetOf {
	owner := ""
	if w.app.cfg.Guarantee == ExactlyOnce {
		owner = w.transactional
	}
	var all []offsetOf
	for _, t := range w.order {
		if !t.running() || !t.dirty {
			continue
		}
		operators := t.topo.Metadata()
		for _, in := range t.inputs {
			meta := offsetMetadata{time: in.time, owner: owner, operators: operators}
			all = append(all, offsetOf{in, client.Offset{
				Topic: in.tp.Topic, TopicID: in.topicID, Partition: in.tp.Partition, At: in.position(), Epoch: in.cursor.Epoch(), Metadata: meta.encode(),
			}})
		}
	}
	slices.SortStableFunc(all, func(a, b offsetOf) int { return strings.Compare(a.Topic, b.Topic) })
	return all
}

// A commit that meets a rebalance waits for it: generationWait between two looks, generationLimit in all.
const (
	generationWait  = 5 * time.Millisecond
	generationLimit = 3 * time.Second
)

// commitOffsets puts the offsets into the transaction, or commits them where there is none. While the worker's member id stays, the tasks are still its own, and a new generation
// only needs the offsets to be sent again with its number.
func (w *worker) commitOffsets(ctx context.Context, offsets []offsetOf) error {
	list := make([]client.Offset, len(offsets))
	for i := range offsets {
		list[i] = offsets[i].Offset
	}
	first, _ := w.cl.GroupMetadata()
	deadline := time.Now().Add(generationLimit)
	for {
		id, generation := w.cl.GroupMetadata()
		if id == "" || id != first {
			return client.ErrRebalanced
		}
		m := client.Member{Group: w.app.cfg.AppID, ID: id, Generation: generation, InstanceID: w.instanceID()}
		var err error
		if w.app.cfg.Guarantee == ExactlyOnce {
			err = w.producer.SendOffsets(ctx, m, list)
		} else {
			err = client.CommitOffsets(ctx, w.cl, m, list, w.app.cfg.TaskTimeout)
		}
		if err == nil || !errors.Is(err, client.ErrGeneration) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(generationWait):
		case <-ctx.Done():
			return err
		}
	}
}

// applyState writes what was committed into the engines: one atomic batch each, with how far of the changelogs it reaches.
func (w *worker) applyState() error {
	var used []statestore.Engine
	for _, t := range w.order {
		if !t.running() || !t.dirty {
			continue
		}
		for _, s := range t.stores {
			b := w.batches[s.engine]
			if b == nil {
				b = s.engine.NewBatch()
				w.batches[s.engine] = b
			}
			if !slices.Contains(used, s.engine) {
				used = append(used, s.engine)
			}
			if err := w.stage(t, s, b); err != nil {
				return fmt.Errorf("runtime: store %q: %w", s.spec.StoreName(), err)
			}
		}
	}
	for _, e := range used {
		if err := w.batches[e].Commit(); err != nil {
			return fmt.Errorf("runtime: state: %w", err)
		}
	}
	return nil
}

func (w *worker) stage(t *task, s *taskStore, b statestore.Batch) error {
	if err := s.store.Stage(b); err != nil {
		return err
	}
	var end int64
	switch {
	case s.source != nil:
		end = s.source.position()
	case s.topic != nil:
		end = w.producer.Acked(s.topic, t.id.Partition)
	}
	if end <= s.next {
		return nil // nothing new
	}
	s.next = end
	return b.SetCheckpoint(s.part, checkpoint{topic: s.topicID, next: end, epoch: -1}.encode())
}

// committed notes that all is done.
func (w *worker) committed(offsets []offsetOf) {
	for _, o := range offsets {
		o.in.committed = o.At
	}
	for _, t := range w.order {
		if !t.running() || !t.dirty {
			continue
		}
		for _, s := range t.stores {
			s.store.Committed()
		}
		w.app.tally.add(t.id, t.processed, t.drops)
		t.dirty, t.processed = false, 0
		clear(t.drops)
	}
	w.commits++
	w.commitAt = time.Now()
	w.wanted = false
	w.resets = resets{}
	w.calm()
}
