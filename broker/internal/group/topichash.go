package group

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"

	"github.com/zeebo/xxh3"
)

// topicHashFormat begins what is hashed of a topic, so that another way to hash gives other sums.
const topicHashFormat = 0

// hashOf sums up the subscribed topics that exist: their names, ids, sizes and the racks of their replicas. Another sum means that the members may have to own
// something else. It is the sum that Kafka writes, so that a group whose log another server goes on with is not assigned anew. No topics at all are zero.
func (c *consumerGroup) hashOf(md Metadata) int64 {
	var sums, buf []byte
	for _, name := range c.topics() {
		if t, ok := md.Topic(name); ok {
			buf = appendTopicHashed(buf[:0], t, md.PartitionRacks)
			sums = binary.LittleEndian.AppendUint64(sums, xxh3.Hash(buf))
		}
	}
	if sums == nil {
		return 0
	}
	return int64(xxh3.Hash(sums))
}

// appendTopicHashed appends what a topic's hash is taken over; all integers but those of the id are little-endian, and a string ends with its length:
//
//	+----------+------------+------------+--------+------+--------------+
//	| format 1 | id high 8  | id low 8   | name n | n 4  | partitions 4 |   then for each partition its number 4, and for each rack, in order:
//	+----------+------------+------------+--------+------+--------------+
//	+-----+--------+-----+
//	| r 4 | rack r | r 4 |
//	+-----+--------+-----+
//
// The halves of the id are integers of 8 bytes, turned round like the others. Strings are in UTF-16, and their lengths in its units.
func appendTopicHashed(b []byte, t TopicInfo, racks func(id [16]byte, partition int32) []string) []byte {
	b = append(b, topicHashFormat)
	b = binary.LittleEndian.AppendUint64(b, binary.BigEndian.Uint64(t.ID[:8]))
	b = binary.LittleEndian.AppendUint64(b, binary.BigEndian.Uint64(t.ID[8:]))
	b = appendHashedString(b, t.Name)
	b = binary.LittleEndian.AppendUint32(b, uint32(t.Partitions))
	for n := range t.Partitions {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
		for _, rack := range slices.Sorted(slices.Values(racks(t.ID, n))) {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(utf16.Encode([]rune(rack)))))
			b = appendHashedString(b, rack)
		}
	}
	return b
}

func appendHashedString(b []byte, s string) []byte {
	units := utf16.Encode([]rune(s))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return binary.LittleEndian.AppendUint32(b, uint32(len(units)))
}
