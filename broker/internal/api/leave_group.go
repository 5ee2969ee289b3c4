package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
)

// handleLeaveGroup removes members. Up to v2 a request names one member, and its error is the request's.
func handleLeaveGroup(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.LeaveGroupRequest)
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	if req.Version < 3 {
		leavers := []group.LeaveMember{{MemberID: req.MemberID}}
		err := n.Groups.Leave(ctx, req.Group, leavers)
		if err == nil {
			err = leavers[0].Err
		}
		resp.ErrorCode = Code(err)
		return resp, nil
	}
	leavers := make([]group.LeaveMember, len(req.Members))
	for i, mb := range req.Members {
		leavers[i] = group.LeaveMember{MemberID: mb.MemberID, InstanceID: mb.InstanceID}
	}
	if err := n.Groups.Leave(ctx, req.Group, leavers); err != nil {
		resp.ErrorCode = Code(err)
		return resp, nil
	}
	for _, l := range leavers {
		out := kmsg.NewLeaveGroupResponseMember()
		out.MemberID, out.InstanceID, out.ErrorCode = l.MemberID, l.InstanceID, Code(l.Err)
		resp.Members = append(resp.Members, out)
	}
	return resp, nil
}
