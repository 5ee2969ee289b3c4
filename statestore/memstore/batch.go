package memstore

import (
	"bytes"
	"fmt"

	"github.com/millrace-io/millrace/statestore"
)

// batch collects operations as bytes and plays them at Commit. Owned by one goroutine.
type batch struct {
	engine *Engine
	ops    []op
	data   []byte // keys and values of ops, one after another
}

// op is one operation; its bytes are data[at:][:a] and the b bytes after them.
type op struct {
	partition *partition
	kind      kind
	at        int
	a, b      int // -1 is nil
}

type kind uint8

const (
	opSet kind = iota
	opDelete
	opDeleteRange
	opCheckpoint
)

// own returns the engine's own partition behind p.
func (b *batch) own(p statestore.Partition) (*partition, error) {
	h, ok := p.(*handle)
	if !ok || h.engine != b.engine {
		return nil, fmt.Errorf("memstore: a batch got a partition of another engine (%T)", p)
	}
	return h.partition, h.usable()
}

func (b *batch) add(p statestore.Partition, k kind, x, y []byte) error {
	own, err := b.own(p)
	if err != nil {
		return err
	}
	o := op{partition: own, kind: k, at: len(b.data), a: len(x), b: len(y)}
	if x == nil {
		o.a = -1
	}
	if y == nil {
		o.b = -1
	}
	b.data = append(append(b.data, x...), y...)
	b.ops = append(b.ops, o)
	return nil
}

func (b *batch) bytes(o op) (x, y []byte) {
	at := o.at
	if o.a >= 0 {
		x = b.data[at : at+o.a : at+o.a]
		at += o.a
	}
	if o.b >= 0 {
		y = b.data[at : at+o.b : at+o.b]
	}
	return x, y
}

func (b *batch) Set(p statestore.Partition, key, value []byte) error {
	return b.add(p, opSet, key, value)
}

func (b *batch) Delete(p statestore.Partition, key []byte) error {
	return b.add(p, opDelete, key, nil)
}

func (b *batch) DeleteRange(p statestore.Partition, lo, hi []byte) error {
	return b.add(p, opDeleteRange, lo, hi)
}

func (b *batch) SetCheckpoint(p statestore.Partition, checkpoint []byte) error {
	return b.add(p, opCheckpoint, checkpoint, nil)
}

func (b *batch) Size() int { return len(b.data) }

// result is what a batch makes of one partition.
type result struct {
	editor
	checkpoint    []byte
	setCheckpoint bool
}

func (b *batch) Commit() error {
	e := b.engine
	e.commits.Lock()
	defer e.commits.Unlock()
	e.mu.Lock()
	closed := e.mu.closed
	e.mu.Unlock()
	if closed {
		return errClosed
	}
	e.edit++
	results := make(map[*partition]*result)
	for i, last := 0, (*result)(nil); i < len(b.ops); i++ {
		o := b.ops[i]
		if i == 0 || o.partition != b.ops[i-1].partition {
			if last = results[o.partition]; last == nil {
				last = &result{editor: editor{edit: e.edit, root: o.partition.snapshot()}}
				results[o.partition] = last
			}
		}
		b.play(o, last)
	}
	e.publish.Lock()
	for p, r := range results {
		p.root = r.root
		if r.setCheckpoint {
			p.checkpoint = r.checkpoint
		}
	}
	e.publish.Unlock()
	b.reset()
	return nil
}

func (b *batch) play(o op, r *result) {
	x, y := b.bytes(o)
	switch o.kind {
	case opSet:
		r.set(x, y)
	case opDelete:
		r.deleteRange(x, append(bytes.Clone(x), 0))
	case opDeleteRange:
		r.deleteRange(x, y)
	case opCheckpoint:
		r.setCheckpoint, r.checkpoint = true, append([]byte{}, x...)
	}
}

// keptBytes is how much memory a batch keeps for its next use.
const keptBytes = 1 << 20

func (b *batch) reset() {
	clear(b.ops)
	b.ops, b.data = b.ops[:0], b.data[:0]
	if cap(b.data) > keptBytes {
		b.ops, b.data = nil, nil
	}
}

func (b *batch) Close() error {
	b.ops, b.data = nil, nil
	return nil
}
