package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
)

// handleOffsetDelete removes committed offsets of topics that the group's members do not read (KIP-496).
func handleOffsetDelete(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.OffsetDeleteRequest)
	resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	im := n.Image()
	partitions := []group.Partition{}
	var places []*int16
	for _, t := range req.Topics {
		if len(t.Partitions) == 0 {
			continue
		}
		topic, unknown := topicOf(im, t.Topic, [16]byte{}, false)
		out := kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = t.Topic
		out.Partitions = make([]kmsg.OffsetDeleteResponseTopicPartition, len(t.Partitions))
		for i, p := range t.Partitions {
			out.Partitions[i].Partition = p.Partition
			if err := hasPartition(topic, unknown, p.Partition); err != nil {
				out.Partitions[i].ErrorCode = Code(err)
				continue
			}
			partitions = append(partitions, group.Partition{Topic: t.Topic, Partition: p.Partition})
			places = append(places, &out.Partitions[i].ErrorCode)
		}
		resp.Topics = append(resp.Topics, out)
	}
	errs, err := n.Groups.DeleteOffsets(ctx, req.Group, partitions)
	if err != nil {
		resp.ErrorCode, resp.Topics = Code(err), nil
		return resp, nil
	}
	for i, place := range places {
		*place = Code(errs[i])
	}
	return resp, nil
}
