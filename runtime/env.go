package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/record"
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// env is what a task's operators see of the runtime. It is used on the worker's goroutine, under the worker's mu.
type env struct {
	t       *task
	sinks   sinks
	headers []record.Header // memory for Send
	spread  uint32          // where records without a key go
}

// spreadRun is how many records without a key go to one partition before the next one's turn: batches fill, and no partition stays behind.
const spreadRun = 256

func (e *env) TaskID() topology.TaskID { return e.t.id }

// Context is what the user's functions get: it ends with the worker.
func (e *env) Context() context.Context { return e.t.w.life }

// OpenStore hands out a partition that prepare has restored.
func (e *env) OpenStore(spec statestore.Spec) (statestore.Store, error) {
	for _, s := range e.t.stores {
		if s.spec.StoreName() != spec.StoreName() {
			continue
		}
		store, err := spec.Open(statestore.Backend{
			Partition: s.part, CacheBytes: e.t.w.app.storeBytes, WriteBack: !e.t.w.app.cfg.EveryChange, HoldBytes: e.t.w.app.cfg.HoldBytes,
			StreamTime: func() int64 {
				if e.t.topo == nil {
					return -1
				}
				return e.t.topo.StreamTime()
			},
		})
		if err != nil {
			return nil, err
		}
		s.store = store
		return store, nil
	}
	return nil, fmt.Errorf("store %q is not one of task %s", spec.StoreName(), e.t.id)
}

// Global hands out what holds a global table.
func (e *env) Global(store string) ([]statestore.Partition, error) {
	a := e.t.w.app
	a.mu.Lock()
	g := a.globals
	a.mu.Unlock()
	if parts, ok := g.partitions(store); ok {
		return parts, nil
	}
	return nil, fmt.Errorf("the global table of store %q is not open", store)
}

func (e *env) Partitions(ref topology.TopicRef) (int32, error) {
	t, err := e.sink(ref)
	if err != nil {
		return 0, err
	}
	return t.Partitions(), nil
}

// sink finds a topic's handle.
func (e *env) sink(ref topology.TopicRef) (*client.Topic, error) {
	if t := e.sinks.find(ref); t != nil {
		return t, nil
	}
	t, err := e.t.w.topic(ref.Resolve(e.t.w.app.cfg.AppID))
	if err != nil {
		return nil, err
	}
	e.sinks.add(ref, t)
	return t, nil
}

// topic returns the producer's handle of a topic.
func (w *worker) topic(name string) (*client.Topic, error) {
	ctx, cancel := context.WithTimeout(w.life, w.app.cfg.StartTimeout)
	defer cancel()
	t, err := w.producer.Topic(ctx, name)
	if err != nil {
		return nil, err
	}
	if n := w.app.maxBytes[name]; n > 0 {
		t.Limit(n)
	}
	return t, nil
}

// Send appends to the producer's open batch of the partition.
func (e *env) Send(ref topology.TopicRef, partition int32, r *topology.RawRecord) error {
	t, err := e.sink(ref)
	if err != nil {
		return err
	}
	if partition < 0 {
		if r.Key == nil {
			partition = int32(e.spread / spreadRun % uint32(t.Partitions()))
			e.spread++
		} else {
			partition = int32(record.Partition(r.Key, int(t.Partitions())))
		}
	}
	var headers []record.Header
	if len(r.Headers) > 0 {
		e.headers = e.headers[:0]
		for _, h := range r.Headers {
			e.headers = append(e.headers, record.Header(h))
		}
		headers = e.headers
	}
	err = e.t.w.producer.Append(t, partition, r.Timestamp, r.Key, r.Value, headers)
	if errors.Is(err, client.ErrRecordTooLarge) {
		return fmt.Errorf("%w: %w", topology.ErrRejected, err)
	}
	return err
}

func (e *env) Now() int64 { return time.Now().UnixMilli() }

// RequestCommit makes the worker commit after the record in process.
func (e *env) RequestCommit() { e.t.w.wanted, e.t.dirty = true, true }

func (e *env) Dropped(node string, reason topology.DropReason) {
	e.t.drops[dropKey{node, reason}]++
}

// Faults is how the application handles records that fail.
func (e *env) Faults() *topology.FaultPolicy { return &e.t.w.app.cfg.Faults }
