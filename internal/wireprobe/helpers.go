package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// topic NAME [partitions=N] [rf=N] [assign=1:2:3] [config=value…] makes a topic with a fresh name and waits until all brokers serve it.
func (r *runner) topic(args []string) error {
	name := args[0]
	r.vars.fresh(name)
	full := r.vars.values[name].(string)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(5)
	req.TimeoutMillis = 10000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = full, 1, 1
	// Scripts use timestamps of 1970: without these two, records would expire and a marker of today would roll the segment,
	// at whose end a fetch stops.
	never, forever := "-1", "9223372036854775807"
	t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms", Value: &never}, {Name: "segment.ms", Value: &forever}}
	for _, a := range args[1:] {
		k, v, _ := strings.Cut(a, "=")
		n, _ := strconv.Atoi(v)
		switch k {
		case "partitions":
			t.NumPartitions = int32(n)
		case "rf":
			t.ReplicationFactor = int16(n)
		case "assign":
			t.NumPartitions, t.ReplicationFactor = -1, -1
			for i, part := range strings.Split(v, ",") {
				ra := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
				ra.Partition = int32(i)
				for _, id := range strings.Split(part, ":") {
					n, err := strconv.Atoi(id)
					if err != nil || n < 1 || n > len(r.cluster.ids) {
						return fmt.Errorf("assign: no node %q", id)
					}
					ra.Replicas = append(ra.Replicas, int32(r.cluster.ids[n-1]))
				}
				t.ReplicaAssignment = append(t.ReplicaAssignment, ra)
			}
		default:
			t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: k, Value: &v})
		}
	}
	req.Topics = append(req.Topics, t)
	c, err := dial(r.cluster.addrs[r.cluster.controller])
	if err != nil {
		return err
	}
	defer c.Close()
	resp, err := c.ask(req)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; code != 0 {
		return fmt.Errorf("topic %s: %v", full, formatInline(errorName(code)))
	}
	for _, id := range r.cluster.ids {
		if err := r.awaitTopic(id, name, full); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) awaitTopic(node int64, name, full string) error {
	c, err := dial(r.cluster.addrs[node])
	if err != nil {
		return err
	}
	defer c.Close()
	return until("topic "+full, func() (bool, error) {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(10)
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: &full}}
		resp, err := c.ask(req)
		if err != nil {
			return false, err
		}
		t := resp.(*kmsg.MetadataResponse).Topics[0]
		if t.ErrorCode != 0 {
			return false, nil
		}
		id := t.TopicID
		r.vars.values[name+".id"] = id[:]
		list := kmsg.NewPtrListOffsetsRequest()
		list.SetVersion(4)
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = full
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 || p.Leader < 0 {
				return false, nil
			}
			if int64(p.Leader) == node {
				rp := kmsg.NewListOffsetsRequestTopicPartition()
				rp.Partition, rp.Timestamp = p.Partition, -2
				rt.Partitions = append(rt.Partitions, rp)
			}
		}
		if len(rt.Partitions) == 0 {
			return true, nil
		}
		list.Topics = append(list.Topics, rt)
		if resp, err = c.ask(list); err != nil {
			return false, err
		}
		for _, p := range resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				return false, nil
			}
		}
		return true, nil
	})
}
