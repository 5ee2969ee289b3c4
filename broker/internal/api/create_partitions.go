package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// handleCreatePartitions gives topics more partitions, each topic on its own.
func handleCreatePartitions(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.CreatePartitionsRequest)
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	growths := make([]controller.Growth, len(req.Topics))
	for i, t := range req.Topics {
		growths[i] = controller.Growth{Topic: t.Topic, Count: t.Count}
		if t.Assignment != nil {
			growths[i].Assignment = make([][]int32, len(t.Assignment))
			for j, a := range t.Assignment {
				growths[i].Assignment[j] = a.Replicas
			}
		}
	}
	var out []controller.GrownTopic
	late := tooLate(req.TimeoutMillis)
	err := n.Cluster.Propose(ctx, func(im *controller.Image) (records []controller.Record, _ error) {
		records, out = controller.CreatePartitions(im, growths)
		if req.ValidateOnly || late {
			return nil, nil
		}
		return records, nil
	})
	for _, g := range out {
		switch {
		case late:
			g.Err = kerr.RequestTimedOut
		case g.Err == nil:
			g.Err = err
		}
		t := kmsg.NewCreatePartitionsResponseTopic()
		t.Topic, t.ErrorCode, t.ErrorMessage = g.Topic, Code(g.Err), MessageOf(g.Err)
		resp.Topics = append(resp.Topics, t)
	}
	return resp, nil
}
