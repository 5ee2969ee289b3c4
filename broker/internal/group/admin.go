package group

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Describe shows a group. Only a stable group has a protocol and metadata to show; a member's assignment is its last one until the next.
func (m *Machine) Describe(groupID string) Description {
	g := m.groups[groupID]
	switch {
	case g == nil:
		return Description{Err: fault(kerr.GroupIDNotFound, "Group %s not found.", groupID), Group: groupID, State: Dead}
	case g.consumer != nil:
		return Description{Err: notClassic(groupID), Group: groupID, State: Dead}
	}
	d := Description{Group: groupID, State: g.state, ProtocolType: g.protocolType}
	stable := g.state == Stable
	if stable {
		d.Protocol = g.protocol
	}
	for _, mb := range g.order {
		md := MemberDescription{ID: mb.id, InstanceID: mb.instanceID, ClientID: mb.clientID, ClientHost: mb.clientHost, Assignment: mb.assignment}
		if stable {
			md.Metadata = mb.metadataFor(g.protocol)
		}
		d.Members = append(d.Members, md)
	}
	return d
}

// List shows all groups, by id.
func (m *Machine) List() []Listing {
	all := make([]Listing, 0, len(m.groups))
	for _, id := range m.groupIDs() {
		g := m.groups[id]
		l := Listing{Group: id, ProtocolType: g.protocolType, State: g.stands(), Kind: Classic}
		if g.consumer != nil {
			l.ProtocolType, l.Kind = consumerType, Consumer
		}
		all = append(all, l)
	}
	return all
}

// Delete removes a group that has no members, with its offsets.
func (m *Machine) Delete(now time.Time, groupID string) (Result, error) {
	m.begin(now)
	g := m.groups[groupID]
	switch {
	case g == nil:
		return m.end(nil), kerr.GroupIDNotFound
	case g.stands() != Empty:
		return m.end(g), kerr.NonEmptyGroup
	}
	for _, p := range g.known() {
		m.deleteOffset(g, p)
	}
	m.deleteGroup(g)
	return m.end(g), nil
}

// DeleteOffsets removes the offsets of partitions that the group's members do not read. The error concerns the whole
// request; otherwise errs has one for every partition.
func (m *Machine) DeleteOffsets(now time.Time, groupID string, partitions []Partition) (res Result, errs []error, err error) {
	m.begin(now)
	g := m.groups[groupID]
	switch {
	case groupID == "":
		return m.end(nil), nil, kerr.InvalidGroupID
	case g == nil:
		return m.end(nil), nil, kerr.GroupIDNotFound
	case g.stands() != Empty && !g.isConsumer():
		return m.end(g), nil, kerr.NonEmptyGroup
	}
	errs = make([]error, len(partitions))
	for i, p := range partitions {
		if g.hasMembers() && g.subscribedTo(p.Topic) {
			errs[i] = kerr.GroupSubscribedToTopic
			continue
		}
		m.deleteOffset(g, p)
	}
	return m.end(g), errs, nil
}

// deleteOffset removes the offset of a partition, if there is one, and what open transactions would make of it.
func (m *Machine) deleteOffset(g *group, p Partition) {
	_, committed := g.offsets[p.Topic][p.Partition]
	if committed {
		m.tally.Deleted++
	}
	if committed || g.pending[p] > 0 {
		m.forgetOffset(g, p)
	}
}

// known are the partitions that have an offset, or will have one when a transaction commits, in order.
func (g *group) known() []Partition {
	all := append(g.partitions(), slices.Collect(maps.Keys(g.pending))...)
	slices.SortFunc(all, comparePartitions)
	return slices.Compact(all)
}

// TopicsDeleted removes the offsets that groups committed for topics which are gone. Offsets of a later topic of the same
// name stay.
func (m *Machine) TopicsDeleted(now time.Time, topics []Topic) Result {
	none := [16]byte{}
	gone := map[string][16]byte{}
	for _, t := range topics {
		gone[t.Name] = t.ID
	}
	return m.DropOffsets(now, func(of Topic) bool {
		id, ok := gone[of.Name]
		return ok && (of.ID == id || of.ID == none || id == none)
	})
}

// DropOffsets removes the offsets that groups committed, or would commit with an open transaction, for topics that gone says are. The id of a
// topic is zero where a commit did not say.
func (m *Machine) DropOffsets(now time.Time, gone func(of Topic) bool) Result {
	m.begin(now)
	for _, id := range m.groupIDs() {
		g := m.groups[id]
		for _, p := range g.known() {
			live := func(o offset) bool { return !gone(Topic{Name: p.Topic, ID: o.topicID}) }
			if !slices.ContainsFunc(m.offsetsOf(g, p), live) { // a tombstone takes them all
				m.deleteOffset(g, p)
			}
		}
	}
	return m.end(nil)
}

// offsetsOf are the offset of a partition and those that open transactions hold for it, in no order.
func (m *Machine) offsetsOf(g *group, p Partition) []offset {
	var all []offset
	if o, ok := g.offsets[p.Topic][p.Partition]; ok {
		all = append(all, o)
	}
	if g.pending[p] > 0 {
		for _, t := range m.txns {
			if o, ok := t.offsets[groupPartition{g.id, p}]; ok {
				all = append(all, o)
			}
		}
	}
	return all
}
