package group

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Apply takes one record of the log, the leader's own as well as a replayed one. Records of other kinds and newer versions,
// and records that cannot be read, are passed over: this program did not write them.
func (m *Machine) Apply(r entry.Record, p entry.Producer) {
	if len(r.Key) < 2 {
		return
	}
	switch version := int16(binary.BigEndian.Uint16(r.Key)); version {
	case 0, offsetKeyVersion:
		var k kmsg.OffsetCommitKey
		if k.ReadFrom(r.Key) == nil {
			m.applyOffset(k.Group, Partition{k.Topic, k.Partition}, r.Value, p)
		}
	case groupKeyVersion:
		var k kmsg.GroupMetadataKey
		if k.ReadFrom(r.Key) == nil {
			m.applyGroup(k.Group, r.Value)
		}
	case keyConsumerGroup, keyConsumerTopics, keyConsumerMember, keyTargetMetadata, keyTarget, keyPosition, keyConsumerPattern:
		m.applyConsumer(r.Key, r.Value)
	}
}

func (m *Machine) applyOffset(groupID string, p Partition, value []byte, by entry.Producer) {
	if value == nil {
		if g := m.groups[groupID]; g != nil && by.None() {
			g.deleteOffset(p)
			m.release(g, p)
			m.dropIfBare(g)
		}
		return
	}
	o, ok := decodeOffset(value)
	if !ok {
		return
	}
	m.applied++
	o.seq = m.applied
	if by.None() {
		m.obtain(groupID).setOffset(p, o)
		return
	}
	m.hold(groupID, p, o, by)
}

// dropIfBare removes a group that the log does not know any more.
func (m *Machine) dropIfBare(g *group) {
	if !g.written && g.removable() {
		m.drop(g)
	}
}

// applyGroup takes over what a record says of a group's members. A member that is there already keeps what only the leader
// knows: its other protocols, what it waits for, its session.
func (m *Machine) applyGroup(id string, value []byte) {
	if value == nil {
		if g := m.groups[id]; g != nil && g.consumer == nil {
			g.clearClassic()
			m.dropIfBare(g)
		}
		return
	}
	v := kmsg.NewGroupMetadataValue()
	if len(value) < 2 || binary.BigEndian.Uint16(value) > groupValueVersion || v.ReadFrom(value) != nil {
		return
	}
	g := m.obtain(id)
	if g.consumer != nil {
		g.clearConsumer()
	}
	g.written = true
	g.generation = v.Generation
	g.protocolType = v.ProtocolType
	g.protocol = deref(v.Protocol)
	g.since = at(v.CurrentStateTimestamp)

	named := make(map[string]bool, len(v.Members))
	for i := range v.Members {
		named[v.Members[i].MemberID] = true
	}
	for _, mb := range slices.Clone(g.order) {
		if !named[mb.id] {
			g.remove(mb)
		}
	}
	order := make([]*member, 0, len(v.Members))
	for i := range v.Members {
		if id := v.Members[i].MemberID; named[id] {
			named[id] = false // once is enough
			order = append(order, g.applyMember(&v.Members[i]))
		}
	}
	g.order = order // as the record has it, so that a reload changes no choice among members
	g.leader = deref(v.Leader)
	g.state = Stable
	if len(g.members) == 0 {
		g.state = Empty
	}
	g.subscribe()
}

func (g *group) applyMember(v *kmsg.GroupMetadataValueMember) *member {
	mb := g.members[v.MemberID]
	if mb == nil {
		mb = &member{id: v.MemberID, instanceID: v.InstanceID}
		g.add(mb)
	}
	g.bytes -= mb.bytes()
	mb.clientID, mb.clientHost = v.ClientID, v.ClientHost
	mb.session, mb.rebalance = fromMillis(v.SessionTimeoutMillis), fromMillis(v.RebalanceTimeoutMillis)
	if v.RebalanceTimeoutMillis < 0 {
		mb.rebalance = mb.session // records of version 0 do not say
	}
	if i := mb.offer(g.protocol); i < 0 || !bytes.Equal(mb.protocols[i].Metadata, v.Subscription) {
		mb.protocols = own([]Protocol{{Name: g.protocol, Metadata: v.Subscription}})
	}
	if !bytes.Equal(mb.assignment, v.Assignment) {
		mb.assignment = bytes.Clone(v.Assignment)
	}
	g.bytes += mb.bytes()
	return mb
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
