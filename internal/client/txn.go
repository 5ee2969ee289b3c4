package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// Init gets the producer its id and epoch. With a transactional id this fences earlier producers of the same id and ends what they left open: when it returns,
// their last transaction is committed or aborted. It is called at the start and to go on after ErrFenced or ErrUnknownOutcome.
func (p *Producer) Init(ctx context.Context) error {
	if err := p.discard(ctx); err != nil {
		return err
	}
	var id record.Producer
	err := retry(ctx, p.cfg.DeliveryTimeout, func() (err error) {
		id, err = initProducerID(ctx, p.cl, p.cfg.TransactionalID, int32(p.cfg.TransactionTimeout.Milliseconds()))
		return err
	})
	if err != nil {
		return fmt.Errorf("client: producer id for %q: %w", p.cfg.TransactionalID, err)
	}
	p.reset(id, true)
	p.cfg.Logger.Debug("producer ready", "transactional_id", p.cfg.TransactionalID, "producer_id", id.ID, "epoch", id.Epoch)
	return nil
}

// reset makes the producer ready for the next transaction. fresh starts all sequences at 0, which goes with a new epoch.
func (p *Producer) reset(id record.Producer, fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.id, p.err, p.inTxn, p.groupIn = id, nil, false, false
	for _, part := range p.touched {
		part.added = false
	}
	p.touched = p.touched[:0]
	if fresh {
		for _, t := range p.names {
			for _, part := range t.parts {
				part.seq = 0
			}
		}
	}
	p.cond.Broadcast()
}

// Fence ends whatever the transactional id has under way and makes every producer that still uses it fail.
func Fence(ctx context.Context, cl *kgo.Client, transactionalID string) error {
	err := retry(ctx, defaultDeliveryTimeout, func() error {
		_, err := initProducerID(ctx, cl, transactionalID, int32(defaultTransactionTimeout.Milliseconds()))
		return err
	})
	if err != nil {
		return fmt.Errorf("client: fencing %q: %w", transactionalID, err)
	}
	return nil
}

func initProducerID(ctx context.Context, cl *kgo.Client, transactionalID string, timeoutMillis int32) (record.Producer, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	if transactionalID != "" {
		req.TransactionalID = &transactionalID
	}
	req.TransactionTimeoutMillis = timeoutMillis
	req.ProducerID, req.ProducerEpoch = -1, -1
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if errors.Is(err, kerr.InvalidTransactionTimeout) {
		return record.NoProducer, fmt.Errorf("transaction time-out of %d ms: %w: choose one below the broker's transaction.max.timeout.ms", timeoutMillis, err)
	}
	if err != nil {
		return record.NoProducer, err
	}
	return record.Producer{ID: record.ProducerID(resp.ProducerID), Epoch: record.ProducerEpoch(resp.ProducerEpoch)}, nil
}

