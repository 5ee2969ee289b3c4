package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// handleDescribeTopicPartitions lists partitions of topics in order of name, up to a limit, and says where to go on.
func handleDescribeTopicPartitions(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DescribeTopicPartitionsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	im := n.Image()
	names := topicsToDescribe(im, req)
	if !cursorFits(req) {
		for _, name := range askedTopics(req) {
			t := kmsg.NewDescribeTopicPartitionsResponseTopic()
			t.ErrorCode, t.Topic = kerr.InvalidRequest.Code, &name
			resp.Topics = append(resp.Topics, t)
		}
		return resp, nil
	}
	left := min(int(n.Settings().Int("max.request.partition.size.limit")), max(int(req.ResponsePartitionLimit), 1))
	for _, name := range names {
		from := int32(0)
		if req.Cursor != nil && req.Cursor.Topic == name {
			from = req.Cursor.Partition
		}
		topic := im.Topic(name)
		if topic == nil {
			resp.Topics = append(resp.Topics, unknownTopicPartitions(name))
			continue
		}
		if left == 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: from}
			return resp, nil
		}
		end := min(int(from)+left, len(topic.Partitions))
		resp.Topics = append(resp.Topics, n.topicPartitions(topic, int(from), end))
		left -= max(end-int(from), 0)
		if end < len(topic.Partitions) {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: int32(end)}
			return resp, nil
		}
	}
	return resp, nil
}

// cursorFits reports whether the cursor, if any, is a place in what is asked for.
func cursorFits(req *kmsg.DescribeTopicPartitionsRequest) bool {
	c := req.Cursor
	return c == nil || c.Partition >= 0 && (len(req.Topics) == 0 || slices.Contains(askedTopics(req), c.Topic))
}

// askedTopics are the names in the request, each once, in order.
func askedTopics(req *kmsg.DescribeTopicPartitionsRequest) []string {
	var names []string
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// topicsToDescribe are the names from the cursor on, each once, in order.
func topicsToDescribe(im *controller.Image, req *kmsg.DescribeTopicPartitionsRequest) []string {
	names := askedTopics(req)
	if len(req.Topics) == 0 {
		for _, t := range im.Topics() {
			names = append(names, t.Name)
		}
		slices.Sort(names)
	}
	if req.Cursor != nil {
		names = slices.DeleteFunc(names, func(s string) bool { return s < req.Cursor.Topic })
	}
	return names
}

func unknownTopicPartitions(name string) kmsg.DescribeTopicPartitionsResponseTopic {
	t := kmsg.NewDescribeTopicPartitionsResponseTopic()
	t.Topic = &name
	t.ErrorCode = kerr.UnknownTopicOrPartition.Code
	if err := controller.CheckTopicName(name); err != nil {
		t.ErrorCode = Code(err)
	}
	t.AuthorizedOperations = allTopicOperations
	return t
}

// topicPartitions describes the partitions [from, end) of a topic.
func (n *Node) topicPartitions(topic *controller.Topic, from, end int) kmsg.DescribeTopicPartitionsResponseTopic {
	t := kmsg.NewDescribeTopicPartitionsResponseTopic()
	t.Topic, t.TopicID, t.IsInternal = &topic.Name, topic.ID, controller.IsInternal(topic.Name)
	t.AuthorizedOperations = allTopicOperations
	for i := from; i < end; i++ {
		meta, now := &topic.Partitions[i], n.standingOf(topic, int32(i))
		p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		p.Partition, p.LeaderID, p.LeaderEpoch = int32(i), now.leader, meta.LeaderEpoch
		p.Replicas, p.ISR, p.OfflineReplicas = meta.Replicas, now.isr, now.offline
		p.EligibleLeaderReplicas, p.LastKnownELR = []int32{}, []int32{}
		if now.leader == controller.NoLeader { // nothing that was acknowledged is missing where it is offline
			p.EligibleLeaderReplicas, p.LastKnownELR = now.offline, now.offline
		}
		t.Partitions = append(t.Partitions, p)
	}
	return t
}
