package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// handleDeleteTopics deletes topics, each on its own, by name or from version 6 on by id.
func handleDeleteTopics(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DeleteTopicsRequest)
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	var refs []controller.TopicRef
	for _, name := range req.TopicNames {
		refs = append(refs, controller.TopicRef{Name: name, Named: true})
	}
	for _, t := range req.Topics {
		ref := controller.TopicRef{ID: t.TopicID}
		if t.Topic != nil {
			ref.Name, ref.Named = *t.Topic, true
		}
		refs = append(refs, ref)
	}
	var out []controller.DeletedTopic
	late := tooLate(req.TimeoutMillis)
	err := n.Cluster.Propose(ctx, func(im *controller.Image) (records []controller.Record, _ error) {
		if !n.Settings().Bool("delete.topic.enable") {
			for _, ref := range refs {
				out = append(out, controller.DeletedTopic{Name: ref.Name, ID: ref.ID, Err: kerr.TopicDeletionDisabled})
			}
			return nil, nil
		}
		if records, out = controller.DeleteTopics(im, refs); late {
			return nil, nil
		}
		return records, nil
	})
	for _, d := range out {
		switch {
		case late:
			d.Err = kerr.RequestTimedOut
		case d.Err == nil:
			d.Err = err
		}
		t := kmsg.NewDeleteTopicsResponseTopic()
		t.TopicID = d.ID
		if d.Named {
			t.Topic = &d.Name
		}
		t.ErrorCode, t.ErrorMessage = Code(d.Err), MessageOf(d.Err)
		resp.Topics = append(resp.Topics, t)
	}
	return resp, nil
}
