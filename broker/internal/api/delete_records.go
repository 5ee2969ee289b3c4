package api

import (
	"context"
	"fmt"
	"iter"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/internal/record"
)

// handleDeleteRecords moves log starts.
func handleDeleteRecords(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DeleteRecordsRequest)
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	topics := map[string]int{} // places in the answer, which names a topic once
	for name, to := range lastOffsets(req) {
		at, ok := topics[name.topic]
		if !ok {
			at = len(resp.Topics)
			topics[name.topic] = at
			resp.Topics = append(resp.Topics, kmsg.DeleteRecordsResponseTopic{Topic: name.topic})
		}
		res := kmsg.NewDeleteRecordsResponseTopicPartition()
		res.Partition, res.LowWatermark = name.partition, -1
		start, err := n.deleteRecords(name.topic, name.partition, to)
		if err != nil {
			res.ErrorCode = Code(err)
		} else {
			res.LowWatermark = int64(start)
		}
		resp.Topics[at].Partitions = append(resp.Topics[at].Partitions, res)
	}
	return resp, nil
}

// lastOffsets yields the partitions in the order in which they are first named, each with the offset of its last naming.
func lastOffsets(req *kmsg.DeleteRecordsRequest) iter.Seq2[partitionName, record.Offset] {
	var order []partitionName
	last := map[partitionName]record.Offset{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			name := partitionName{t.Topic, p.Partition}
			if _, ok := last[name]; !ok {
				order = append(order, name)
			}
			last[name] = record.Offset(p.Offset)
		}
	}
	return func(yield func(partitionName, record.Offset) bool) {
		for _, name := range order {
			if !yield(name, last[name]) {
				return
			}
		}
	}
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
