package controller

import (
	"fmt"
	"maps"
	"slices"
)

// Apply returns the image after the records. The image given is not changed; what the records do not touch is shared between both. An error means
// that the records do not belong to the image: the stored metadata is damaged.
func Apply(im *Image, records ...Record) (*Image, error) {
	if len(records) == 0 {
		return im, nil
	}
	next := *im
	b := builder{im: &next}
	for _, r := range records {
		if err := b.apply(r); err != nil {
			return nil, fmt.Errorf("controller: metadata record %d: %w", next.index, err)
		}
		next.index++
	}
	return &next, nil
}

// builder copies each map of the image once, before its first change.
type builder struct {
	im *Image

	brokers, topics, configs, features, deleted, quotas, scram bool // already copied
}

func (b *builder) apply(r Record) error {
	switch r := r.(type) {
	case *ClusterCreated:
		b.im.clusterID = r.ClusterID
	case *BrokerRegistered:
		b.registerBroker(r)
	case *TopicCreated:
		return b.createTopic(r)
	case *PartitionsAdded:
		t := b.im.byID[r.ID]
		if t == nil {
			return fmt.Errorf("partitions for topic %x, which does not exist", r.ID)
		}
		n := *t
		n.Partitions = slices.Concat(t.Partitions, r.Partitions)
		b.putTopic(&n)
	case *TopicDeleted:
		return b.deleteTopic(r)
	case *TopicPurged:
		b.own(&b.deleted, func() { b.im.deleted = maps.Clone(b.im.deleted) })
		if r.Partitions > 0 {
			b.im.deleted[r.ID] = r.Partitions
		} else {
			delete(b.im.deleted, r.ID)
		}
	case *ConfigsSet:
		return b.setConfigs(r)
	case *ProducerIDs:
		if r.Next < b.im.nextProducerID {
			return fmt.Errorf("the next producer id falls from %d to %d", b.im.nextProducerID, r.Next)
		}
		b.im.nextProducerID = r.Next
	case *FeatureSet:
		b.own(&b.features, func() { b.im.features = maps.Clone(b.im.features) })
		b.im.features[r.Name] = r.Level
		if r.Level == 0 {
			delete(b.im.features, r.Name)
		}
	case *ClientQuotasSet:
		return b.setClientQuotas(r)
	case *ScramSet:
		b.ownScram()
		b.im.scram[r.Key] = r.Credential
	case *ScramRemoved:
		return b.removeScram(r)
	default:
		return fmt.Errorf("unknown record %T", r)
	}
	return nil
}

func (b *builder) own(done *bool, clone func()) {
	if !*done {
		clone()
		*done = true
	}
}

func (b *builder) ownTopics() {
	b.own(&b.topics, func() {
		b.im.topics = maps.Clone(b.im.topics)
		b.im.byID = maps.Clone(b.im.byID)
	})
}

func (b *builder) putTopic(t *Topic) {
	b.ownTopics()
	if old := b.im.byID[t.ID]; old != nil {
		b.im.partitions -= len(old.Partitions)
	}
	b.im.partitions += len(t.Partitions)
	b.im.topics[t.Name] = t
	b.im.byID[t.ID] = t
}

func (b *builder) registerBroker(r *BrokerRegistered) {
	b.own(&b.brokers, func() { b.im.brokers = maps.Clone(b.im.brokers) })
	b.im.brokers[r.ID] = &Broker{ID: r.ID, Rack: r.Rack, Epoch: int64(b.im.index)}
	if r.Clean {
		return
	}
	for _, t := range b.im.topics {
		n := *t
		n.Partitions = slices.Clone(t.Partitions)
		changed := false
		for i := range n.Partitions {
			if p := &n.Partitions[i]; p.Leader == r.ID {
				p.LeaderEpoch++
				p.PartitionEpoch++
				changed = true
			}
		}
		if changed {
			b.putTopic(&n)
		}
	}
}

func (b *builder) createTopic(r *TopicCreated) error {
	if b.im.topics[r.Name] != nil || b.im.byID[r.ID] != nil {
		return fmt.Errorf("topic %s exists already", r.Name)
	}
	b.putTopic(&Topic{Name: r.Name, ID: r.ID, Configs: r.Configs, Partitions: r.Partitions})
	return nil
}

func (b *builder) deleteTopic(r *TopicDeleted) error {
	t := b.im.byID[r.ID]
	if t == nil {
		return fmt.Errorf("topic %x is to be deleted but does not exist", r.ID)
	}
	b.ownTopics()
	b.im.partitions -= len(t.Partitions)
	delete(b.im.topics, t.Name)
	delete(b.im.byID, t.ID)
	b.own(&b.deleted, func() { b.im.deleted = maps.Clone(b.im.deleted) })
	b.im.deleted[t.ID] = int32(len(t.Partitions))
	return nil
}

func (b *builder) setConfigs(r *ConfigsSet) error {
	if r.Resource.Type == ResourceTopic {
		t := b.im.topics[r.Resource.Name]
		if t == nil {
			return fmt.Errorf("configs for topic %s, which does not exist", r.Resource.Name)
		}
		n := *t
		n.Configs = r.Configs
		b.putTopic(&n)
		return nil
	}
	b.own(&b.configs, func() { b.im.configs = maps.Clone(b.im.configs) })
	if len(r.Configs) == 0 {
		delete(b.im.configs, r.Resource)
		return nil
	}
	b.im.configs[r.Resource] = r.Configs
	return nil
}

// Snapshot returns the records that build the image from nothing. The broker epochs are those of the snapshot, not of the original history.
func (im *Image) Snapshot() []Record {
	out := []Record{&ClusterCreated{im.clusterID}}
	for _, b := range im.Brokers() {
		out = append(out, &BrokerRegistered{ID: b.ID, Rack: b.Rack, Clean: true})
	}
	for _, name := range slices.Sorted(maps.Keys(im.features)) {
		out = append(out, &FeatureSet{name, im.features[name]})
	}
	for _, t := range im.Topics() {
		out = append(out, &TopicCreated{Name: t.Name, ID: t.ID, Configs: t.Configs, Partitions: t.Partitions})
	}
	for _, id := range slices.SortedFunc(maps.Keys(im.deleted), func(a, b TopicID) int { return slices.Compare(a[:], b[:]) }) {
		out = append(out, &TopicPurged{ID: id, Partitions: im.deleted[id]})
	}
	resources := slices.SortedFunc(maps.Keys(im.configs), func(a, b Resource) int {
		if a.Type != b.Type {
			return int(a.Type) - int(b.Type)
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	for _, r := range resources {
		out = append(out, &ConfigsSet{r, im.configs[r]})
	}
	for _, e := range im.quotaEntities() {
		out = append(out, &ClientQuotasSet{e, im.quotas[e]})
	}
	for _, k := range im.scramKeys() {
		out = append(out, &ScramSet{k, im.scram[k]})
	}
	return append(out, &ProducerIDs{im.nextProducerID})
}
