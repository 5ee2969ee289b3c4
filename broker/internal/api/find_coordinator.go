package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/coordinator"
)

// The kinds of coordinators that a client may ask for.
const (
	coordinatorOfGroup       = 0
	coordinatorOfTransaction = 1
)

// handleFindCoordinator tells which broker leads the partition of the internal topic that a key belongs to. The first one
// who asks has the topic made.
func handleFindCoordinator(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.FindCoordinatorRequest)
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	if req.Version < 4 {
		c := findCoordinator(ctx, n, r, req.CoordinatorType, req.CoordinatorKey)
		resp.ErrorCode, resp.ErrorMessage = c.ErrorCode, c.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = c.NodeID, c.Host, c.Port
		return resp, nil
	}
	for _, key := range req.CoordinatorKeys {
		resp.Coordinators = append(resp.Coordinators, findCoordinator(ctx, n, r, req.CoordinatorType, key))
	}
	return resp, nil
}

func findCoordinator(ctx context.Context, n *Node, r *Request, kind int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	out := kmsg.NewFindCoordinatorResponseCoordinator()
	out.Key, out.NodeID, out.Port = key, -1, -1
	fail := func(err *kerr.Error) kmsg.FindCoordinatorResponseCoordinator {
		out.ErrorCode, out.ErrorMessage = err.Code, &err.Description
		return out
	}
	var topic string
	switch kind {
	case coordinatorOfGroup:
		topic = controller.OffsetsTopic
	case coordinatorOfTransaction:
		topic = controller.TransactionsTopic
	default:
		return fail(kerr.InvalidRequest)
	}
	t, err := n.EnsureInternalTopic(ctx, topic)
	if err != nil {
		n.Log.Warn("internal topic cannot be made", "topic", topic, "error", err)
		return fail(kerr.CoordinatorNotAvailable)
	}
	p := coordinator.PartitionOf(key, int32(len(t.Partitions)))
	if n.standingOf(t, p).leader != n.ID {
		return fail(kerr.CoordinatorNotAvailable)
	}
	out.NodeID, out.Host, out.Port = n.ID, r.Conn.Listener.Host, r.Conn.Listener.Port
	return out
}
