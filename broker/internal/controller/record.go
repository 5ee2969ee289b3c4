package controller

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"
)

// Record is one change of the metadata. The types below, and those of quotas.go and scram.go, are all there are.
//
// As bytes, integers big-endian, strings and lists with a uvarint count of length+1 as in Kafka's flexible messages:
//
//	+--------+-----------+---------------------+
//	| type 1 | version 1 | fields, by the type |
//	+--------+-----------+---------------------+
//
// A reader refuses types and versions that it does not know: it is older than the data.
type Record interface {
	kind() recordKind
	appendTo(dst []byte) []byte
	readFrom(r *kbin.Reader)
}

type recordKind uint8

const (
	kindClusterCreated   recordKind = 1
	kindBrokerRegistered recordKind = 2
	kindTopicCreated     recordKind = 3
	kindPartitionsAdded  recordKind = 4
	kindTopicDeleted     recordKind = 5
	kindTopicPurged      recordKind = 6
	kindConfigsSet       recordKind = 7
	kindProducerIDs      recordKind = 8
	kindFeatureSet       recordKind = 9
	kindClientQuotasSet  recordKind = 10
	kindScramSet         recordKind = 11
	kindScramRemoved     recordKind = 12
)

// recordVersion is the version of every record type so far.
const recordVersion = 0

// ClusterCreated is the first record of a cluster.
type ClusterCreated struct{ ClusterID string }

// BrokerRegistered says that a broker started. After an unclean stop it may have lost the tail of its logs: every partition it leads gets a new
// leader epoch, by which clients and followers notice.
type BrokerRegistered struct {
	ID    int32
	Rack  string
	Clean bool
}

// TopicCreated makes a topic. In a snapshot it carries epochs as they were.
type TopicCreated struct {
	Name       string
	ID         TopicID
	Configs    map[string]string
	Partitions []Partition
}

// PartitionsAdded appends partitions to a topic.
type PartitionsAdded struct {
	ID         TopicID
	Partitions []Partition
}

// TopicDeleted removes a topic; its files are to be removed.
type TopicDeleted struct{ ID TopicID }

// TopicPurged says that no file of a deleted topic is left.
type TopicPurged struct {
	ID TopicID
	// Partitions is set in snapshots only, where the record means the opposite: the topic is deleted and its files may be there.
	Partitions int32
}

// ConfigsSet replaces all configs of a resource.
type ConfigsSet struct {
	Resource Resource
	Configs  map[string]string
}

// ProducerIDs says that all producer ids below Next were given out.
type ProducerIDs struct{ Next int64 }

// FeatureSet finalizes a level of a feature; 0 switches it off.
type FeatureSet struct {
	Name  string
	Level int16
}

// AppendRecord appends the bytes of a record to dst.
func AppendRecord(dst []byte, r Record) []byte {
	return r.appendTo(append(dst, byte(r.kind()), recordVersion))
}

// ReadRecord decodes one record from all of b.
func ReadRecord(b []byte) (Record, error) {
	if len(b) < 2 {
		return nil, fmt.Errorf("controller: a metadata record of %d bytes is too short", len(b))
	}
	rec := newRecord(recordKind(b[0]))
	if rec == nil || b[1] > recordVersion {
		return nil, fmt.Errorf("controller: metadata record type %d version %d is not known: a newer version of the program wrote it", b[0], b[1])
	}
	r := &kbin.Reader{Src: b[2:]}
	rec.readFrom(r)
	if err := r.Complete(); err != nil {
		return nil, fmt.Errorf("controller: metadata record type %d: %w", b[0], err)
	}
	return rec, nil
}

func newRecord(k recordKind) Record {
	switch k {
	case kindClusterCreated:
		return new(ClusterCreated)
	case kindBrokerRegistered:
		return new(BrokerRegistered)
	case kindTopicCreated:
		return new(TopicCreated)
	case kindPartitionsAdded:
		return new(PartitionsAdded)
	case kindTopicDeleted:
		return new(TopicDeleted)
	case kindTopicPurged:
		return new(TopicPurged)
	case kindConfigsSet:
		return new(ConfigsSet)
	case kindProducerIDs:
		return new(ProducerIDs)
	case kindFeatureSet:
		return new(FeatureSet)
	case kindClientQuotasSet:
		return new(ClientQuotasSet)
	case kindScramSet:
		return new(ScramSet)
	case kindScramRemoved:
		return new(ScramRemoved)
	}
	return nil
}

func (*ClusterCreated) kind() recordKind   { return kindClusterCreated }
func (*BrokerRegistered) kind() recordKind { return kindBrokerRegistered }
func (*TopicCreated) kind() recordKind     { return kindTopicCreated }
func (*PartitionsAdded) kind() recordKind  { return kindPartitionsAdded }
func (*TopicDeleted) kind() recordKind     { return kindTopicDeleted }
func (*TopicPurged) kind() recordKind      { return kindTopicPurged }
func (*ConfigsSet) kind() recordKind       { return kindConfigsSet }
func (*ProducerIDs) kind() recordKind      { return kindProducerIDs }
func (*FeatureSet) kind() recordKind       { return kindFeatureSet }

