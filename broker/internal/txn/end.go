package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// EndRequest is EndTxn.
type EndRequest struct {
	ID string
	Identity
	Commit   bool
	Protocol Protocol
}

// EndTxn decides the end of a transaction. When the Changes are committed the decision stands, the answer may be given,
// and the markers are due: see Debt.
func (c *Coordinator) EndTxn(now time.Time, r EndRequest) Step {
	if r.ID == "" {
		return fail(kerr.InvalidRequest)
	}
	m, known := c.ids[r.ID]
	if !known {
		return fail(kerr.InvalidProducerIDMapping)
	}
	if r.Protocol == V1 {
		return c.endV1(now, m.Transaction, r)
	}
	return c.endV2(now, m.Transaction, r)
}

// endV1 knows no repeated request: with one epoch for all transactions it takes the state for what the request means.
func (c *Coordinator) endV1(now time.Time, t *Transaction, r EndRequest) Step {
	switch {
	case r.ProducerID != t.ProducerID:
		return fail(kerr.InvalidProducerIDMapping)
	case r.Epoch != t.Epoch:
		return fail(kerr.ProducerFenced)
	case t.State == Ongoing:
		return c.decide(now, t, r)
	case t.State == Empty || r.Commit != t.committed():
		return fail(kerr.InvalidTxnState)
	case t.State.preparing():
		return waitForMarkers()
	}
	return Step{Reply: Reply{Identity: t.Identity}}
}

// endV2 knows a repeated request by its epoch, which is the one before the bump.
func (c *Coordinator) endV2(now time.Time, t *Transaction, r EndRequest) Step {
	switch {
	case t.repeats(r.Identity) && t.State != Ongoing && t.State != Empty:
		return t.endRepeated(r.Commit)
	case r.ProducerID != t.continues().ProducerID && r.ProducerID != t.ProducerID:
		return fail(kerr.InvalidProducerIDMapping)
	case r.Identity != t.continues():
		return fail(kerr.ProducerFenced)
	case t.State.preparing():
		return waitForMarkers()
	case t.State != Ongoing && r.Commit:
		return fail(kerr.InvalidTxnState)
	}
	// Ongoing; or an abort without a transaction: the client may not know whether its produce began one.
	return c.decide(now, t, r)
}

func (t *Transaction) endRepeated(commit bool) Step {
	switch {
	case t.TimedOut && commit:
		// The coordinator was quicker. The producer must not take this for a state it can go on from.
		return fail(kerr.ProducerFenced)
	case commit != t.committed():
		return fail(kerr.InvalidTxnState)
	case t.State.preparing():
		return waitForMarkers()
	}
	return Step{Reply: Reply{Identity: t.Identity}}
}

func (t *Transaction) committed() bool { return t.State == PrepareCommit || t.State == CompleteCommit }

func (c *Coordinator) decide(now time.Time, t *Transaction, r EndRequest) Step {
	to := PrepareAbort
	if r.Commit {
		to = PrepareCommit
	}
	next := t.successor(now, to)
	next.Protocol = r.Protocol
	if t.State != Ongoing {
		next.Partitions, next.Start, next.Previous = nil, millis(now), NoProducerID
	}
	next.TimedOut = false
	if r.Protocol == V1 {
		return Step{Changes: prepared(now, next), Reply: Reply{Identity: next.Identity}}
	}
	if err := c.bump(next); err != nil {
		return fail(kafkaError(err))
	}
	return Step{Changes: prepared(now, next), Reply: Reply{Identity: next.continues()}}
}

// bump gives t the epoch after its own and remembers the one before, so that the producer's repeated request is known.
// A producer whose epochs are used up goes on with a new id; its markers still carry the old one.
func (c *Coordinator) bump(t *Transaction) error {
	if t.Epoch.exhausted() {
		pid, err := c.cfg.NewProducerID()
		if err != nil {
			return err
		}
		t.Next = pid
	}
	t.Last = t.Epoch
	t.Epoch++
	return nil
}

// fence aborts the open transaction t without its producer's request, under an epoch above the producer's. In protocol 2
// the producer may learn how it goes on (told); otherwise the epoch is nobody's.
func (c *Coordinator) fence(now time.Time, t *Transaction, told bool) (*Transaction, error) {
	next := t.successor(now, PrepareAbort)
	if told && t.Protocol != V1 {
		return next, c.bump(next)
	}
	next.Last = NoEpoch
	if next.Epoch <= lastEpoch { // always so: nobody gets a higher one
		next.Epoch++
	}
	return next, nil
}

// prepared adds the completion at once when nobody needs a marker.
func prepared(now time.Time, t *Transaction) []Change {
	changes := []Change{{t.ID, t}}
	if len(t.Partitions) == 0 {
		changes = append(changes, completed(now, t))
	}
	return changes
}

func completed(now time.Time, t *Transaction) Change {
	to := CompleteAbort
	if t.State == PrepareCommit {
		to = CompleteCommit
	}
	next := t.successor(now, to)
	next.Partitions = nil
	if t.Next != NoProducerID {
		next.Previous = t.ProducerID
		next.Identity = t.continues()
		next.Next = NoProducerID
	}
	return Change{t.ID, next}
}