// addPartitions tells the coordinator, under transaction protocol 1, which partitions are new in the transaction. Called without mu.
func (p *Producer) addPartitions(round []shipment) error {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	p.mu.Lock()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.cfg.TransactionalID, int64(p.id.ID), int16(p.id.Epoch)
	byTopic := map[string][]int32{}
	for _, s := range round {
		if part := s.part; !part.added {
			byTopic[part.topic.Name] = append(byTopic[part.topic.Name], part.index)
		}
	}
	p.mu.Unlock()
	if len(byTopic) == 0 {
		return nil
	}
	for name, parts := range byTopic {
		rt := kmsg.NewAddPartitionsToTxnRequestTopic()
		rt.Topic, rt.Partitions = name, parts
		req.Topics = append(req.Topics, rt)
	}
	err := retry(p.ctx, p.cfg.DeliveryTimeout, func() error {
		resp, err := req.RequestWith(p.ctx, p.cl)
		if err != nil {
			return err
		}
		var first error
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				err := kerr.ErrorForCode(resp.Topics[i].Partitions[j].ErrorCode)
				if err != nil && (first == nil || errors.Is(first, kerr.OperationNotAttempted)) {
					first = err
				}
			}
		}
		return first
	})
	if err != nil {
		if err = txnError(err); retriable(err) { // for as long as batches are retried: the transaction is given up, the producer is not
			err = wrap(ErrAbort, err)
		}
		return &permanent{fmt.Errorf("adding partitions to the transaction: %w", err)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range round {
		if part := s.part; !part.added {
			part.added = true
			p.touched = append(p.touched, part)
		}
	}
	return nil
}

// SendOffsets puts consumed offsets into the transaction, fenced by the member's generation; they count when End(true) succeeds. It may run beside Flush, the only
// two methods that may run at the same time.
func (p *Producer) SendOffsets(ctx context.Context, m Member, offsets []Offset) error {
	p.mu.Lock()
	id, err, groupIn := p.id, p.err, p.groupIn
	if err == nil {
		p.inTxn = true
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if !p.cfg.Features.Transactions2 && !groupIn {
		if err := p.addGroup(ctx, id, m.Group); err != nil {
			return err
		}
	}
	req := txnOffsets(p.cfg.TransactionalID, id, m, offsets)
	err = retry(ctx, p.cfg.DeliveryTimeout, func() error {
		resp, err := req.RequestWith(ctx, p.cl)
		if err != nil {
			return err
		}
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				if err := kerr.ErrorForCode(resp.Topics[i].Partitions[j].ErrorCode); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("client: offsets of group %s: %w", m.Group, txnError(err))
	}
	return nil
}

// addGroup tells the coordinator, under transaction protocol 1, that the group's offsets belong to the transaction.
func (p *Producer) addGroup(ctx context.Context, id record.Producer, group string) error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.cfg.TransactionalID, int64(id.ID), int16(id.Epoch), group
	err := retry(ctx, p.cfg.DeliveryTimeout, func() error {
		resp, err := req.RequestWith(ctx, p.cl)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	if err != nil {
		return fmt.Errorf("client: adding group %s to the transaction: %w", group, txnError(err))
	}
	p.mu.Lock()
	p.groupIn = true
	p.mu.Unlock()
	return nil
}

// End ends the transaction. With commit, everything must have been flushed and nothing failed; then nil means that the coordinator has decided to commit, and any other
// answer than ErrUnknownOutcome that it is aborted or will be. Without commit it clears a failure; nil means that the producer can go on.
// A transaction in which nothing was sent ends without a request.
func (p *Producer) End(ctx context.Context, commit bool) error {
	if !commit {
		if err := p.discard(ctx); err != nil {
			return err
		}
	}
	p.mu.Lock()
	id, err, inTxn := p.id, p.err, p.inTxn
	p.mu.Unlock()
	switch {
	case commit && err != nil:
		return err
	case p.cfg.TransactionalID == "":
		if !commit {
			return p.Init(ctx) // a new id: sequences of dropped batches would leave gaps
		}
		return nil
	case !inTxn:
		p.reset(id, false)
		return nil
	}
	resp, err := p.endTxn(ctx, id, commit)
	switch {
	case err == nil && resp.Version >= 5 && resp.ProducerID >= 0:
		p.reset(record.Producer{ID: record.ProducerID(resp.ProducerID), Epoch: record.ProducerEpoch(resp.ProducerEpoch)}, true)
		return nil
	case err == nil && commit:
		p.reset(id, false)
		return nil
	case err == nil || !commit && errors.Is(err, ErrAbort): // the coordinator knows of nothing to abort: the transaction never reached it
		return p.Init(ctx) // batches may have been dropped before they were sent: a new epoch forgives the gap in the sequences
	}
	p.mu.Lock()
	p.fail(err)
	p.mu.Unlock()
	return err
}

func (p *Producer) endTxn(ctx context.Context, id record.Producer, commit bool) (*kmsg.EndTxnResponse, error) {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.cfg.TransactionalID, int64(id.ID), int16(id.Epoch), commit
	var resp *kmsg.EndTxnResponse
	asked := false // an earlier attempt may have been carried out though its answer was lost
	err := retry(ctx, p.cfg.DeliveryTimeout, func() (err error) {
		resp, err = req.RequestWith(ctx, p.cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if _, answered := errors.AsType[*kerr.Error](err); err != nil && !answered {
			asked = true
		}
		return err
	})
	if err == nil {
		return resp, nil
	}
	what := "aborting"
	if commit {
		what = "committing"
	}
	_, answered := errors.AsType[*kerr.Error](err)
	if commit && (asked || !answered || retriable(err)) {
		return nil, fmt.Errorf("client: %s the transaction of %s: %w", what, p.cfg.TransactionalID, wrap(ErrUnknownOutcome, err))
	}
	return nil, fmt.Errorf("client: %s the transaction of %s: %w", what, p.cfg.TransactionalID, txnError(err))
}
