package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// TopicID names a topic for its lifetime; a topic that is deleted and made again gets another one. The zero TopicID is no topic.
type TopicID [16]byte

// NoLeader is the leader of a partition that has none.
const NoLeader int32 = -1

// Names of the topics that the broker itself writes.
const (
	OffsetsTopic      = "__consumer_offsets"
	TransactionsTopic = "__transaction_state"
)

// MetadataTopic is what Kafka calls the log of the cluster's metadata. It cannot be read here, only described, and nobody may have a topic of that name.
const MetadataTopic = "__cluster_metadata"

// IsInternal reports whether clients may not write to the topic.
func IsInternal(topic string) bool { return topic == OffsetsTopic || topic == TransactionsTopic }

// Image is the metadata of a cluster at one moment. It and everything reached from it is immutable.
type Image struct {
	clusterID      string
	index          uint64 // number of records applied
	brokers        map[int32]*Broker
	topics         map[string]*Topic
	byID           map[TopicID]*Topic
	partitions     int                            // of all topics
	configs        map[Resource]map[string]string // brokers and groups; a topic has its own
	features       map[string]int16
	nextProducerID int64
	deleted        map[TopicID]int32 // deleted topics whose files may still lie on disk, with their partition count
	quotas         map[QuotaEntity]map[string]float64
	scram          map[ScramKey]ScramCredential
}

// Broker is a member of the cluster.
type Broker struct {
	ID    int32
	Rack  string
	Epoch int64 // index of the record that registered it
}

// Topic is one topic.
type Topic struct {
	Name       string
	ID         TopicID
	Configs    map[string]string // overrides only
	Partitions []Partition       // by number
}

// Partition says who holds and who leads a partition.
type Partition struct {
	Replicas       []int32 // preferred leader first
	ISR            []int32
	Leader         int32 // NoLeader when there is none
	LeaderEpoch    int32 // rises whenever the leader changes or may have lost its tail
	PartitionEpoch int32 // rises with every change of the partition
}

// ResourceType says what a config belongs to, with the numbers of Kafka's protocol.
type ResourceType int8

// The kinds of resources that have configs.
const (
	ResourceTopic  ResourceType = 2
	ResourceBroker ResourceType = 4
	ResourceGroup  ResourceType = 32
)

// Resource is something that has configs. The broker with the empty name stands for all brokers.
type Resource struct {
	Type ResourceType
	Name string
}

// Empty is the image before any record.
func Empty() *Image {
	return &Image{
		brokers:  map[int32]*Broker{},
		topics:   map[string]*Topic{},
		byID:     map[TopicID]*Topic{},
		configs:  map[Resource]map[string]string{},
		features: map[string]int16{},
		deleted:  map[TopicID]int32{},
		quotas:   map[QuotaEntity]map[string]float64{},
		scram:    map[ScramKey]ScramCredential{},
	}
}

// ClusterID is the cluster's name for itself; "" before it was created.
func (im *Image) ClusterID() string { return im.clusterID }

// Index is the number of records that made the image.
func (im *Image) Index() uint64 { return im.index }

// Broker returns a registered broker, or nil.
func (im *Image) Broker(id int32) *Broker { return im.brokers[id] }

// Brokers returns the registered brokers by id.
func (im *Image) Brokers() []*Broker {
	out := slices.Collect(maps.Values(im.brokers))
	slices.SortFunc(out, func(a, b *Broker) int { return int(a.ID) - int(b.ID) })
	return out
}

// Topic returns the topic of a name, or nil.
func (im *Image) Topic(name string) *Topic { return im.topics[name] }

// TopicByID returns the topic of an id, or nil.
func (im *Image) TopicByID(id TopicID) *Topic { return im.byID[id] }

// Topics returns all topics by name.
func (im *Image) Topics() []*Topic {
	out := slices.Collect(maps.Values(im.topics))
	slices.SortFunc(out, func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// TopicCount is the number of topics.
func (im *Image) TopicCount() int { return len(im.topics) }

// Configs returns what is set on a resource; nil when nothing is. Do not change it.
func (im *Image) Configs(r Resource) map[string]string {
	if r.Type == ResourceTopic {
		if t := im.topics[r.Name]; t != nil {
			return t.Configs
		}
		return nil
	}
	return im.configs[r]
}

// Resources returns the resources of a type that have configs set, by name.
func (im *Image) Resources(t ResourceType) []string {
	var out []string
	for r := range im.configs {
		if r.Type == t {
			out = append(out, r.Name)
		}
	}
	slices.Sort(out)
	return out
}

// Feature returns the finalized level of a feature; 0 when it is not on.
func (im *Image) Feature(name string) int16 { return im.features[name] }

// NextProducerID is the first producer id that no broker was given yet.
func (im *Image) NextProducerID() int64 { return im.nextProducerID }

// Deleted returns the deleted topics whose files may still be there, with their partition counts. Do not change it.
func (im *Image) Deleted() map[TopicID]int32 { return im.deleted }

// Check returns the first broken invariant of the image.
func (im *Image) Check() error {
	if len(im.topics) != len(im.byID) {
		return fmt.Errorf("controller: %d topic names for %d ids", len(im.topics), len(im.byID))
	}
	partitions := 0
	for name, t := range im.topics {
		partitions += len(t.Partitions)
		if t.Name != name || im.byID[t.ID] != t {
			return fmt.Errorf("controller: topic %s is filed under another name or id", name)
		}
		for p, part := range t.Partitions {
			if err := part.check(); err != nil {
				return fmt.Errorf("controller: partition %s-%d: %w", name, p, err)
			}
		}
	}
	if partitions != im.partitions {
		return fmt.Errorf("controller: %d partitions are counted as %d", partitions, im.partitions)
	}
	return nil
}

func (p *Partition) check() error {
	if len(p.Replicas) == 0 {
		return fmt.Errorf("no replicas")
	}
	for _, id := range p.ISR {
		if !slices.Contains(p.Replicas, id) {
			return fmt.Errorf("broker %d is in sync but no replica", id)
		}
	}
	if p.Leader != NoLeader && !slices.Contains(p.ISR, p.Leader) {
		return fmt.Errorf("leader %d is not in sync", p.Leader)
	}
	return nil
}
