package transactions

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/txn"
)

// Allocate takes a block of producer ids, [first, first+count), that nobody was given before, and returns when that is
// durable.
type Allocate func(ctx context.Context) (first, count int64, err error)

// producerIDs gives out the ids of the blocks that this broker was given. What is left of a block at a crash is lost: no
// id is ever given twice.
type producerIDs struct {
	allocate Allocate

	refill chan struct{} // holds a token: whoever has it asks for a block

	mu struct {
		sync.Mutex
		next, end int64 // [next, end) is left
	}
}

func newProducerIDs(allocate Allocate) *producerIDs {
	p := &producerIDs{allocate: allocate, refill: make(chan struct{}, 1)}
	p.refill <- struct{}{}
	return p
}

// take returns an id that is at hand. It never blocks: the machine calls it under its shard's lock.
func (p *producerIDs) take() (txn.ProducerID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.next == p.mu.end {
		return txn.NoProducerID, errNoIDs
	}
	p.mu.next++
	return txn.ProducerID(p.mu.next - 1), nil
}

// errNoIDs is what the client gets when the next block does not come in time: it asks again.
var errNoIDs = kerr.CoordinatorLoadInProgress

// reserve returns when an id is at hand, at least for a moment.
func (p *producerIDs) reserve(ctx context.Context) error {
	if p.left() > 0 {
		return nil
	}
	select {
	case <-p.refill:
	case <-ctx.Done():
		return errNoIDs
	}
	defer func() { p.refill <- struct{}{} }()
	if p.left() > 0 {
		return nil // somebody else got a block meanwhile
	}
	first, count, err := p.allocate(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.mu.next, p.mu.end = first, first+count
	p.mu.Unlock()
	return nil
}

func (p *producerIDs) left() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.end - p.mu.next
}

// get returns an id, of a new block if need be.
func (p *producerIDs) get(ctx context.Context) (txn.ProducerID, error) {
	for {
		if id, err := p.take(); err == nil {
			return id, nil
		}
		if err := p.reserve(ctx); err != nil {
			return txn.NoProducerID, err
		}
	}
}
