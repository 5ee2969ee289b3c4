package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
)

// handleJoinGroup waits until the group's next generation has its members.
func handleJoinGroup(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.JoinGroupRequest)
	if req.Version == 0 {
		req.RebalanceTimeoutMillis = req.SessionTimeoutMillis
	}
	join := group.JoinRequest{
		Group:            req.Group,
		MemberID:         req.MemberID,
		InstanceID:       req.InstanceID,
		ClientID:         clientID(r),
		ClientHost:       r.Conn.Host,
		ProtocolType:     req.ProtocolType,
		Protocols:        make([]group.Protocol, len(req.Protocols)),
		SessionTimeout:   millis(req.SessionTimeoutMillis),
		RebalanceTimeout: max(millis(req.RebalanceTimeoutMillis), 0),
		RequireKnownID:   req.Version >= 4,
		CanSkip:          req.Version >= 9,
		Taken:            r.Forget,
	}
	for i, p := range req.Protocols {
		join.Protocols[i] = group.Protocol{Name: p.Name, Metadata: p.Metadata}
	}
	over := waiting(r, &n.Meter.RebalancesWaiting)
	answer := n.Groups.Join(ctx, &join)
	over()
	return joinResponse(r, answer), nil
}

func joinResponse(r *Request, j *group.JoinResponse) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.Version = r.Version
	resp.ErrorCode = Code(j.Err)
	resp.Generation = j.Generation
	resp.LeaderID = j.Leader
	resp.MemberID = j.MemberID
	resp.SkipAssignment = j.SkipAssignment
	if j.Err != nil {
		return resp
	}
	resp.ProtocolType, resp.Protocol = &j.ProtocolType, &j.Protocol
	for _, mb := range j.Members {
		out := kmsg.NewJoinGroupResponseMember()
		out.MemberID, out.InstanceID, out.ProtocolMetadata = mb.ID, mb.InstanceID, mb.Metadata
		resp.Members = append(resp.Members, out)
	}
	return resp
}

func millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

func clientID(r *Request) string {
	if r.ClientID == nil {
		return ""
	}
	return *r.ClientID
}
