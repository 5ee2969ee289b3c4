package group

import (
	"maps"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kerr"
)

// leaveConsumer sees a member off: for good, or for a while if it is a static one that says so.
func (m *Machine) leaveConsumer(g *group, r *ConsumerHeartbeatRequest) (*ConsumerHeartbeatResponse, error) {
	if g == nil {
		return nil, fault(kerr.GroupIDNotFound, "Group %s not found.", r.Group)
	}
	if g.consumer == nil {
		return nil, fault(kerr.GroupIDNotFound, "Group %s is not a consumer group.", r.Group)
	}
	mb, err := g.consumer.speaker(g.id, r.MemberID, r.InstanceID)
	if err != nil {
		return nil, err
	}
	if r.MemberEpoch == parkEpoch {
		m.park(g, mb)
	} else {
		m.fence(g, mb)
	}
	m.settle(g)
	return &ConsumerHeartbeatResponse{MemberID: r.MemberID, MemberEpoch: r.MemberEpoch}, nil
}

// speaker finds the member that a request speaks for.
func (c *consumerGroup) speaker(groupID, id string, instance *string) (*consumerMember, error) {
	if instance == nil {
		if mb := c.members[id]; mb != nil {
			return mb, nil
		}
		return nil, notAMember(id, groupID)
	}
	mb := c.staticMember(*instance)
	switch {
	case mb == nil:
		return nil, unknownInstance(*instance)
	case mb.id != id:
		return nil, fencedInstance(id, *instance, mb.id)
	}
	return mb, nil
}

// park leaves a static member's place to it, until its session ends. Nobody commits under its name meanwhile.
func (m *Machine) park(g *group, mb *consumerMember) {
	p := mb.position
	p.epoch, p.revoking, p.assigned = parkEpoch, nil, p.assigned.at(0)
	m.putDown(m.enc.position(g.id, mb.id, &p))
}

// fence removes members: their epochs are good for nothing from now on, and the others get what they had. A group that is left
// with members of the classic protocol alone becomes a classic group, if that is allowed.
func (m *Machine) fence(g *group, gone ...*consumerMember) {
	if len(gone) == 0 || m.becomeClassic(g, gone, nil) {
		return
	}
	c := g.consumer
	for _, mb := range gone {
		text := mb.pattern
		m.writeMemberEnd(g, mb.id)
		if text != "" && c.users[text] == 0 {
			m.forgetPattern(g, text)
		}
	}
	md := m.cfg.Topics()
	c.checked = md.Version()
	m.putDown(m.enc.consumerGroup(g.id, c.epoch+1, c.hashOf(md)))
	m.tally.ConsumerRebalances++
}

// writeMemberEnd writes that a member is gone.
func (m *Machine) writeMemberEnd(g *group, id string) {
	for _, number := range [...]uint16{keyPosition, keyTarget, keyConsumerMember} {
		m.putDown(entry.Record{Key: m.enc.consumerKey(number, g.id, id)})
	}
}

// writeConsumerEnd writes that all of a consumer group is gone. Its offsets are not touched.
func (m *Machine) writeConsumerEnd(g *group) {
	c := g.consumer
	id := g.id // g may be gone with the last record
	for _, mb := range c.inOrder() {
		m.writeMemberEnd(g, mb.id)
	}
	for _, text := range slices.Sorted(maps.Keys(c.patterns)) {
		m.forgetPattern(g, text)
	}
	for _, number := range [...]uint16{keyTargetMetadata, keyConsumerTopics, keyConsumerGroup} {
		m.putDown(entry.Record{Key: m.enc.consumerKey(number, id)})
	}
}

// tickConsumer removes who is past a deadline.
func (m *Machine) tickConsumer(g *group) {
	var late []*consumerMember
	for _, mb := range g.consumer.inOrder() {
		if due(mb.deadline, m.now) || due(mb.revokeBy, m.now) || due(mb.joinBy, m.now) || due(mb.syncBy, m.now) {
			late = append(late, mb)
		}
	}
	m.fence(g, late...)
	if g.consumer != nil && g.hasMembers() {
		m.refreshTarget(g)
	}
}

// beginSessions lets every member's session run from now on, and the time in which it has to give up partitions.
func (m *Machine) beginSessions(g *group) {
	for _, mb := range g.consumer.members {
		mb.deadline = m.now.Add(m.sessionOf(g, mb))
		if mb.state == memberUnrevoked && mb.classic == nil {
			mb.revokeBy = m.now.Add(mb.patience())
		}
	}
}
