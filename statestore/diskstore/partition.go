package diskstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace-io/millrace/statestore"
)

// partition is one partition of one store from Engine.Partition to Close. Reads may come from any goroutine.
type partition struct {
	engine *Engine
	id     partitionID
	number uint32
	lower  [numberBytes]byte // keys of the partition lie in [lower, upper)
	upper  [numberBytes]byte
	closed atomic.Bool
}

func newPartition(e *Engine, id partitionID, n uint32) *partition {
	p := &partition{engine: e, id: id, number: n}
	binary.BigEndian.PutUint32(p.lower[:], n)
	binary.BigEndian.PutUint32(p.upper[:], n+1)
	return p
}

func (p *partition) fail(doing string, err error) error {
	return fmt.Errorf("diskstore: %s: partition %d of store %q: %s: %w", p.engine.dir, p.id.partition, p.id.store, doing, err)
}

// keyOnStack is the length of keys that a read builds without an allocation.
const keyOnStack = 128

func (p *partition) Get(dst, key []byte) (value []byte, found bool, err error) {
	if err := p.engine.enter(); err != nil {
		return dst, false, err
	}
	defer p.engine.users.Done()
	var buf [keyOnStack]byte
	return p.get(dst, append(append(buf[:0], p.lower[:]...), key...), "get")
}

func (p *partition) get(dst, key []byte, doing string) ([]byte, bool, error) {
	v, closer, err := p.engine.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, p.fail(doing, err)
	}
	dst = append(dst, v...)
	if err := closer.Close(); err != nil {
		return dst, false, p.fail(doing, err)
	}
	return dst, true, nil
}

func (p *partition) Checkpoint() ([]byte, error) {
	if err := p.engine.enter(); err != nil {
		return nil, err
	}
	defer p.engine.users.Done()
	c, found, err := p.get([]byte{}, checkpointKey(p.number), "read the checkpoint")
	if !found {
		return nil, err
	}
	return c, err
}

func (p *partition) Wipe() error {
	b := p.engine.NewBatch()
	err := b.DeleteRange(p, nil, nil)
	if err == nil {
		err = b.(*batch).deleteCheckpoint(p)
	}
	if err == nil {
		err = b.Commit()
	}
	return errors.Join(err, b.Close())
}

func (p *partition) Close() error {
	if !p.closed.CompareAndSwap(false, true) {
		return nil
	}
	e := p.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.mu.open, p.number)
	return nil
}

// bounds returns [lo, hi) within the partition as keys of the database.
func (p *partition) bounds(lo, hi []byte) (lower, upper []byte) {
	lower = append(p.lower[:numberBytes:numberBytes], lo...)
	if hi == nil {
		return lower, p.upper[:]
	}
	return lower, append(p.lower[:numberBytes:numberBytes], hi...)
}

func (p *partition) Scan(lo, hi []byte, reverse bool) (statestore.Iterator, error) {
	e := p.engine
	if err := e.enter(); err != nil {
		return nil, err
	}
	lower, upper := p.bounds(lo, hi)
	it, epoch, err := e.idle.get(e.db, lower, upper)
	if err != nil {
		e.users.Done()
		return nil, p.fail("scan", err)
	}
	return &iterator{p: p, it: it, epoch: epoch, reverse: reverse}, nil
}
