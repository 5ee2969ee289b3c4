package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/settings"
)

// handleCreateTopics makes topics, each on its own.
func handleCreateTopics(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.CreateTopicsRequest)
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	var out []controller.CreatedTopic
	topics := newTopics(req)
	late := tooLate(req.TimeoutMillis)
	err := n.Cluster.Propose(ctx, func(im *controller.Image) (records []controller.Record, _ error) {
		records, out = controller.CreateTopics(im, n.Cluster.Env(), topics)
		if req.ValidateOnly || late {
			return nil, nil
		}
		return records, nil
	})
	for _, c := range out {
		t := kmsg.NewCreateTopicsResponseTopic()
		t.Topic = c.Name
		switch {
		case late:
			c.Err = kerr.RequestTimedOut
		case c.Err == nil:
			c.Err = err
		}
		t.ErrorCode, t.ErrorMessage = Code(c.Err), MessageOf(c.Err)
		t.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
		if c.Err == nil {
			t.TopicID, t.NumPartitions, t.ReplicationFactor = c.ID, c.Partitions, c.Replication
			t.Configs = createdConfigs(n.Settings(), c.Configs)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp, nil
}

func newTopics(req *kmsg.CreateTopicsRequest) []controller.NewTopic {
	topics := make([]controller.NewTopic, len(req.Topics))
	for i, t := range req.Topics {
		nt := controller.NewTopic{Name: t.Topic, Partitions: t.NumPartitions, Replication: t.ReplicationFactor}
		for _, a := range t.ReplicaAssignment {
			nt.Assignment = append(nt.Assignment, controller.Assignment{Partition: a.Partition, Replicas: a.Replicas})
		}
		for _, c := range t.Configs {
			nt.Configs = append(nt.Configs, controller.Config{Name: c.Name, Value: c.Value})
		}
		topics[i] = nt
	}
	return topics
}

// tooLate reports whether a request gave the controller no time at all: what it asks for does not happen then.
func tooLate(timeoutMs int32) bool { return timeoutMs <= 0 }

// createdConfigs lists the effective configuration of a topic that was just made (KIP-525), what was given as it was given.
func createdConfigs(b *settings.Broker, overrides map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	out := make([]kmsg.CreateTopicsResponseTopicConfig, 0, len(settings.TopicDefs()))
	for _, d := range settings.TopicDefs() {
		layers := b.TopicLayers(overrides, d.Name)
		if len(layers) == 0 && d.NoDefault {
			continue
		}
		value, given := overrides[d.Name]
		if !given {
			value = settings.TopicValue(b, overrides, d.Name).String()
		}
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.Source = d.Name, &value, int8(settings.Winner(layers))
		out = append(out, c)
	}
	return out
}
