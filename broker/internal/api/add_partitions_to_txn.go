package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// handleAddPartitionsToTxn adds partitions to transactions: one transaction of a client up to v3, many of another broker's
// clients from v4 on, where partitions may also only be asked for.
func handleAddPartitionsToTxn(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.AddPartitionsToTxnRequest)
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	if req.Version < 4 {
		add := partitionsToAdd{
			AddRequest: txn.AddRequest{ID: req.TransactionalID, Identity: identity(req.ProducerID, req.ProducerEpoch), Protocol: txn.V1},
			topics:     req.Topics,
		}
		resp.Topics = add.answer(add.run(ctx, n), req.Version)
		return resp, nil
	}
	for i := range req.Transactions {
		t := &req.Transactions[i]
		add := partitionsToAdd{
			AddRequest: txn.AddRequest{ID: t.TransactionalID, Identity: identity(t.ProducerID, t.ProducerEpoch), Protocol: txn.V2},
			topics:     make([]kmsg.AddPartitionsToTxnRequestTopic, len(t.Topics)),
			verify:     t.VerifyOnly,
		}
		for j, topic := range t.Topics {
			add.topics[j].Topic, add.topics[j].Partitions = topic.Topic, topic.Partitions
		}
		out := kmsg.NewAddPartitionsToTxnResponseTransaction()
		out.TransactionalID = t.TransactionalID
		for _, topic := range add.answer(add.run(ctx, n), req.Version) {
			res := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
			res.Topic = topic.Topic
			for _, p := range topic.Partitions {
				res.Partitions = append(res.Partitions, kmsg.AddPartitionsToTxnResponseTransactionTopicPartition(p))
			}
			out.Topics = append(out.Topics, res)
		}
		resp.Transactions = append(resp.Transactions, out)
	}
	return resp, nil
}

// partitionsToAdd is what the request says about one transaction.
type partitionsToAdd struct {
	txn.AddRequest
	topics []kmsg.AddPartitionsToTxnRequestTopic
	verify bool
}

// run returns an error, or nil, for each partition in the order of the request.
func (a *partitionsToAdd) run(ctx context.Context, n *Node) []error {
	im := n.Image()
	var errs []error
	refused := false
	for _, topic := range a.topics {
		t := im.Topic(topic.Topic)
		for _, p := range topic.Partitions {
			a.Partitions = append(a.Partitions, txn.TopicPartition{Topic: topic.Topic, Partition: p})
			err := error(kerr.OperationNotAttempted)
			switch {
			case controller.IsInternal(topic.Topic): // groups' offsets come in by AddOffsetsToTxn
				err, refused = kerr.TopicAuthorizationFailed, true
			case t == nil || p < 0 || int(p) >= len(t.Partitions):
				err, refused = kerr.UnknownTopicOrPartition, true
			}
			errs = append(errs, err)
		}
	}
	switch {
	case refused:
		return errs // all or nothing
	case a.verify:
		return n.Transactions.VerifyPartitions(ctx, a.AddRequest)
	}
	err := n.Transactions.AddPartitions(ctx, a.AddRequest)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func (a *partitionsToAdd) answer(errs []error, version int16) []kmsg.AddPartitionsToTxnResponseTopic {
	out := make([]kmsg.AddPartitionsToTxnResponseTopic, 0, len(a.topics))
	for _, topic := range a.topics {
		t := kmsg.NewAddPartitionsToTxnResponseTopic()
		t.Topic = topic.Topic
		for _, p := range topic.Partitions {
			tp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			tp.Partition = p
			tp.ErrorCode = fencedCode(errs[0], version, 2)
			errs = errs[1:]
			t.Partitions = append(t.Partitions, tp)
		}
		out = append(out, t)
	}
	return out
}

// fencedCode is Code for requests whose versions below since know INVALID_PRODUCER_EPOCH only.
func fencedCode(err error, version, since int16) int16 {
	if version < since && CodeOf(err) == kerr.ProducerFenced {
		return kerr.InvalidProducerEpoch.Code
	}
	return Code(err)
}

func identity(producerID int64, epoch int16) txn.Identity {
	return txn.Identity{ProducerID: txn.ProducerID(producerID), Epoch: txn.Epoch(epoch)}
}
