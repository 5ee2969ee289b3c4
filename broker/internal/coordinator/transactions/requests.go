package transactions

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// NewProducerID gives an id to a producer without a transactional id.
func (c *Coordinator) NewProducerID(ctx context.Context) (txn.ProducerID, error) {
	return c.ids.get(ctx)
}

// InitProducerID initialises a transactional producer.
func (c *Coordinator) InitProducerID(ctx context.Context, r txn.InitRequest) txn.Reply {
	return c.run(ctx, r.ID, func(m *txn.Coordinator, now time.Time) txn.Step { return m.InitProducerID(now, r) })
}

// AddPartitions adds partitions to a producer's transaction.
func (c *Coordinator) AddPartitions(ctx context.Context, r txn.AddRequest) error {
	return c.run(ctx, r.ID, func(m *txn.Coordinator, now time.Time) txn.Step { return m.AddPartitions(now, r) }).Err
}

// VerifyPartitions says for each partition whether it is in the producer's transaction: nil or TRANSACTION_ABORTABLE, or
// the request's error for all of them.
func (c *Coordinator) VerifyPartitions(ctx context.Context, r txn.AddRequest) []error {
	var errs []error
	reply := c.run(ctx, r.ID, func(m *txn.Coordinator, _ time.Time) (step txn.Step) {
		errs, step = m.VerifyPartitions(r)
		return step
	})
	if reply.Err != nil {
		return slices.Repeat([]error{reply.Err}, len(r.Partitions))
	}
	return errs
}

// EndTxn decides the end of a transaction. It returns when the decision is committed; markers follow.
func (c *Coordinator) EndTxn(ctx context.Context, r txn.EndRequest) txn.Reply {
	return c.run(ctx, r.ID, func(m *txn.Coordinator, now time.Time) txn.Step { return m.EndTxn(now, r) })
}

// DecideTxn is EndTxn for a caller who calls then, unless it is nil, once it has given the answer: it writes the markers there and then. A goroutine for each
// transaction would be woken just when the producer is, and the two would be in each other's way.
func (c *Coordinator) DecideTxn(ctx context.Context, r txn.EndRequest) (reply txn.Reply, then func()) {
	var p promise
	reply = c.runFor(ctx, r.ID, func(m *txn.Coordinator, now time.Time) txn.Step { return m.EndTxn(now, r) }, p.owe)
	return reply, p.keep()
}

// Describe returns what is known about a transactional id. The result is immutable.
func (c *Coordinator) Describe(ctx context.Context, id string) (*txn.Transaction, error) {
	if id == "" {
		return nil, kerr.InvalidRequest
	}
	shard, err := c.shard(id)
	if err != nil {
		return nil, err
	}
	var t *txn.Transaction
	var known bool
	err = shard.Do(ctx, func(m *machine, _ time.Time, _ *coordinator.Writer) { t, known = m.Get(id) })
	switch {
	case err != nil:
		return nil, err
	case !known:
		return nil, kerr.TransactionalIDNotFound
	}
	return t, nil
}

// List returns the transactions of all partitions that this broker leads, in order of their ids.
func (c *Coordinator) List(ctx context.Context, f txn.Filter) ([]*txn.Transaction, error) {
	var all []*txn.Transaction
	for _, shard := range c.set.All() {
		err := shard.Do(ctx, func(m *machine, now time.Time, _ *coordinator.Writer) {
			all = append(all, m.List(now, f)...)
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b *txn.Transaction) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// EnsureInTransaction makes sure that a partition belongs to the producer's open transaction before a transactional batch
// is appended to it (KIP-890). With add it is added, as Produce v12 asks; else it must have been. See EnsurePartitions.
func (c *Coordinator) EnsureInTransaction(ctx context.Context, id string, producerID int64, epoch int16, topic string, partition int32, add bool) error {
	return c.EnsurePartitions(ctx, txn.AddRequest{
		ID:         id,
		Identity:   txn.Identity{ProducerID: txn.ProducerID(producerID), Epoch: txn.Epoch(epoch)},
		Partitions: []txn.TopicPartition{{Topic: topic, Partition: partition}},
	}, add)[0]
}

// EnsurePartitions does the same for all partitions of a request at once. It returns nil or an error for each of them, in
// the words of Produce: a producer expects INVALID_PRODUCER_EPOCH there where the coordinator says PRODUCER_FENCED.
func (c *Coordinator) EnsurePartitions(ctx context.Context, r txn.AddRequest, add bool) []error {
	var errs []error
	if add {
		r.Protocol = txn.V2
		errs = slices.Repeat([]error{c.AddPartitions(ctx, r)}, len(r.Partitions))
	} else {
		errs = c.VerifyPartitions(ctx, r)
	}
	for i, err := range errs {
		if err == kerr.ProducerFenced {
			errs[i] = kerr.InvalidProducerEpoch
		}
	}
	return errs
}

// WriteMarkers writes a marker on behalf of another coordinator, or of an operator who aborts what its coordinator forgot.
func (c *Coordinator) WriteMarkers(ctx context.Context, m Marker, partitions []txn.TopicPartition) []error {
	return c.cfg.Markers.WriteMarkers(ctx, m, partitions)
}
