package groups

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/group"
)

// guard watches over a transactional commit from before the transaction's coordinator is asked until the offsets are
// written. A marker of the transaction that comes in between voids it: what was confirmed is over, and the offsets would
// be pending for ever (T8).
type guard struct {
	producer entry.Producer
	bumped   bool // protocol 2: a marker carries the epoch after its transaction's
	void     bool // under Coordinator.mu
}

// CommitInTransaction stores offsets that count when the transaction of r.Producer commits. confirm asks the transaction's
// coordinator whether this partition of __consumer_offsets is part of it; bumped says that the producer speaks protocol 2.
func (c *Coordinator) CommitInTransaction(ctx context.Context, r *group.CommitRequest, bumped bool, confirm func(context.Context) error) error {
	g := &guard{producer: r.Producer, bumped: bumped}
	c.mu.Lock()
	c.mu.guards[g] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.mu.guards, g)
		c.mu.Unlock()
	}()
	if err := confirm(ctx); err != nil {
		return err
	}
	return c.commit(ctx, r, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case g.void && bumped:
			return kerr.InvalidProducerEpoch
		case g.void:
			return kerr.InvalidTxnState
		}
		return nil
	})
}

// voidGuards is called before a marker is written. There are as many guards as transactional commits in process.
func (c *Coordinator) voidGuards(m entry.Marker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for g := range c.mu.guards {
		if g.producer.ID == m.ID && (!g.bumped || g.producer.Epoch < m.Epoch) {
			g.void = true
		}
	}
}
