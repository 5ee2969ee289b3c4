package runtimetest

import (
	"bytes"
	"slices"

	"github.com/millrace-io/millrace/internal/topology"
)

// topicLog is a topic: the committed records of each partition. Records are never changed.
type topicLog struct {
	name       string
	partitions [][]topology.RawRecord
	readers    []*queue // of partitions that a task reads
	rotor      int32    // the next partition of a record without a key
	written    []place  // what the topology wrote, over all partitions in order of writing
	read       int      // how many of written Output has returned
}

// place is where a record lies.
type place struct {
	partition int32
	offset    int
}

func newTopicLog(name string, partitions int32) *topicLog {
	return &topicLog{name: name, partitions: make([][]topology.RawRecord, max(1, partitions))}
}

// choose returns the partition of a key; records without one go around.
func (l *topicLog) choose(key []byte) int32 {
	n := int32(len(l.partitions))
	if key != nil {
		return topology.PartitionFor(key, n)
	}
	l.rotor++
	return (l.rotor - 1) % n
}

// append adds a record, which the log then owns. output tells that the topology wrote it.
func (l *topicLog) append(partition int32, r topology.RawRecord, output bool) {
	if output {
		l.written = append(l.written, place{partition, len(l.partitions[partition])})
	}
	r.Topic, r.Partition, r.Offset = l.name, partition, int64(len(l.partitions[partition]))
	l.partitions[partition] = append(l.partitions[partition], r)
}

// readersOf returns the queues of the tasks that read a partition.
func (l *topicLog) readersOf(partition int32) []*queue {
	return slices.DeleteFunc(slices.Clone(l.readers), func(q *queue) bool { return q.partition != partition })
}

// copyRecord returns a record with slices of its own.
func copyRecord(r *topology.RawRecord) topology.RawRecord {
	c := *r
	c.Key, c.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	c.Headers = nil
	for _, h := range r.Headers {
		c.Headers = append(c.Headers, topology.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	return c
}
