package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// Timestamps of ListOffsets that ask for a place instead of a time.
const (
	latestOffset          = -1
	earliestOffset        = -2
	maxTimestampOffset    = -3
	earliestLocalOffset   = -4
	latestTieredOffset    = -5
	earliestPendingUpload = -6
)

// firstVersionOf says from which version on a special timestamp is known.
var firstVersionOf = map[int64]int16{
	latestOffset: 0, earliestOffset: 0, maxTimestampOffset: 7, earliestLocalOffset: 8, latestTieredOffset: 9, earliestPendingUpload: 11,
}

// handleListOffsets looks up offsets by time.
func handleListOffsets(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.ListOffsetsRequest)
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	twice := repeatedPartitions(req)
	answered := map[partitionName]bool{}
	topics := map[string]int{} // places in the answer, which names a topic once
	for _, t := range req.Topics {
		if len(t.Partitions) == 0 {
			continue
		}
		at, ok := topics[t.Topic]
		if !ok {
			at = len(resp.Topics)
			topics[t.Topic] = at
			resp.Topics = append(resp.Topics, kmsg.ListOffsetsResponseTopic{Topic: t.Topic})
		}
		out := &resp.Topics[at]
		for _, p := range t.Partitions {
			res := kmsg.NewListOffsetsResponseTopicPartition()
			res.Partition = p.Partition
			name := partitionName{t.Topic, p.Partition}
			if answered[name] {
				continue
			}
			answered[name] = true
			err := error(kerr.InvalidRequest)
			if !twice[name] {
				err = n.lookUpOffset(req, t.Topic, p, &res)
			}
			if err != nil {
				res.ErrorCode = Code(err)
				res.Timestamp, res.Offset, res.LeaderEpoch = record.NoTimestamp, -1, -1
			}
			out.Partitions = append(out.Partitions, res)
		}
	}
	return resp, nil
}

type partitionName struct {
	topic     string
	partition int32
}

func repeatedPartitions(req *kmsg.ListOffsetsRequest) map[partitionName]bool {
	seen, twice := map[partitionName]bool{}, map[partitionName]bool{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			k := partitionName{t.Topic, p.Partition}
			twice[k] = seen[k]
			seen[k] = true
		}
	}
	return twice
}

func (n *Node) lookUpOffset(req *kmsg.ListOffsetsRequest, topic string, asked kmsg.ListOffsetsRequestTopicPartition, res *kmsg.ListOffsetsResponseTopicPartition) error {
	if asked.Timestamp < 0 {
		if first, ok := firstVersionOf[asked.Timestamp]; !ok || req.Version < first {
			return kerr.UnsupportedVersion
		}
	}
	p, err := n.Replicas.Partition(topic, asked.Partition)
	if err != nil {
		return err
	}
	if asked.CurrentLeaderEpoch < int32(record.NoLeaderEpoch) {
		return kerr.FencedLeaderEpoch // before any that there was
	}
	if err := p.CheckEpoch(asked.CurrentLeaderEpoch); err != nil {
		return err
	}
	if req.IsolationLevel != readUncommitted && req.IsolationLevel != readCommitted {
		return kerr.InvalidRequest
	}
	found, err := p.LookUp(asked.Timestamp, req.IsolationLevel == readCommitted)
	if err != nil {
		return err
	}
	res.Timestamp, res.Offset, res.LeaderEpoch = found.Timestamp, int64(found.Offset), int32(found.LeaderEpoch)
	return nil
}

// Isolation levels: what of open transactions is seen.
const (
	readUncommitted = 0 // all
	readCommitted   = 1 // nothing from the first one's begin on
)
