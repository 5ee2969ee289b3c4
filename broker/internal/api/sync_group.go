package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
)

// handleSyncGroup waits until the leader has brought the assignments.
func handleSyncGroup(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.SyncGroupRequest)
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	if req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil) {
		resp.ErrorCode = kerr.InconsistentGroupProtocol.Code
		return resp, nil
	}
	sync := group.SyncRequest{
		Group:        req.Group,
		MemberID:     req.MemberID,
		InstanceID:   req.InstanceID,
		Generation:   req.Generation,
		ProtocolType: req.ProtocolType,
		Protocol:     req.Protocol,
		Assignments:  make([]group.Assignment, len(req.GroupAssignment)),
		Taken:        r.Forget,
	}
	for i, a := range req.GroupAssignment {
		sync.Assignments[i] = group.Assignment{MemberID: a.MemberID, Data: a.MemberAssignment}
	}
	over := waiting(r, &n.Meter.RebalancesWaiting)
	s := n.Groups.Sync(ctx, &sync)
	over()
	resp.ErrorCode = Code(s.Err)
	if s.Err == nil {
		resp.ProtocolType, resp.Protocol = &s.ProtocolType, &s.Protocol
		resp.MemberAssignment = s.Assignment
	}
	return resp, nil
}
