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
	states, types := filterBy(req.StatesFilter), filterBy(req.TypesFilter)
	for _, g := range all {
		if !states.lets(g.State.String()) || !types.lets(g.Kind.String()) {
			continue
		}
		out := kmsg.NewListGroupsResponseGroup()
		out.Group, out.ProtocolType = g.Group, g.ProtocolType
		out.GroupState, out.GroupType = g.State.String(), g.Kind.String()
		resp.Groups = append(resp.Groups, out)
	}
	return resp, nil
}

// wordFilter lets some words through. Groups have few states and types between them: each is looked up once, however many words a client filters by.
type wordFilter struct {
	words []string // empty lets everything through
	known map[string]bool
}

func filterBy(list []string) wordFilter { return wordFilter{list, map[string]bool{}} }

func (f *wordFilter) lets(word string) bool {
	yes, ok := f.known[word]
	if !ok {
		yes = len(f.words) == 0 || slices.ContainsFunc(f.words, func(w string) bool { return strings.EqualFold(w, word) })
		f.known[word] = yes
	}
	return yes
}
