package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// handleOffsetForLeaderEpoch tells where epochs ended, by which clients and followers find out that a log was truncated.
func handleOffsetForLeaderEpoch(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.OffsetForLeaderEpochRequest)
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for _, t := range req.Topics {
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = t.Topic
		for _, asked := range t.Partitions {
			res := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			res.Partition, res.LeaderEpoch, res.EndOffset = asked.Partition, -1, -1
			epoch, end, err := n.epochEnd(t.Topic, asked)
			if err != nil {
				res.ErrorCode = Code(err)
			} else {
				res.LeaderEpoch, res.EndOffset = int32(epoch), int64(end)
			}
			out.Partitions = append(out.Partitions, res)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

func (n *Node) epochEnd(topic string, asked kmsg.OffsetForLeaderEpochRequestTopicPartition) (record.LeaderEpoch, record.Offset, error) {
	p, err := n.Replicas.Partition(topic, asked.Partition)
	if err != nil {
		return 0, 0, err
	}
	if asked.CurrentLeaderEpoch < int32(record.NoLeaderEpoch) {
		return 0, 0, kerr.FencedLeaderEpoch // before any that there was
	}
	if err := p.CheckEpoch(asked.CurrentLeaderEpoch); err != nil {
		return 0, 0, err
	}
	return p.EpochEnd(record.LeaderEpoch(asked.LeaderEpoch))
}
