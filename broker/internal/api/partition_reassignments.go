package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// handleAlterPartitionAssignments takes the assignments that are in force already; with one broker there is no other to move a replica to.
func handleAlterPartitionAssignments(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.AlterPartitionAssignmentsRequest)
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	im := n.Image()
	late := len(req.Topics) > 0 && tooLate(req.TimeoutMillis)
	if late {
		resp.ErrorCode, resp.ErrorMessage = Code(kerr.RequestTimedOut), MessageOf(kerr.RequestTimedOut)
	}
	for _, t := range req.Topics {
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			err := error(kerr.RequestTimedOut)
			if !late {
				err = reassign(im, t.Topic, p.Partition, p.Replicas)
			}
			res := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			res.Partition, res.ErrorCode, res.ErrorMessage = p.Partition, Code(err), MessageOf(err)
			out.Partitions = append(out.Partitions, res)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

// reassign checks a new list of replicas; nil cancels what is under way, which is never anything.
func reassign(im *controller.Image, topic string, partition int32, replicas []int32) error {
	t := im.Topic(topic)
	switch {
	case t == nil:
		return &Fault{Kafka: kerr.UnknownTopicOrPartition, Message: fmt.Sprintf("Unable to find a topic named %s.", topic)}
	case partition < 0 || int(partition) >= len(t.Partitions):
		return &Fault{Kafka: kerr.UnknownTopicOrPartition, Message: fmt.Sprintf("Unable to find partition %s:%d.", topic, partition)}
	case replicas == nil:
		return kerr.NoReassignmentInProgress
	case len(replicas) == 0:
		return &Fault{Kafka: kerr.InvalidReplicaAssignment, Message: "The manual partition assignment includes an empty replica list."}
	}
	for i, id := range replicas {
		if im.Broker(id) == nil {
			return &Fault{Kafka: kerr.InvalidReplicaAssignment,
				Message: fmt.Sprintf("The manual partition assignment includes broker %d, but no such broker is registered.", id)}
		}
		if slices.Contains(replicas[:i], id) {
			return &Fault{Kafka: kerr.InvalidReplicaAssignment,
				Message: fmt.Sprintf("The manual partition assignment includes the broker %d more than once.", id)}
		}
	}
	return nil
}

// handleListPartitionReassignments has none to list.
func handleListPartitionReassignments(_ context.Context, _ *Node, r *Request) (kmsg.Response, error) {
	return r.Body.ResponseKind(), nil
}
