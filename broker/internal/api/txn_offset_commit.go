package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

const (
	// From this version on a client knows TRANSACTION_ABORTABLE; before, it is told INVALID_TXN_STATE.
	txnOffsetCommitAbortable = 4
	// From this version on the group's partition joins the transaction by itself (KIP-890).
	txnOffsetCommitAdds = 5
)

// handleTxnOffsetCommit stores offsets of a group that count when the transaction commits. It goes to the coordinator of
// the group, which asks that of the transaction whether its partition is part of it.
func handleTxnOffsetCommit(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.TxnOffsetCommitRequest)
	commit := &group.CommitRequest{
		Group:      req.Group,
		MemberID:   req.MemberID,
		InstanceID: req.InstanceID,
		Generation: -1,
		Producer:   entry.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch},
	}
	if req.Version >= 3 {
		commit.Generation = req.Generation
	}
	im := n.Image()
	for _, t := range req.Topics {
		topic := im.Topic(t.Topic)
		for _, p := range t.Partitions {
			if topic == nil || p.Partition < 0 || int(p.Partition) >= len(topic.Partitions) {
				continue
			}
			o := group.CommitOffset{Topic: t.Topic, TopicID: topic.ID, Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch}
			if p.Metadata != nil {
				o.Metadata = *p.Metadata
			}
			commit.Offsets = append(commit.Offsets, o)
		}
	}
	err := commitInTransaction(ctx, n, req, commit)
	return answerTxnOffsetCommit(req, commit.Offsets, err), nil
}

func commitInTransaction(ctx context.Context, n *Node, req *kmsg.TxnOffsetCommitRequest, commit *group.CommitRequest) error {
	if req.Group == "" {
		return kerr.InvalidGroupID
	}
	if len(commit.Offsets) == 0 {
		return nil
	}
	p, err := offsetsPartition(ctx, n, req.Group)
	if err != nil {
		return err
	}
	adds := req.Version >= txnOffsetCommitAdds
	return n.Groups.CommitInTransaction(ctx, commit, adds, func(ctx context.Context) error {
		err := n.Transactions.EnsurePartitions(ctx, txn.AddRequest{
			ID:         req.TransactionalID,
			Identity:   identity(req.ProducerID, req.ProducerEpoch),
			Partitions: []txn.TopicPartition{p},
		}, adds)[0]
		if err == kerr.TransactionAbortable && req.Version < txnOffsetCommitAbortable {
			return kerr.InvalidTxnState
		}
		return err
	})
}

// answerTxnOffsetCommit answers every partition: the request's error, its own, or that it does not exist. done are the
// ones that exist, in the order of the request.
func answerTxnOffsetCommit(req *kmsg.TxnOffsetCommitRequest, done []group.CommitOffset, err error) *kmsg.TxnOffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	for _, t := range req.Topics {
		if len(t.Partitions) == 0 {
			continue
		}
		topic := kmsg.NewTxnOffsetCommitResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			tp.Partition = p.Partition
			switch {
			case len(done) == 0 || done[0].Topic != t.Topic || done[0].Partition != p.Partition:
				tp.ErrorCode = kerr.UnknownTopicOrPartition.Code
			case err != nil:
				tp.ErrorCode = Code(err)
				done = done[1:]
			default:
				tp.ErrorCode = Code(done[0].Err)
				done = done[1:]
			}
			topic.Partitions = append(topic.Partitions, tp)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}
