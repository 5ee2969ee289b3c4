package group

import (
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The versions of Kafka's record formats that are written. Older ones are read too.
//
//	key    OffsetCommit  1   │ value  3, or 4 when the topic's id is known
//	key    GroupMetadata 2   │ value  3
const (
	offsetKeyVersion     = 1
	offsetValueVersion   = 3
	offsetIDValueVersion = 4 // the first with tagged fields, which hold the topic id
	groupKeyVersion      = 2
	groupValueVersion    = 3
)

// encoder makes records in one buffer that is used again in the next step.
type encoder struct{ buf []byte }

// maxIdle is how much memory an encoder keeps between steps.
const maxIdle = 64 << 10

func (e *encoder) reset() {
	if cap(e.buf) > maxIdle {
		e.buf = nil
	}
	e.buf = e.buf[:0]
}

// cut returns what was appended since from. Later growth of the buffer leaves the bytes where they are.
func (e *encoder) cut(from int) []byte { return e.buf[from:len(e.buf):len(e.buf)] }

func (e *encoder) offsetKey(groupID string, p Partition) []byte {
	from := len(e.buf)
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: groupID, Topic: p.Topic, Partition: p.Partition}
	e.buf = k.AppendTo(e.buf)
	return e.cut(from)
}

func (e *encoder) offset(groupID string, p Partition, o *offset) entry.Record {
	key := e.offsetKey(groupID, p)
	v := kmsg.OffsetCommitValue{
		Version:         offsetValueVersion,
		Offset:          o.at,
		LeaderEpoch:     o.leaderEpoch,
		Metadata:        o.metadata,
		CommitTimestamp: o.committed.UnixMilli(),
	}
	switch {
	case !o.expires.IsZero():
		v.Version = 1 // the only one with an expiry of its own
		v.ExpireTimestamp = o.expires.UnixMilli()
	case o.topicID != [16]byte{}:
		v.Version = offsetIDValueVersion
		v.TopicID = o.topicID
	}
	from := len(e.buf)
	e.buf = v.AppendTo(e.buf)
	return entry.Record{Key: key, Value: e.cut(from)}
}

func (e *encoder) groupKey(id string) []byte {
	from := len(e.buf)
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: id}
	e.buf = k.AppendTo(e.buf)
	return e.cut(from)
}

func (e *encoder) group(g *group) entry.Record {
	key := e.groupKey(g.id)
	v := kmsg.GroupMetadataValue{
		Version:               groupValueVersion,
		ProtocolType:          g.protocolType,
		Generation:            g.generation,
		CurrentStateTimestamp: g.since.UnixMilli(),
		Members:               make([]kmsg.GroupMetadataValueMember, len(g.order)),
	}
	if len(g.order) > 0 {
		v.Protocol, v.Leader = &g.protocol, &g.leader
	}
	for i, mb := range g.order {
		v.Members[i] = kmsg.GroupMetadataValueMember{
			MemberID:               mb.id,
			InstanceID:             mb.instanceID,
			ClientID:               mb.clientID,
			ClientHost:             mb.clientHost,
			RebalanceTimeoutMillis: millis(mb.rebalance),
			SessionTimeoutMillis:   millis(mb.session),
			Subscription:           mb.metadataFor(g.protocol),
			Assignment:             mb.assignment,
		}
	}
	from := len(e.buf)
	e.buf = v.AppendTo(e.buf)
	return entry.Record{Key: key, Value: e.cut(from)}
}

func millis(d time.Duration) int32 { return int32(d / time.Millisecond) }

func fromMillis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

// at turns a record's timestamp into a time; negative ones mean none.
func at(ms int64) time.Time {
	if ms < 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// writeGroup writes the group as it stands with its members and assignments; applying it makes the group Stable, or Empty.
func (m *Machine) writeGroup(g *group) { m.write(m.enc.group(g), entry.NoProducer()) }
