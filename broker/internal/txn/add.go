package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// AddRequest adds partitions to the producer's transaction, which begins with the first of them.
type AddRequest struct {
	ID string
	Identity
	Partitions []TopicPartition // not kept
	Protocol   Protocol
}

// AddPartitions answers when the partitions are in the log: from then on they will get a marker.
func (c *Coordinator) AddPartitions(now time.Time, r AddRequest) Step {
	t, step, ok := c.identify(r.ID, r.Identity)
	if !ok {
		return step
	}
	if len(r.Partitions) == 0 || t.State == Ongoing && t.has(r.Partitions) {
		return Step{Reply: Reply{Identity: None}}
	}
	next := t.successor(now, Ongoing)
	next.Protocol = r.Protocol
	next.Partitions = t.with(r.Partitions)
	if t.State != Ongoing {
		next.Partitions = (&Transaction{}).with(r.Partitions)
		next.Start = millis(now)
		next.Previous = NoProducerID
		next.TimedOut = false
	}
	return Step{Changes: []Change{{r.ID, next}}, Reply: Reply{Identity: None}}
}

// VerifyPartitions says for each partition whether it is in the producer's transaction: nil, or TRANSACTION_ABORTABLE. The
// step's error speaks for all of them.
func (c *Coordinator) VerifyPartitions(r AddRequest) ([]error, Step) {
	t, step, ok := c.identify(r.ID, r.Identity)
	if !ok {
		return nil, step
	}
	errs := make([]error, len(r.Partitions))
	for i := range r.Partitions {
		if t.State != Ongoing || !t.has(r.Partitions[i:i+1]) {
			errs[i] = kerr.TransactionAbortable
		}
	}
	return errs, Step{Reply: Reply{Identity: None}}
}

// identify finds the transaction of a producer that wants to write in it. ok is false when step is the answer.
func (c *Coordinator) identify(id string, who Identity) (t *Transaction, step Step, ok bool) {
	if id == "" {
		return nil, fail(kerr.InvalidRequest), false
	}
	m, known := c.ids[id]
	if !known {
		return nil, fail(kerr.InvalidProducerIDMapping), false
	}
	t = m.Transaction
	switch at := t.continues(); {
	case who.ProducerID != at.ProducerID && who.ProducerID != t.ProducerID:
		return nil, fail(kerr.InvalidProducerIDMapping), false
	case who != at:
		return nil, fail(kerr.ProducerFenced), false
	case t.State.preparing():
		return nil, waitForMarkers(), false
	}
	return t, Step{}, true
}
