package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// handleDeleteGroups removes groups without members, with their offsets.
func handleDeleteGroups(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DeleteGroupsRequest)
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	groups := seen[string]{}
	for _, id := range req.Groups {
		if !groups.first(id) {
			continue
		}
		out := kmsg.NewDeleteGroupsResponseGroup()
		out.Group, out.ErrorCode = id, Code(n.Groups.Delete(ctx, id))
		resp.Groups = append(resp.Groups, out)
	}
	return resp, nil
}
