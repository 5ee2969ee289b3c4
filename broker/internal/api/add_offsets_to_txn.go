package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// handleAddOffsetsToTxn adds the partition that holds a group's offsets to a transaction.
func handleAddOffsetsToTxn(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.AddOffsetsToTxnRequest)
	resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
	p, err := offsetsPartition(ctx, n, req.Group)
	if err == nil {
		err = n.Transactions.AddPartitions(ctx, txn.AddRequest{
			ID:         req.TransactionalID,
			Identity:   identity(req.ProducerID, req.ProducerEpoch),
			Partitions: []txn.TopicPartition{p},
			Protocol:   txn.V1,
		})
	}
	resp.ErrorCode = fencedCode(err, req.Version, 2)
	return resp, nil
}

// offsetsPartition is where the offsets of a group are.
func offsetsPartition(ctx context.Context, n *Node, group string) (txn.TopicPartition, error) {
	t, err := n.EnsureInternalTopic(ctx, controller.OffsetsTopic)
	if err != nil {
		return txn.TopicPartition{}, kerr.CoordinatorNotAvailable
	}
	p := coordinator.PartitionOf(group, int32(len(t.Partitions)))
	return txn.TopicPartition{Topic: controller.OffsetsTopic, Partition: p}, nil
}
