package group

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// The records of consumer groups, in the formats of Kafka 4.3. A key is its number and then strings:
//
//	3  group metadata      │ group │              epoch, and as a tag the sum of the topics
//	4  topics              │ group │              up to Kafka 4.0; only its tombstone is written
//	5  member              │ group │ member │     what the member says about itself
//	6  target metadata     │ group │              assignment epoch, and as a tag its time
//	7  target of a member  │ group │ member │     partitions by topic id
//	8  position            │ group │ member │     epochs, state, partitions by topic id
//	16 pattern             │ group │ pattern │    topics that match, version, time
//
// Every value begins with version 0 in two bytes.
const (
	keyConsumerGroup    = 3
	keyConsumerTopics   = 4
	keyConsumerMember   = 5
	keyTargetMetadata   = 6
	keyTarget           = 7
	keyPosition         = 8
	keyConsumerPattern  = 16
	consumerValueFormat = 0
)

// consumerKey makes a key; second is a member's id or a pattern where the number has one.
func (e *encoder) consumerKey(number uint16, groupID string, second ...string) []byte {
	from := len(e.buf)
	e.buf = binary.BigEndian.AppendUint16(e.buf, number)
	e.buf = appendKeyString(e.buf, groupID)
	for _, s := range second {
		e.buf = appendKeyString(e.buf, s)
	}
	return e.cut(from)
}

func appendKeyString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// value makes a value of what fill appends to its version.
func (e *encoder) value(fill func(b []byte) []byte) []byte {
	from := len(e.buf)
	e.buf = fill(binary.BigEndian.AppendUint16(e.buf, consumerValueFormat))
	return e.cut(from)
}

func (e *encoder) consumerGroup(groupID string, epoch int32, hash int64) entry.Record {
	return entry.Record{Key: e.consumerKey(keyConsumerGroup, groupID), Value: e.value(func(b []byte) []byte {
		b = appendInt32(b, epoch)
		if hash == 0 {
			return append(b, 0)
		}
		return appendTag(b, 0, appendInt64(nil, hash))
	})}
}

func (e *encoder) consumerMember(groupID, id string, s *subscription) entry.Record {
	return entry.Record{Key: e.consumerKey(keyConsumerMember, groupID, id), Value: e.value(func(b []byte) []byte {
		b = appendFlexNullable(b, s.instanceID)
		b = appendFlexNullable(b, s.rackID)
		b = appendFlexString(b, s.clientID)
		b = appendFlexString(b, s.clientHost)
		b = appendFlexStrings(b, s.topics)
		b = appendFlexString(b, s.pattern)
		b = appendInt32(b, millis(s.rebalance))
		b = appendFlexNullable(b, s.assignor)
		return appendTag(b, 0, appendClassicSide(nil, s.classic))
	})}
}

// appendClassicSide appends a structure that may be null: a byte says whether it is there. Kafka writes the tag in any case.
func appendClassicSide(b []byte, c *classicSide) []byte {
	if c == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = appendInt32(b, millis(c.session))
	b = appendUvarint(b, len(c.protocols)+1)
	for _, p := range c.protocols {
		b = appendFlexString(b, p.Name)
		b = appendFlexBytes(b, p.Metadata)
		b = append(b, 0)
	}
	return append(b, 0)
}

func (e *encoder) targetMetadata(groupID string, epoch int32, at int64) entry.Record {
	return entry.Record{Key: e.consumerKey(keyTargetMetadata, groupID), Value: e.value(func(b []byte) []byte {
		b = appendInt32(b, epoch)
		if at == 0 {
			return append(b, 0)
		}
		return appendTag(b, 0, appendInt64(nil, at))
	})}
}

func (e *encoder) target(groupID, id string, target map[[16]byte][]int32) entry.Record {
	return entry.Record{Key: e.consumerKey(keyTarget, groupID, id), Value: e.value(func(b []byte) []byte {
		b = appendUvarint(b, len(target)+1)
		for _, topic := range sortedIDs(target) {
			b = append(b, topic[:]...)
			b = appendInt32s(b, target[topic])
			b = append(b, 0)
		}
		return append(b, 0)
	})}
}

func appendInt32s(b []byte, all []int32) []byte {
	b = appendUvarint(b, len(all)+1)
	for _, v := range all {
		b = appendInt32(b, v)
	}
	return b
}

func sortedIDs[V any](m map[[16]byte]V) [][16]byte {
	return slices.SortedFunc(maps.Keys(m), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
}

func (e *encoder) position(groupID, id string, p *position) entry.Record {
	return entry.Record{Key: e.consumerKey(keyPosition, groupID, id), Value: e.value(func(b []byte) []byte {
		b = appendInt32(b, p.epoch)
		b = appendInt32(b, p.previous)
		b = append(b, byte(p.state))
		b = appendHoldings(b, p.assigned)
		b = appendHoldings(b, p.revoking)
		return append(b, 0)
	})}
}

// appendHoldings appends topics with their partitions; the epochs at which they came are a tag of each topic.
func appendHoldings(b []byte, h holdings) []byte {
	b = appendUvarint(b, len(h)+1)
	for _, topic := range sortedIDs(h) {
		partitions := slices.Sorted(maps.Keys(h[topic]))
		epochs := make([]int32, len(partitions))
		for i, p := range partitions {
			epochs[i] = h[topic][p]
		}
		b = append(b, topic[:]...)
		b = appendInt32s(b, partitions)
		b = appendTag(b, 0, appendInt32s(nil, epochs))
	}
	return b
}

func (e *encoder) pattern(groupID, text string, p *pattern) entry.Record {
	return entry.Record{Key: e.consumerKey(keyConsumerPattern, groupID, text), Value: e.value(func(b []byte) []byte {
		b = appendFlexStrings(b, p.topics)
		b = appendInt64(b, p.version)
		b = appendInt64(b, p.at.UnixMilli())
		return append(b, 0)
	})}
}
