package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/internal/record"
)

// handleDeleteRecords moves log starts.
func handleDeleteRecords(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DeleteRecordsRequest)
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	for _, t := range req.Topics {
		out := kmsg.NewDeleteRecordsResponseTopic()
		out.Topic = t.Topic
		for _, asked := range t.Partitions {
			res := kmsg.NewDeleteRecordsResponseTopicPartition()
			res.Partition, res.LowWatermark = asked.Partition, -1
			start, err := n.deleteRecords(t.Topic, asked.Partition, record.Offset(asked.Offset))
			if err != nil {
				res.ErrorCode = Code(err)
			} else {
				res.LowWatermark = int64(start)
			}
			out.Partitions = append(out.Partitions, res)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

func (n *Node) deleteRecords(topic string, number int32, to record.Offset) (record.Offset, error) {
	p, err := n.Replicas.Partition(topic, number)
	if err != nil {
		return 0, err
	}
	if controller.IsInternal(topic) {
		return 0, fmt.Errorf("records of %s are the broker's own: %w", topic, kerr.InvalidTopicException)
	}
	if !p.Config().CleanupDelete {
		return 0, fmt.Errorf("topic %s is compacted and not deleted from: %w", topic, kerr.PolicyViolation)
	}
	return p.DeleteRecords(to)
}
