package api

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// handleListGroups lists the groups that this broker coordinates, by state and type if asked to. The case of a filter's
// words does not matter, and an unknown word matches nothing.
func handleListGroups(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.ListGroupsRequest)
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	all, err := n.Groups.List(ctx)
	if err != nil {
		resp.ErrorCode = Code(err)
		return resp, nil
	}
	for _, g := range all {
		if !oneOf(req.StatesFilter, g.State.String()) || !oneOf(req.TypesFilter, g.Kind.String()) {
			continue
		}
		out := kmsg.NewListGroupsResponseGroup()
		out.Group, out.ProtocolType = g.Group, g.ProtocolType
		out.GroupState, out.GroupType = g.State.String(), g.Kind.String()
		resp.Groups = append(resp.Groups, out)
	}
	return resp, nil
}

// oneOf says whether a filter lets a word through; an empty filter lets everything.
func oneOf(filter []string, word string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, word) })
}
