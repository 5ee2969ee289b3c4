package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// The election types of ElectLeaders.
const (
	electPreferred = 0
	electUnclean   = 1
)

// handleElectLeaders finds that the only broker leads everything that it can already.
func handleElectLeaders(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.ElectLeadersRequest)
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	var bad error
	if t := req.ElectionType; t != electPreferred && t != electUnclean {
		bad = &Fault{Kafka: kerr.InvalidRequest, Message: fmt.Sprintf("Unknown election type %d", t)}
		resp.ErrorCode = kerr.InvalidRequest.Code
	}
	if bad == nil && len(req.Topics) > 0 && tooLate(req.TimeoutMillis) {
		bad = kerr.RequestTimedOut
		resp.ErrorCode = kerr.RequestTimedOut.Code
	}
	im := n.Image()
	if req.Topics == nil {
		// Of all partitions only those are told that needed an election.
		for _, t := range im.Topics() {
			out := kmsg.NewElectLeadersResponseTopic()
			out.Topic = t.Name
			resp.Topics = append(resp.Topics, out)
		}
	}
	for _, t := range req.Topics {
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			err := bad
			if err == nil {
				err = n.election(im, t.Topic, p, req.ElectionType)
			}
			res := kmsg.NewElectLeadersResponseTopicPartition()
			res.Partition, res.ErrorCode, res.ErrorMessage = p, Code(err), MessageOf(err)
			out.Partitions = append(out.Partitions, res)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

func (n *Node) election(im *controller.Image, topic string, partition int32, kind int8) error {
	t := im.Topic(topic)
	if t == nil {
		return &Fault{Kafka: kerr.UnknownTopicOrPartition, Message: "No such topic as " + topic}
	}
	if partition < 0 || int(partition) >= len(t.Partitions) {
		return &Fault{Kafka: kerr.UnknownTopicOrPartition, Message: fmt.Sprintf("No such partition as %s-%d", topic, partition)}
	}
	if n.standingOf(t, partition).leader == controller.NoLeader {
		if kind == electPreferred {
			return &Fault{Kafka: kerr.PreferredLeaderNotAvailable, Message: "The preferred leader was not available."}
		}
		return &Fault{Kafka: kerr.EligibleLeadersNotAvailable, Message: "No replica that could lead is available."}
	}
	return &Fault{Kafka: kerr.ElectionNotNeeded, Message: "Leader election not needed for topic partition."}
}
