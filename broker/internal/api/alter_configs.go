package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// handleIncrementalAlterConfigs changes single configs of resources, each resource on its own.
func handleIncrementalAlterConfigs(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.IncrementalAlterConfigsRequest)
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	changes := make([]controller.ResourceChange, len(req.Resources))
	for i, res := range req.Resources {
		changes[i].Resource = resource(res.ResourceType, res.ResourceName)
		for _, c := range res.Configs {
			changes[i].Changes = append(changes[i].Changes, controller.Alteration{Name: c.Name, Op: controller.ConfigOp(c.Op), Value: c.Value})
		}
	}
	for i, err := range n.alterConfigs(ctx, changes, false, req.ValidateOnly) {
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = req.Resources[i].ResourceType, req.Resources[i].ResourceName
		out.ErrorCode, out.ErrorMessage = Code(err), MessageOf(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp, nil
}

// handleAlterConfigs replaces all configs of resources, each resource on its own. New tools use IncrementalAlterConfigs.
func handleAlterConfigs(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.AlterConfigsRequest)
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	changes := make([]controller.ResourceChange, len(req.Resources))
	for i, res := range req.Resources {
		changes[i].Resource = resource(res.ResourceType, res.ResourceName)
		for _, c := range res.Configs {
			changes[i].Changes = append(changes[i].Changes, controller.Alteration{Name: c.Name, Op: controller.OpSet, Value: c.Value})
		}
	}
	for i, err := range n.alterConfigs(ctx, changes, true, req.ValidateOnly) {
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = req.Resources[i].ResourceType, req.Resources[i].ResourceName
		out.ErrorCode, out.ErrorMessage = Code(err), MessageOf(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp, nil
}

func resource(t kmsg.ConfigResourceType, name string) controller.Resource {
	return controller.Resource{Type: controller.ResourceType(t), Name: name}
}

// alterConfigs returns an error, or nil, for each change.
func (n *Node) alterConfigs(ctx context.Context, changes []controller.ResourceChange, replace, validateOnly bool) []error {
	var out []controller.ChangedResource
	err := n.Cluster.Propose(ctx, func(im *controller.Image) (records []controller.Record, _ error) {
		records, out = controller.AlterConfigs(im, n.Cluster.Env(), changes, replace)
		if validateOnly {
			return nil, nil
		}
		return records, nil
	})
	errs := make([]error, len(changes))
	for i := range errs {
		errs[i] = err
		if i < len(out) && out[i].Err != nil {
			errs[i] = out[i].Err
		}
	}
	return errs
}
