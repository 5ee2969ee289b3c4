package client

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TopicID identifies a topic beyond its name: a topic that is deleted and created again has another one. Zero on brokers without topic ids.
type TopicID = [16]byte

// TopicInfo is what metadata tells about a topic.
type TopicInfo struct {
	Name    string
	ID      TopicID
	Leaders []int32 // broker by partition; -1 is none at present
}

// Topics is a cache of topic metadata. Safe for concurrent use.
type Topics struct {
	cl *kgo.Client

	mu     sync.Mutex
	topics map[string]TopicInfo // guarded by mu; the values are replaced, never changed
}

// NewTopics returns an empty cache that asks through cl.
func NewTopics(cl *kgo.Client) *Topics {
	return &Topics{cl: cl, topics: make(map[string]TopicInfo)}
}

// Get returns a topic from the cache, or asks for it. A topic that does not exist is kerr.UnknownTopicOrPartition.
func (t *Topics) Get(ctx context.Context, name string) (TopicInfo, error) {
	t.mu.Lock()
	info, ok := t.topics[name]
	t.mu.Unlock()
	if ok {
		return info, nil
	}
	infos, err := t.Refresh(ctx, name)
	if err != nil {
		return TopicInfo{}, err
	}
	return infos[0], nil
}

// Refresh asks for topics anew and returns them in the order of names. The first topic that has an error ends it, but the others are in the cache then.
func (t *Topics) Refresh(ctx context.Context, names ...string) ([]TopicInfo, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, name := range names {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, t.cl)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]int, len(resp.Topics))
	for i := range resp.Topics {
		if n := resp.Topics[i].Topic; n != nil {
			byName[*n] = i
		}
	}
	var firstErr error
	infos := make([]TopicInfo, 0, len(names))
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		i, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("client: metadata answer lacks topic %s", name)
		}
		info, err := topicInfo(name, &resp.Topics[i])
		if err != nil {
			delete(t.topics, name)
			if firstErr == nil {
				firstErr = fmt.Errorf("topic %s: %w", name, err)
			}
			continue
		}
		t.topics[name] = info
		infos = append(infos, info)
	}
	return infos, firstErr
}

func topicInfo(name string, rt *kmsg.MetadataResponseTopic) (TopicInfo, error) {
	if err := kerr.ErrorForCode(rt.ErrorCode); err != nil {
		return TopicInfo{}, err
	}
	info := TopicInfo{Name: name, ID: rt.TopicID, Leaders: make([]int32, len(rt.Partitions))}
	for i := range info.Leaders {
		info.Leaders[i] = -1
	}
	for i := range rt.Partitions {
		if p := &rt.Partitions[i]; p.Partition >= 0 && int(p.Partition) < len(info.Leaders) {
			info.Leaders[p.Partition] = p.Leader
		}
	}
	return info, nil
}
