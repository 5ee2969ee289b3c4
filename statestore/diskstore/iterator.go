package diskstore

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// iterator is a walk over a partition. Owned by one goroutine.
type iterator struct {
	p       *partition
	it      *pebble.Iterator // nil after Close
	epoch   uint64
	reverse bool
	begun   bool
	value   []byte
	err     error
}

func (i *iterator) Next() bool {
	if i.it == nil || i.err != nil {
		return false
	}
	ok := false
	switch {
	case !i.begun && i.reverse:
		ok = i.it.Last()
	case !i.begun:
		ok = i.it.First()
	case i.reverse:
		ok = i.it.Prev()
	default:
		ok = i.it.Next()
	}
	i.begun = true
	if !ok {
		i.err = i.it.Error()
		return false
	}
	if i.value, i.err = i.it.ValueAndErr(); i.err != nil {
		return false
	}
	return true
}

func (i *iterator) Key() []byte   { return i.it.Key()[numberBytes:] }
func (i *iterator) Value() []byte { return i.value }

func (i *iterator) Close() error {
	if i.it == nil {
		return nil
	}
	it := i.it
	i.it = nil
	defer i.p.engine.users.Done()
	if i.err != nil {
		it.Close() // reports the same error again
		return i.p.fail("scan", i.err)
	}
	if err := i.p.engine.idle.put(it, i.epoch); err != nil {
		return i.p.fail("scan", err)
	}
	return nil
}

// maxIdleIterators is how many iterators wait for their next use; a task walks over few stores at once.
const maxIdleIterators = 8

// iteratorPool keeps iterators between two commits, since making one costs more than a seek. An iterator shows the database as of its making and keeps alive what
// it sees, so every commit empties the pool.
type iteratorPool struct {
	mu    sync.Mutex
	epoch uint64             // guarded by mu; commits so far
	idle  []*pebble.Iterator // guarded by mu
}

// get returns an iterator over [lower, upper) that sees all that is committed.
func (p *iteratorPool) get(db *pebble.DB, lower, upper []byte) (*pebble.Iterator, uint64, error) {
	p.mu.Lock()
	epoch := p.epoch
	if n := len(p.idle); n > 0 {
		it := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		it.SetBounds(nil, nil) // Pebble trusts an old position when the bounds are the same
		it.SetBounds(lower, upper)
		return it, epoch, nil
	}
	p.mu.Unlock()
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	return it, epoch, err
}

// put takes an iterator back, or closes it when a commit came in between.
func (p *iteratorPool) put(it *pebble.Iterator, epoch uint64) error {
	p.mu.Lock()
	if epoch == p.epoch && len(p.idle) < maxIdleIterators {
		p.idle = append(p.idle, it)
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	return it.Close()
}

// clear closes all idle iterators. Errors of an iterator were reported to who walked with it.
func (p *iteratorPool) clear() {
	p.mu.Lock()
	p.epoch++
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, it := range idle {
		it.Close()
	}
}
