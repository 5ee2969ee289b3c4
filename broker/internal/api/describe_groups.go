package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
)

// groupOperations are the operations that there are on a group, as a bit field: what everybody may do without an authorizer.
const groupOperations = 1<<OpRead | 1<<OpDelete | 1<<OpDescribe | 1<<OpDescribeConfigs | 1<<OpAlterConfigs

// handleDescribeGroups shows groups. One that does not exist is Dead; from v6 on it is an error too (KIP-1043).
func handleDescribeGroups(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DescribeGroupsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	groups := seen[string]{}
	for _, id := range req.Groups {
		if !groups.few(id) {
			continue
		}
		out := describedGroup(n.Groups.Describe(ctx, id), req.Version)
		if req.IncludeAuthorizedOperations && out.ErrorCode == 0 {
			out.AuthorizedOperations = groupOperations
		}
		resp.Groups = append(resp.Groups, out)
	}
	return resp, nil
}

func describedGroup(d group.Description, version int16) kmsg.DescribeGroupsResponseGroup {
	out := kmsg.NewDescribeGroupsResponseGroup()
	out.Group = d.Group
	switch {
	case errors.Is(d.Err, kerr.GroupIDNotFound):
		out.State = group.Dead.String()
		if version >= 6 {
			out.ErrorCode, out.ErrorMessage = Code(d.Err), MessageOf(d.Err)
		}
		return out
	case d.Err != nil:
		out.ErrorCode = Code(d.Err)
		return out
	}
	out.State, out.ProtocolType, out.Protocol = d.State.String(), d.ProtocolType, d.Protocol
	for _, mb := range d.Members {
		m := kmsg.NewDescribeGroupsResponseGroupMember()
		m.MemberID, m.InstanceID = mb.ID, mb.InstanceID
		m.ClientID, m.ClientHost = mb.ClientID, mb.ClientHost
		m.ProtocolMetadata, m.MemberAssignment = mb.Metadata, mb.Assignment
		out.Members = append(out.Members, m)
	}
	return out
}
