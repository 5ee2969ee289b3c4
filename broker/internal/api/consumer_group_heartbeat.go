package api

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
)

// groupVersion is the feature that allows consumer groups, at its level 1.
const groupVersion = "group.version"

// servesConsumerGroups says whether the protocol of KIP-848 is spoken here.
func (n *Node) servesConsumerGroups() bool {
	return n.Image().Feature(groupVersion) >= 1 && slices.Contains(n.Settings().List("group.coordinator.rebalance.protocols"), "consumer")
}

// handleConsumerGroupHeartbeat joins, keeps or sees off a member of a consumer group.
func handleConsumerGroupHeartbeat(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.ConsumerGroupHeartbeatRequest)
	resp := req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
	if !n.servesConsumerGroups() {
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		return resp, nil
	}
	beat := &group.ConsumerHeartbeatRequest{
		Group:       req.Group,
		MemberID:    req.MemberID,
		MemberEpoch: req.MemberEpoch,
		InstanceID:  req.InstanceID,
		RackID:      req.RackID,
		ClientID:    clientID(r),
		ClientHost:  r.Conn.Host,
		Rebalance:   max(millis(req.RebalanceTimeoutMillis), -1),
		Topics:      req.SubscribedTopicNames,
		Pattern:     req.SubscribedTopicRegex,
		Assignor:    req.ServerAssignor,
		RequireID:   req.Version >= 1,
	}
	if req.Topics != nil {
		beat.Owned = make([]group.OwnedTopic, len(req.Topics))
	}
	for i, t := range req.Topics {
		beat.Owned[i] = group.OwnedTopic{ID: t.TopicID, Partitions: t.Partitions}
	}
	b := n.Groups.ConsumerHeartbeat(ctx, beat)
	if b.Err != nil {
		resp.ErrorCode, resp.ErrorMessage = Code(b.Err), MessageOf(b.Err)
		return resp, nil
	}
	resp.MemberID, resp.MemberEpoch = &b.MemberID, b.MemberEpoch
	resp.HeartbeatIntervalMillis = int32(b.HeartbeatInterval / time.Millisecond)
	if b.HasAssignment {
		resp.Assignment = new(kmsg.ConsumerGroupHeartbeatResponseAssignment)
		for _, t := range b.Assignment {
			resp.Assignment.Topics = append(resp.Assignment.Topics, kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{TopicID: t.ID, Partitions: t.Partitions})
		}
	}
	return resp, nil
}
