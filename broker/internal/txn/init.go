package txn

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// InitRequest is InitProducerId with a transactional id.
type InitRequest struct {
	ID       string
	Timeout  time.Duration
	Expected Identity // what the producer has had up to now; None: it is new
}

// InitProducerID gives a producer its identity and fences whoever had the id before.
//
// An open transaction is aborted first; the client is told CONCURRENT_TRANSACTIONS, as Kafka does, and asks again.
func (c *Coordinator) InitProducerID(now time.Time, r InitRequest) Step {
	switch {
	case r.ID == "" || len(r.ID) > maxIDBytes:
		return fail(kerr.InvalidRequest)
	case (r.Expected.ProducerID == NoProducerID) != (r.Expected.Epoch == NoEpoch):
		return fail(kerr.InvalidRequest)
	case r.Timeout < time.Millisecond || r.Timeout > c.cfg.MaxTimeout:
		return fail(kerr.InvalidTransactionTimeout)
	}
	m, ok := c.ids[r.ID]
	if !ok {
		return c.initNew(now, r)
	}
	t := m.Transaction
	if !t.acceptsInit(r.Expected) {
		return fail(kerr.ProducerFenced)
	}
	switch {
	case t.State.preparing():
		return waitForMarkers()
	case t.State == Ongoing:
		return c.initOverOngoing(now, t, r)
	}
	return c.initIdle(now, t, r)
}

// acceptsInit says whether a producer that claims to have had expected may be initialised at all.
func (t *Transaction) acceptsInit(expected Identity) bool {
	return expected == None || expected == t.continues() || t.repeats(expected)
}

func (c *Coordinator) initNew(now time.Time, r InitRequest) Step {
	// A producer that names an identity of an id which expired meanwhile gets a new one: nobody else can have it.
	pid, err := c.cfg.NewProducerID()
	if err != nil {
		return fail(kafkaError(err))
	}
	return initialised(&Transaction{
		ID:       r.ID,
		Identity: Identity{pid, 0},
		Next:     NoProducerID,
		Previous: NoProducerID,
		Last:     NoEpoch,
		State:    Empty,
		Timeout:  r.Timeout.Truncate(time.Millisecond),
		Updated:  millis(now),
	})
}

// initOverOngoing aborts what the producer, or the one before it, left open. A repeated request of the producer that
// opened the transaction came late: its first copy was answered, or there would be no transaction.
func (c *Coordinator) initOverOngoing(now time.Time, t *Transaction, r InitRequest) Step {
	if r.Expected != None && r.Expected != t.Identity {
		return fail(kerr.ProducerFenced)
	}
	next, err := c.fence(now, t, r.Expected != None)
	if err != nil {
		return fail(kafkaError(err))
	}
	return Step{Changes: prepared(now, next), Reply: Reply{Err: kerr.ConcurrentTransactions, Identity: None}}
}

func (c *Coordinator) initIdle(now time.Time, t *Transaction, r InitRequest) Step {
	next := t.successor(now, Empty)
	next.Protocol = V1
	next.Timeout = r.Timeout.Truncate(time.Millisecond)
	next.Partitions = nil
	next.Start = time.Time{}
	next.TimedOut = false
	switch {
	case t.repeats(r.Expected):
		// The answer was lost; it is given again.
	case t.Epoch.exhausted():
		pid, err := c.cfg.NewProducerID()
		if err != nil {
			return fail(kafkaError(err))
		}
		next.Identity = Identity{pid, 0}
		next.Previous = t.ProducerID
		next.Last = NoEpoch
		if r.Expected != None {
			next.Last = r.Expected.Epoch
		}
	default:
		next.Epoch++
		next.Previous = NoProducerID
		next.Last = r.Expected.Epoch
	}
	return initialised(next)
}

func initialised(t *Transaction) Step {
	return Step{
		Changes: []Change{{t.ID, t}},
		Reply:   Reply{Identity: t.Identity},
	}
}

// waitForMarkers answers whoever comes between Prepare and Complete.
func waitForMarkers() Step {
	step := fail(kerr.ConcurrentTransactions)
	step.Wait = true
	return step
}

// kafkaError is err as the wire can say it: what is no Kafka error is a coordinator that cannot work now.
func kafkaError(err error) error {
	var k *kerr.Error
	if errors.As(err, &k) {
		return k
	}
	return kerr.CoordinatorNotAvailable
}
