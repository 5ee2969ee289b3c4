package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/group"
)

// handleOffsetCommit stores the offsets of partitions that exist; the others are refused one by one.
func handleOffsetCommit(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.OffsetCommitRequest)
	commit := group.CommitRequest{
		Group:      req.Group,
		MemberID:   req.MemberID,
		InstanceID: req.InstanceID,
		Generation: req.Generation,
		Producer:   entry.NoProducer(),
	}
	if req.Version <= 4 && req.RetentionTimeMillis > 0 {
		commit.Retention = time.Duration(req.RetentionTimeMillis) * time.Millisecond
	}
	if req.Version >= 9 {
		commit.MissingGroup = kerr.GroupIDNotFound
		commit.KnowsEpochs = true
	}
	byID := req.Version >= 10
	im := n.Image()
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	var places []*int16 // where the error of each offset goes
	for _, t := range req.Topics {
		if len(t.Partitions) == 0 {
			continue
		}
		topic, unknown := topicOf(im, t.Topic, t.TopicID, byID)
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		out.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(t.Partitions))
		for i, p := range t.Partitions {
			out.Partitions[i].Partition = p.Partition
			if err := hasPartition(topic, unknown, p.Partition); err != nil {
				out.Partitions[i].ErrorCode = Code(err)
				continue
			}
			commit.Offsets = append(commit.Offsets, group.CommitOffset{
				Topic:       topic.Name,
				TopicID:     topic.ID,
				Partition:   p.Partition,
				Offset:      p.Offset,
				LeaderEpoch: p.LeaderEpoch,
				Metadata:    stringOf(p.Metadata),
			})
			places = append(places, &out.Partitions[i].ErrorCode)
		}
		resp.Topics = append(resp.Topics, out)
	}
	commitOffsets(ctx, n, &commit, places)
	return resp, nil
}

// commitOffsets stores offsets and puts the error of each where it belongs.
func commitOffsets(ctx context.Context, n *Node, commit *group.CommitRequest, places []*int16) {
	if len(commit.Offsets) == 0 {
		return
	}
	err := n.Groups.Commit(ctx, commit)
	for i, place := range places {
		if err != nil {
			*place = Code(err)
			continue
		}
		*place = Code(commit.Offsets[i].Err)
	}
}

// topicOf finds a topic by its name or id; nil, and what the client is told, if there is none.
func topicOf(im *controller.Image, name string, id [16]byte, byID bool) (*controller.Topic, error) {
	if byID {
		if t := im.TopicByID(id); t != nil {
			return t, nil
		}
		return nil, kerr.UnknownTopicID
	}
	if t := im.Topic(name); t != nil {
		return t, nil
	}
	return nil, kerr.UnknownTopicOrPartition
}

func hasPartition(t *controller.Topic, unknown error, partition int32) error {
	switch {
	case t == nil:
		return unknown
	case partition < 0 || int(partition) >= len(t.Partitions):
		return kerr.UnknownTopicOrPartition
	}
	return nil
}

func stringOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
