package broker

import (
	"sync"
	"time"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/settings"
)

// consumerConfig are the settings of one consumer group: its own, held within the broker's bounds as they are now, or the broker's.
func (p *parts) consumerConfig(groupID string) group.ConsumerConfig {
	set := p.cluster.Settings()
	own := p.cluster.Image().Configs(controller.Resource{Type: controller.ResourceGroup, Name: groupID})
	of := func(what string) time.Duration {
		name := "consumer." + what + ".ms"
		text, ok := own[name]
		if !ok {
			return set.Duration("group." + name)
		}
		v, err := settings.GroupDef(name).Parse(text)
		if err != nil {
			return set.Duration("group." + name) // it was checked when it was set; a newer version may have allowed more
		}
		d := time.Duration(v.Int()) * time.Millisecond
		return min(max(d, set.Duration("group.consumer.min."+what+".ms")), set.Duration("group.consumer.max."+what+".ms"))
	}
	return group.ConsumerConfig{
		SessionTimeout:     of("session.timeout"),
		HeartbeatInterval:  of("heartbeat.interval"),
		AssignmentInterval: of("assignment.interval"),
	}
}

// consumerTopics returns what the group coordinator asks for the topics. A moment of the cluster is kept until it changes.
func (p *parts) consumerTopics() func() group.Metadata {
	var mu sync.Mutex
	var last *topicsNow
	return func() group.Metadata {
		im := p.cluster.Image()
		mu.Lock()
		defer mu.Unlock()
		if last == nil || last.im != im {
			last = &topicsNow{im: im}
		}
		return last
	}
}

// topicsNow shows a moment of the cluster to the group coordinator.
type topicsNow struct {
	im    *controller.Image
	once  sync.Once
	names []string // set by once
}

func (t *topicsNow) Version() uint64 { return t.im.Index() }

func (t *topicsNow) Topic(name string) (group.TopicInfo, bool) { return topicInfo(t.im.Topic(name)) }

func (t *topicsNow) TopicByID(id [16]byte) (group.TopicInfo, bool) {
	return topicInfo(t.im.TopicByID(id))
}

// PartitionRacks are those of the brokers that hold a partition, as far as they said where they are.
func (t *topicsNow) PartitionRacks(id [16]byte, partition int32) (racks []string) {
	topic := t.im.TopicByID(id)
	if topic == nil || int(partition) >= len(topic.Partitions) {
		return nil
	}
	for _, replica := range topic.Partitions[partition].Replicas {
		if b := t.im.Broker(replica); b != nil && b.Rack != "" {
			racks = append(racks, b.Rack)
		}
	}
	return racks
}

func topicInfo(t *controller.Topic) (group.TopicInfo, bool) {
	if t == nil {
		return group.TopicInfo{}, false
	}
	return group.TopicInfo{Name: t.Name, ID: t.ID, Partitions: int32(len(t.Partitions))}, true
}

func (t *topicsNow) TopicNames() []string {
	t.once.Do(func() {
		for _, topic := range t.im.Topics() {
			t.names = append(t.names, topic.Name)
		}
	})
	return t.names
}
