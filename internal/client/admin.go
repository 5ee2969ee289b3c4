package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Connect asks the cluster for its features until a broker answers or limit is over. tell, if not nil, hears why each attempt failed.
func Connect(ctx context.Context, cl *kgo.Client, limit time.Duration, tell func(error)) (f Features, err error) {
	err = retry(ctx, limit, func() (err error) {
		f, err = FetchFeatures(ctx, cl)
		if err != nil && tell != nil {
			tell(err)
		}
		return err
	})
	return f, err
}

// Describe returns the topics among names that exist.
func Describe(ctx context.Context, cl *kgo.Client, names []string, limit time.Duration) (map[string]TopicInfo, error) {
	if len(names) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, rt)
	}
	found := make(map[string]TopicInfo, len(names))
	err := retry(ctx, limit, func() error {
		clear(found)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for i := range resp.Topics {
			rt := &resp.Topics[i]
			if rt.Topic == nil {
				continue
			}
			info, err := topicInfo(*rt.Topic, rt)
			switch {
			case errors.Is(err, kerr.UnknownTopicOrPartition):
				continue
			case err != nil:
				return fmt.Errorf("topic %s: %w", *rt.Topic, err)
			}
			found[info.Name] = info
		}
		return nil
	})
	return found, err
}

// ListTopics returns the names of all topics.
func ListTopics(ctx context.Context, cl *kgo.Client, limit time.Duration) (names []string, err error) {
	req := kmsg.NewPtrMetadataRequest() // no list of topics asks for all
	err = retry(ctx, limit, func() error {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		names = names[:0]
		for _, rt := range resp.Topics {
			if rt.Topic != nil && rt.ErrorCode == 0 {
				names = append(names, *rt.Topic)
			}
		}
		return nil
	})
	return names, err
}

// NewTopic is a topic to be created.
type NewTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16 // -1: the broker's default
	Config            map[string]string
}

// CreateTopics creates topics and waits until each partition has a leader. A topic that exists already, perhaps made by another instance at this moment, is left as it is.
func CreateTopics(ctx context.Context, cl *kgo.Client, topics []NewTopic, limit time.Duration) error {
	if len(topics) == 0 {
		return nil
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(produceTimeout.Milliseconds())
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.Name, t.Partitions, t.ReplicationFactor
		for k, v := range t.Config {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = k, kmsg.StringPtr(v)
			rt.Configs = append(rt.Configs, c)
		}
		slices.SortFunc(rt.Configs, func(a, b kmsg.CreateTopicsRequestTopicConfig) int {
			return strings.Compare(a.Name, b.Name)
		})
		req.Topics = append(req.Topics, rt)
	}
	return retry(ctx, limit, func() error {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for i := range resp.Topics {
			rt := &resp.Topics[i]
			err := kerr.ErrorForCode(rt.ErrorCode)
			if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
				continue
			}
			if rt.ErrorMessage != nil {
				return fmt.Errorf("creating topic %s: %w: %s", rt.Topic, err, *rt.ErrorMessage)
			}
			return fmt.Errorf("creating topic %s: %w", rt.Topic, err)
		}
		found, err := Describe(ctx, cl, names, 0)
		if err != nil {
			return err
		}
		for _, name := range names {
			info, ok := found[name]
			if !ok || slices.Contains(info.Leaders, -1) {
				return fmt.Errorf("topic %s was created: %w", name, kerr.LeaderNotAvailable)
			}
		}
		return nil
	})
}

// TopicConfigs returns settings of topics by topic and name.
func TopicConfigs(ctx context.Context, cl *kgo.Client, topics, settings []string, limit time.Duration) (map[string]map[string]string, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range topics {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, name, settings
		req.Resources = append(req.Resources, r)
	}
	configs := make(map[string]map[string]string, len(topics))
	err := retry(ctx, limit, func() error {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for i := range resp.Resources {
			r := &resp.Resources[i]
			if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
				return fmt.Errorf("settings of topic %s: %w", r.ResourceName, err)
			}
			m := make(map[string]string, len(r.Configs))
			for j := range r.Configs {
				if v := r.Configs[j].Value; v != nil {
					m[r.Configs[j].Name] = *v
				}
			}
			configs[r.ResourceName] = m
		}
		return nil
	})
	return configs, err
}

// Setting returns a numeric setting, or def when it is not there.
func Setting(config map[string]string, name string, def int) int {
	if n, err := strconv.Atoi(config[name]); err == nil {
		return n
	}
	return def
}

// DeleteRecords deletes the records before the given offsets.
func DeleteRecords(ctx context.Context, cl *kgo.Client, before map[TopicPartition]int64) error {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = int32(produceTimeout.Milliseconds())
	for tp, offset := range before {
		i := slices.IndexFunc(req.Topics, func(t kmsg.DeleteRecordsRequestTopic) bool { return t.Topic == tp.Topic })
		if i < 0 {
			i = len(req.Topics)
			rt := kmsg.NewDeleteRecordsRequestTopic()
			rt.Topic = tp.Topic
			req.Topics = append(req.Topics, rt)
		}
		rp := kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Partition, rp.Offset = tp.Partition, offset
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	if len(req.Topics) == 0 {
		return nil
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for i := range resp.Topics {
		for _, rp := range resp.Topics[i].Partitions {
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return fmt.Errorf("topic %s, partition %d: %w", resp.Topics[i].Topic, rp.Partition, err)
			}
		}
	}
	return nil
}

// Leave takes a static member out of its group, which franz-go leaves to the session time-out.
func Leave(ctx context.Context, cl *kgo.Client, m Member) error {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = m.Group, m.ID
	rm := kmsg.NewLeaveGroupRequestMember()
	rm.MemberID, rm.InstanceID, rm.Reason = m.ID, m.InstanceID, kmsg.StringPtr("the instance ends")
	req.Members = append(req.Members, rm)
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	return err
}
