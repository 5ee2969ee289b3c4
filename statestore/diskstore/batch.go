package diskstore

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace-io/millrace/statestore"
)

// batch is a Pebble batch whose keys get their partition's number. Owned by one goroutine.
type batch struct {
	engine *Engine
	b      *pebble.Batch // nil until the first write
}

// maxEntryBytes bounds a key and its value together: Pebble holds a memtable entry and a batch in 32-bit offsets.
const maxEntryBytes = 1 << 30

// keptBatchBytes is how much memory a batch keeps for its next use: a commit of some ten thousand entries. Growing it anew each time costs as much as filling it.
const keptBatchBytes = 8 << 20

// own returns the engine's own partition behind p, and makes the batch ready.
func (b *batch) own(p statestore.Partition, size int) (*partition, error) {
	own, ok := p.(*partition)
	if !ok || own.engine != b.engine {
		return nil, fmt.Errorf("diskstore: a batch got a partition of another engine (%T)", p)
	}
	if own.closed.Load() {
		return nil, own.fail("write", errors.New("the partition is closed"))
	}
	if size > maxEntryBytes {
		return nil, own.fail("write", fmt.Errorf("an entry of %d bytes, the limit is %d", size, maxEntryBytes))
	}
	if b.b == nil {
		b.b = b.engine.db.NewBatch(pebble.WithMaxRetainedSizeBytes(keptBatchBytes))
	}
	return own, nil
}

func (b *batch) Set(p statestore.Partition, key, value []byte) error {
	own, err := b.own(p, len(key)+len(value))
	if err != nil {
		return err
	}
	op := b.b.SetDeferred(numberBytes+len(key), len(value))
	copy(op.Key, own.lower[:])
	copy(op.Key[numberBytes:], key)
	copy(op.Value, value)
	return op.Finish()
}

func (b *batch) Delete(p statestore.Partition, key []byte) error {
	own, err := b.own(p, len(key))
	if err != nil {
		return err
	}
	op := b.b.DeleteDeferred(numberBytes + len(key))
	copy(op.Key, own.lower[:])
	copy(op.Key[numberBytes:], key)
	return op.Finish()
}

func (b *batch) DeleteRange(p statestore.Partition, lo, hi []byte) error {
	own, err := b.own(p, len(lo)+len(hi))
	if err != nil {
		return err
	}
	lower, upper := own.bounds(lo, hi)
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	return b.b.DeleteRange(lower, upper, nil)
}

func (b *batch) SetCheckpoint(p statestore.Partition, checkpoint []byte) error {
	own, err := b.own(p, len(checkpoint))
	if err != nil {
		return err
	}
	return b.b.Set(checkpointKey(own.number), checkpoint, nil)
}

func (b *batch) deleteCheckpoint(p *partition) error {
	return b.b.Delete(checkpointKey(p.number), nil)
}

func (b *batch) Size() int {
	if b.b == nil {
		return 0
	}
	return b.b.Len()
}

func (b *batch) Commit() error {
	e := b.engine
	if err := e.enter(); err != nil {
		return err
	}
	defer e.users.Done()
	if err := e.failure.get(); err != nil {
		return fmt.Errorf("diskstore: %s: commits cannot be written to disk: %w", e.dir, err)
	}
	if b.b == nil {
		return nil
	}
	if err := e.db.Apply(b.b, pebble.NoSync); err != nil {
		return fmt.Errorf("diskstore: %s: commit: %w", e.dir, err)
	}
	e.idle.clear()
	b.b.Reset()
	if e.flushing.due(e.options.Now(), e.options.FlushInterval) {
		if _, err := e.db.AsyncFlush(); err != nil {
			return fmt.Errorf("diskstore: %s: flush: %w", e.dir, err)
		}
	}
	return nil
}

func (b *batch) Close() error {
	if b.b == nil {
		return nil
	}
	err := b.b.Close()
	b.b = nil
	return err
}