func (r *ClusterCreated) appendTo(dst []byte) []byte {
	return kbin.AppendCompactString(dst, r.ClusterID)
}
func (r *ClusterCreated) readFrom(b *kbin.Reader) { r.ClusterID = b.CompactString() }

func (r *BrokerRegistered) appendTo(dst []byte) []byte {
	dst = kbin.AppendInt32(dst, r.ID)
	dst = kbin.AppendCompactString(dst, r.Rack)
	return kbin.AppendBool(dst, r.Clean)
}

func (r *BrokerRegistered) readFrom(b *kbin.Reader) {
	r.ID, r.Rack, r.Clean = b.Int32(), b.CompactString(), b.Bool()
}

func (r *TopicCreated) appendTo(dst []byte) []byte {
	dst = kbin.AppendCompactString(dst, r.Name)
	dst = kbin.AppendUuid(dst, r.ID)
	dst = appendMap(dst, r.Configs)
	return appendPartitions(dst, r.Partitions)
}

func (r *TopicCreated) readFrom(b *kbin.Reader) {
	r.Name, r.ID, r.Configs, r.Partitions = b.CompactString(), b.Uuid(), readMap(b), readPartitions(b)
}

func (r *PartitionsAdded) appendTo(dst []byte) []byte {
	return appendPartitions(kbin.AppendUuid(dst, r.ID), r.Partitions)
}

func (r *PartitionsAdded) readFrom(b *kbin.Reader) { r.ID, r.Partitions = b.Uuid(), readPartitions(b) }

func (r *TopicDeleted) appendTo(dst []byte) []byte { return kbin.AppendUuid(dst, r.ID) }
func (r *TopicDeleted) readFrom(b *kbin.Reader)    { r.ID = b.Uuid() }

func (r *TopicPurged) appendTo(dst []byte) []byte {
	return kbin.AppendInt32(kbin.AppendUuid(dst, r.ID), r.Partitions)
}
func (r *TopicPurged) readFrom(b *kbin.Reader) { r.ID, r.Partitions = b.Uuid(), b.Int32() }

func (r *ConfigsSet) appendTo(dst []byte) []byte {
	dst = kbin.AppendInt8(dst, int8(r.Resource.Type))
	dst = kbin.AppendCompactString(dst, r.Resource.Name)
	return appendMap(dst, r.Configs)
}

func (r *ConfigsSet) readFrom(b *kbin.Reader) {
	r.Resource = Resource{ResourceType(b.Int8()), b.CompactString()}
	r.Configs = readMap(b)
}

func (r *ProducerIDs) appendTo(dst []byte) []byte { return kbin.AppendInt64(dst, r.Next) }
func (r *ProducerIDs) readFrom(b *kbin.Reader)    { r.Next = b.Int64() }

func (r *FeatureSet) appendTo(dst []byte) []byte {
	return kbin.AppendInt16(kbin.AppendCompactString(dst, r.Name), r.Level)
}
func (r *FeatureSet) readFrom(b *kbin.Reader) { r.Name, r.Level = b.CompactString(), b.Int16() }

// appendMap writes entries in order of key, so that equal maps have equal bytes.
func appendMap(dst []byte, m map[string]string) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		dst = kbin.AppendCompactString(dst, k)
		dst = kbin.AppendCompactString(dst, m[k])
	}
	return dst
}

func readMap(b *kbin.Reader) map[string]string {
	m := map[string]string{}
	for n := b.CompactArrayLen(); n > 0 && b.Ok(); n-- {
		k := b.CompactString()
		m[k] = b.CompactString()
	}
	return m
}

func appendPartitions(dst []byte, ps []Partition) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(ps))
	for _, p := range ps {
		dst = appendIDs(dst, p.Replicas)
		dst = appendIDs(dst, p.ISR)
		dst = kbin.AppendInt32(dst, p.Leader)
		dst = kbin.AppendInt32(dst, p.LeaderEpoch)
		dst = kbin.AppendInt32(dst, p.PartitionEpoch)
	}
	return dst
}

func readPartitions(b *kbin.Reader) []Partition {
	var ps []Partition
	for n := b.CompactArrayLen(); n > 0 && b.Ok(); n-- {
		p := Partition{Replicas: readIDs(b), ISR: readIDs(b)}
		p.Leader, p.LeaderEpoch, p.PartitionEpoch = b.Int32(), b.Int32(), b.Int32()
		ps = append(ps, p)
	}
	return ps
}

func appendIDs(dst []byte, ids []int32) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(ids))
	for _, id := range ids {
		dst = kbin.AppendInt32(dst, id)
	}
	return dst
}

func readIDs(b *kbin.Reader) []int32 {
	var ids []int32
	for n := b.CompactArrayLen(); n > 0 && b.Ok(); n-- {
		ids = append(ids, b.Int32())
	}
	return ids
}
