package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// handleDescribeQuorum describes who agrees on the metadata: this broker, with itself.
func handleDescribeQuorum(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DescribeQuorumRequest)
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	empty := ""
	resp.ErrorMessage = &empty
	// There is one partition to describe, and a request for it names nothing else.
	alone := len(req.Topics) == 1 && len(req.Topics[0].Partitions) == 1
	for _, t := range req.Topics {
		out := kmsg.NewDescribeQuorumResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			out.Partitions = append(out.Partitions, n.quorumOf(t.Topic, p.Partition, alone))
		}
		resp.Topics = append(resp.Topics, out)
	}
	if !alone || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		return resp, nil
	}
	node := kmsg.NewDescribeQuorumResponseNode()
	node.NodeID = n.ID
	l := kmsg.NewDescribeQuorumResponseNodeListener()
	l.Name, l.Host, l.Port = r.Conn.Listener.Name, r.Conn.Listener.Host, uint16(r.Conn.Listener.Port)
	node.Listeners = append(node.Listeners, l)
	resp.Nodes = append(resp.Nodes, node)
	return resp, nil
}

func (n *Node) quorumOf(topic string, number int32, alone bool) kmsg.DescribeQuorumResponseTopicPartition {
	p := kmsg.NewDescribeQuorumResponseTopicPartition()
	p.Partition = number
	text := ""
	p.ErrorMessage = &text
	if topic != controller.MetadataTopic || number != 0 || !alone {
		text = "This server does not host this topic-partition."
		p.ErrorCode = kerr.UnknownTopicOrPartition.Code
		return p
	}
	index := int64(n.Image().Index())
	now := n.Now().UnixMilli()
	p.LeaderID, p.LeaderEpoch, p.HighWatermark = n.ID, 1, index
	voter := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	voter.ReplicaID, voter.LogEndOffset, voter.LastFetchTimestamp, voter.LastCaughtUpTimestamp = n.ID, index, now, now
	p.CurrentVoters = append(p.CurrentVoters, voter)
	return p
}
