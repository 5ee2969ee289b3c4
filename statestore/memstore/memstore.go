package memstore

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/statestore"
)

var _ statestore.Engine = (*Engine)(nil)

// Engine is a statestore.Engine in memory.
type Engine struct {
	mu struct {
		sync.Mutex
		closed     bool
		partitions map[partitionID]*partition
	}
	// commits serialises batches, so that each sees what the one before it published. Order: commits, then mu.
	commits sync.Mutex
	edit    uint64 // guarded by commits
	// publish is held for writing while the roots of one batch change places. Readers of several partitions are not promised one cut, readers of one are.
	publish sync.RWMutex
}

type partitionID struct {
	store     string
	partition int32
}

// partition is data that outlives its handles.
type partition struct {
	engine *Engine
	id     partitionID
	open   atomic.Bool

	root       *node  // guarded by engine.publish
	checkpoint []byte // guarded by engine.publish; nil: none. Replaced, never changed.
}

// New returns an empty engine.
func New() *Engine {
	e := &Engine{}
	e.mu.partitions = make(map[partitionID]*partition)
	return e
}

var errClosed = errors.New("memstore: the engine is closed")

// Partition opens a partition, which is empty the first time.
func (e *Engine) Partition(store string, number int32) (statestore.Partition, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return nil, errClosed
	}
	id := partitionID{store, number}
	p := e.mu.partitions[id]
	if p == nil {
		p = &partition{engine: e, id: id, root: newLeaf(0)}
		e.mu.partitions[id] = p
	}
	if !p.open.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("memstore: partition %d of store %q is open already", number, store)
	}
	return &handle{partition: p}, nil
}

// NewBatch returns an empty batch.
func (e *Engine) NewBatch() statestore.Batch { return &batch{engine: e} }

// Flush has nothing to do.
func (e *Engine) Flush() error { return nil }

// Close drops everything.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.closed = true
	clear(e.mu.partitions)
	return nil
}

// handle is a partition from Partition to Close.
type handle struct {
	*partition
	closed atomic.Bool
}

func (p *partition) snapshot() *node {
	p.engine.publish.RLock()
	defer p.engine.publish.RUnlock()
	return p.root
}

func (p *partition) Get(dst, key []byte) ([]byte, bool, error) {
	v, found := p.snapshot().get(key)
	return append(dst, v...), found, nil
}

func (p *partition) Scan(lo, hi []byte, reverse bool) (statestore.Iterator, error) {
	return newIterator(p.snapshot(), lo, hi, reverse), nil
}

func (p *partition) Checkpoint() ([]byte, error) {
	p.engine.publish.RLock()
	defer p.engine.publish.RUnlock()
	return bytes.Clone(p.checkpoint), nil
}

func (h *handle) Wipe() error {
	if err := h.usable(); err != nil {
		return err
	}
	p, e := h.partition, h.engine
	e.commits.Lock()
	defer e.commits.Unlock()
	e.publish.Lock()
	defer e.publish.Unlock()
	p.root, p.checkpoint = newLeaf(0), nil
	return nil
}

// usable returns an error when the handle was closed: the partition may be another's by now.
func (h *handle) usable() error {
	if h.closed.Load() {
		return fmt.Errorf("memstore: partition %d of store %q is closed", h.id.partition, h.id.store)
	}
	return nil
}

func (h *handle) Close() error {
	if h.closed.CompareAndSwap(false, true) {
		h.open.Store(false)
	}
	return nil
}
