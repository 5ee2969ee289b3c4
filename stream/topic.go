package stream

import (
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/stream/serde"
)

// Topic is the handle of a topic: its name and how its keys and values are encoded. Declare it once; the topology, tests and queries share it. Methods return
// a changed copy.
type Topic[K, V any] struct {
	name       string
	serdes     topology.Serdes[K, V]
	partitions int32
	eventTime  func(r *Record[K, V], partitionTime int64) int64
}

// NewTopic describes a topic.
func NewTopic[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) Topic[K, V] {
	return Topic[K, V]{name: name, serdes: topology.Serdes[K, V]{Key: key, Value: value}}
}

// TopicOf describes a topic whose serdes follow from its types, as [serde.Of] tells; a type without one answer is an error of Build.
func TopicOf[K, V any](name string) Topic[K, V] { return NewTopic(name, serde.Of[K](), serde.Of[V]()) }

// Name is the topic's name.
func (t Topic[K, V]) Name() string { return t.name }

// KeySerde is how keys are encoded.
func (t Topic[K, V]) KeySerde() serde.Serde[K] { return t.serdes.Key }

// ValueSerde is how values are encoded.
func (t Topic[K, V]) ValueSerde() serde.Serde[V] { return t.serdes.Value }

// Partitions fixes the number of partitions of a repartition topic. Without it, or with 0, the number follows from the topics that feed it. Other topics
// are the user's own, and this says nothing about them.
func (t Topic[K, V]) Partitions(n int) Topic[K, V] {
	t.partitions = int32(n)
	return t
}

// EventTime sets how the time of the topic's records is found when they are read: f gets the record's own time and the highest event time so far in its
// partition, each in milliseconds since 1970 and -1 when there is none. A record for which f returns a negative time is dropped and counted.
func (t Topic[K, V]) EventTime(f func(key K, value V, recordTime, partitionTime int64) int64) Topic[K, V] {
	return t.EventTimeOf(func(r *Record[K, V], partitionTime int64) int64 { return f(r.Key, r.Value, r.Timestamp, partitionTime) })
}

// EventTimeOf is EventTime for a function that sees the whole record, with its headers; the record's time is its own.
func (t Topic[K, V]) EventTimeOf(f func(r *Record[K, V], partitionTime int64) int64) Topic[K, V] {
	t.eventTime = f
	return t
}

// Windowed is the key of a windowed result.
type Windowed[K any] = serde.Windowed[K]

// Retyped is internal: it is the topic with another encoding of its values.
func Retyped[K, V, W any](t Topic[K, V], value serde.Serde[W]) Topic[K, W] {
	return Topic[K, W]{name: t.name, serdes: topology.Serdes[K, W]{Key: t.serdes.Key, Value: value}, partitions: t.partitions}
}
