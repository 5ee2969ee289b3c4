package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/group"
)

// The types of members in ConsumerGroupDescribe, from version 1 on.
const (
	memberClassic  int8 = 0
	memberConsumer int8 = 1
)

// handleConsumerGroupDescribe shows consumer groups: their epochs, and what every member has and shall have.
func handleConsumerGroupDescribe(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.ConsumerGroupDescribeRequest)
	resp := req.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
	named := seen[string]{}
	for _, id := range req.Groups {
		if !named.few(id) {
			continue
		}
		out := n.describedConsumers(ctx, id)
		if req.IncludeAuthorizedOperations && out.ErrorCode == 0 {
			out.AuthorizedOperations = groupOperations
		}
		resp.Groups = append(resp.Groups, out)
	}
	return resp, nil
}

func (n *Node) describedConsumers(ctx context.Context, id string) kmsg.ConsumerGroupDescribeResponseGroup {
	out := kmsg.NewConsumerGroupDescribeResponseGroup()
	out.Group = id
	switch {
	case !n.servesConsumerGroups():
		out.ErrorCode = kerr.UnsupportedVersion.Code
		return out
	case id == "":
		out.ErrorCode = kerr.InvalidGroupID.Code
		return out
	}
	d := n.Groups.DescribeConsumer(ctx, id)
	if d.Err != nil {
		out.ErrorCode, out.ErrorMessage = Code(d.Err), MessageOf(d.Err)
		return out
	}
	out.State, out.Epoch, out.AssignmentEpoch, out.AssignorName = d.State.String(), d.Epoch, d.AssignmentEpoch, d.Assignor
	im := n.Image()
	for i := range d.Members {
		mb := &d.Members[i]
		m := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		m.MemberID, m.InstanceID, m.RackID, m.MemberEpoch = mb.ID, mb.InstanceID, mb.RackID, mb.Epoch
		m.ClientID, m.ClientHost = mb.ClientID, mb.ClientHost
		m.SubscribedTopics, m.SubscribedTopicRegex = mb.Topics, &mb.Pattern
		m.Assignment, m.TargetAssignment = describedPartitions(im, mb.Assigned), describedPartitions(im, mb.Target)
		m.MemberType = memberConsumer
		if mb.Classic {
			m.MemberType = memberClassic
		}
		out.Members = append(out.Members, m)
	}
	return out
}

// describedPartitions shows partitions of the topics that still exist.
func describedPartitions(im *controller.Image, owned []group.OwnedTopic) (out kmsg.Assignment) {
	for _, t := range owned {
		topic := im.TopicByID(t.ID)
		if topic == nil {
			continue
		}
		tp := kmsg.NewAssignmentTopicPartition()
		tp.TopicID, tp.Topic, tp.Partitions = t.ID, topic.Name, t.Partitions
		out.TopicPartitions = append(out.TopicPartitions, tp)
	}
	return out
}
