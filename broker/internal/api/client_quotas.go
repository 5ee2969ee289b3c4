package api

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// handleDescribeClientQuotas finds quotas by their entities. They are kept for those who manage them; nobody is throttled by them.
func handleDescribeClientQuotas(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DescribeClientQuotasRequest)
	resp := req.ResponseKind().(*kmsg.DescribeClientQuotasResponse)
	filters := make([]controller.QuotaFilter, len(req.Components))
	for i, c := range req.Components {
		filters[i] = controller.QuotaFilter{Type: c.EntityType, Match: controller.QuotaMatch(c.MatchType), Name: c.Match}
	}
	found, err := controller.FindClientQuotas(n.Image(), filters, req.Strict)
	resp.ErrorCode, resp.ErrorMessage = Code(err), MessageOf(err)
	if err != nil {
		return resp, nil
	}
	empty := ""
	resp.ErrorMessage = &empty
	resp.Entries = make([]kmsg.DescribeClientQuotasResponseEntry, len(found))
	for i, q := range found {
		resp.Entries[i] = describedQuotas(q)
	}
	return resp, nil
}

func describedQuotas(q controller.ClientQuotas) kmsg.DescribeClientQuotasResponseEntry {
	out := kmsg.NewDescribeClientQuotasResponseEntry()
	types, parts := q.Entity.Parts()
	for i, t := range types {
		e := kmsg.NewDescribeClientQuotasResponseEntryEntity()
		e.Type = t
		if parts[i].Kind == controller.QuotaNamed {
			e.Name = &parts[i].Name
		}
		out.Entity = append(out.Entity, e)
	}
	for _, key := range slices.Sorted(maps.Keys(q.Quotas)) {
		v := kmsg.NewDescribeClientQuotasResponseEntryValue()
		v.Key, v.Value = key, q.Quotas[key]
		out.Values = append(out.Values, v)
	}
	return out
}

// handleAlterClientQuotas changes quotas, each entity on its own.
func handleAlterClientQuotas(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.AlterClientQuotasRequest)
	resp := req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
	changes := make([]controller.QuotaChange, len(req.Entries))
	for i, e := range req.Entries {
		for _, part := range e.Entity {
			changes[i].Entity = append(changes[i].Entity, controller.NamedEntity{Type: part.Type, Name: part.Name})
		}
		for _, op := range e.Ops {
			changes[i].Ops = append(changes[i].Ops, controller.QuotaOp{Key: op.Key, Value: op.Value, Remove: op.Remove})
		}
	}
	var errs []error
	err := n.Cluster.Propose(ctx, func(im *controller.Image) (records []controller.Record, _ error) {
		records, errs = controller.AlterClientQuotas(im, changes)
		if req.ValidateOnly {
			return nil, nil
		}
		return records, nil
	})
	for i, e := range req.Entries {
		out := kmsg.NewAlterClientQuotasResponseEntry()
		failed := err
		if i < len(errs) && errs[i] != nil {
			failed = errs[i]
		}
		out.ErrorCode, out.ErrorMessage = Code(failed), MessageOf(failed)
		last := make(map[string]int, len(e.Entity))
		for i, part := range e.Entity {
			last[part.Type] = i
		}
		for i, part := range e.Entity {
			if last[part.Type] != i {
				continue // the last naming of a type counts
			}
			named := kmsg.NewAlterClientQuotasResponseEntryEntity()
			named.Type, named.Name = part.Type, part.Name
			out.Entity = append(out.Entity, named)
		}
		resp.Entries = append(resp.Entries, out)
	}
	return resp, nil
}
