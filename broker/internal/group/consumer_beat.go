package group

import (
	"slices"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// putDown writes a record of a consumer group.
func (m *Machine) putDown(r entry.Record) { m.write(r, entry.NoProducer()) }

// takenOver finds, in a group that was a classic one a moment ago, the member whose place a joining one has or takes.
func (c *consumerGroup) takenOver(id string, instance *string) *consumerMember {
	if instance != nil {
		if mb := c.staticMember(*instance); mb != nil {
			return mb
		}
	}
	return c.members[id]
}

// settleIn returns the member of an id: the one that was found, or one that takes the place of a static member which had another
// id before. It is nil for somebody new, whose subscription is not written yet.
func (m *Machine) settleIn(g *group, before *consumerMember, id string) *consumerMember {
	if before == nil || before.id == id {
		return before
	}
	return m.replaceConsumer(g, before, id)
}

// replaceConsumer gives the place of a static member to the same instance under a new id, with all that it has and shall have.
func (m *Machine) replaceConsumer(g *group, before *consumerMember, id string) *consumerMember {
	s, p, target := before.subscription, before.position, before.target
	p.epoch, p.previous = joinEpoch, joinEpoch
	m.writeMemberEnd(g, before.id)
	m.putDown(m.enc.consumerMember(g.id, id, &s))
	m.putDown(m.enc.target(g.id, id, target))
	m.putDown(m.enc.position(g.id, id, &p))
	return g.consumer.members[id]
}

// beat is a heartbeat that is in order: the member's wishes are taken over, the group's target is brought up to date, and the
// member goes as far towards its own as it can.
func (m *Machine) beat(g *group, mb *consumerMember, id string, next *subscription, r *ConsumerHeartbeatRequest) *ConsumerHeartbeatResponse {
	changed := m.takeWishes(g, mb, id, next)
	mb = g.consumer.members[id]
	m.refreshTarget(g)
	held := mb.assigned
	m.reconcile(g, mb, changed, r.Owned)

	settings := m.cfg.Consumer(g.id)
	mb.deadline, mb.joinBy, mb.syncBy = m.now.Add(settings.SessionTimeout), time.Time{}, time.Time{} // it may have been a classic one
	m.watch(g, mb)
	resp := &ConsumerHeartbeatResponse{MemberID: id, MemberEpoch: mb.epoch, HeartbeatInterval: settings.HeartbeatInterval}
	whole := r.Rebalance >= 0 && (r.Topics != nil || r.Pattern != nil) && r.Owned != nil
	if r.MemberEpoch == joinEpoch || whole || !held.equal(mb.assigned) {
		resp.HasAssignment, resp.Assignment = true, mb.assigned.byTopic()
	}
	return resp
}

// takeWishes takes over what a member says about itself, and brings the group's patterns and its epoch up to date. It says whether
// the member is subscribed to other topics now.
func (m *Machine) takeWishes(g *group, mb *consumerMember, id string, next *subscription) (changed bool) {
	c := g.consumer
	var old subscription
	if mb != nil {
		old = mb.subscription
	}
	if mb == nil || !old.equal(next) {
		m.putDown(m.enc.consumerMember(g.id, id, next))
	}
	changed = !slices.Equal(old.topics, next.topics) || old.pattern != next.pattern
	bump := changed
	if old.pattern != next.pattern && old.pattern != "" && c.users[old.pattern] == 0 {
		m.forgetPattern(g, old.pattern)
	}
	if m.resolvePatterns(g) {
		bump = true
	}
	m.refreshEpoch(g, bump)
	return changed
}

// refreshEpoch raises the group's epoch when something changed in it, or in the topics that it is subscribed to.
func (m *Machine) refreshEpoch(g *group, changed bool) {
	c, md := g.consumer, m.cfg.Topics()
	version := md.Version()
	if !changed && c.checked == version {
		return
	}
	c.checked = version
	hash := c.hashOf(md)
	if changed || hash != c.hash {
		m.putDown(m.enc.consumerGroup(g.id, c.epoch+1, hash))
		m.tally.ConsumerRebalances++
	}
	if c.oldMetadata {
		m.putDown(entry.Record{Key: m.enc.consumerKey(keyConsumerTopics, g.id)})
	}
}

// refreshTarget computes a target for the group's epoch, unless the last one is younger than the interval that the group has for
// that: a crowd that joins one by one is then assigned once.
func (m *Machine) refreshTarget(g *group) {
	c := g.consumer
	if c.epoch <= c.assignmentEpoch {
		return
	}
	if due := m.targetDue(g); due.After(m.now) {
		m.wakeAt(g, due)
		return
	}
	members := c.inOrder()
	for i, target := range c.target(c.assignor(m.cfg.Assignors), m.cfg.Topics()) {
		shorten(target, m.cfg.MaxRecordBytes/bytesPerPlace)
		if mb := members[i]; mb.target == nil || !equalTargets(mb.target, target) {
			m.putDown(m.enc.target(g.id, mb.id, target))
		}
	}
	computed := m.now
	if c.epoch == firstEpoch {
		computed = time.Time{} // its members are subscribed to nothing, and whoever comes next need not wait
	}
	m.putDown(m.enc.targetMetadata(g.id, c.epoch, stampOf(computed)))
}

// targetDue is when the next target may be computed; zero when none is wanted. It may have passed.
func (m *Machine) targetDue(g *group) time.Time {
	c := g.consumer
	if len(c.members) == 0 || c.epoch <= c.assignmentEpoch {
		return time.Time{}
	}
	if c.assigned.IsZero() || c.assigned.After(m.now) { // the latter by another coordinator's clock, or by ours before it was set back
		return m.now
	}
	return c.assigned.Add(m.cfg.Consumer(g.id).AssignmentInterval)
}

// bytesPerPlace is what a partition takes in the record of a member's position, if every topic has one.
const bytesPerPlace = 40

// shorten leaves only as many partitions in a target as fit into a record, some 26,000: the others are nobody's until there are more
// members.
func shorten(target map[[16]byte][]int32, room int) {
	for _, topic := range sortedIDs(target) {
		partitions := target[topic]
		switch {
		case room <= 0:
			delete(target, topic)
		case len(partitions) > room:
			target[topic] = partitions[:room]
		}
		room -= len(partitions)
	}
}

func equalTargets(a, b map[[16]byte][]int32) bool {
	if len(a) != len(b) {
		return false
	}
	for topic, partitions := range a {
		if !slices.Equal(partitions, b[topic]) {
			return false
		}
	}
	return true
}

// watch makes sure that the group is looked at when something of the member is due.
func (m *Machine) watch(g *group, mb *consumerMember) {
	m.account(g)
	for _, at := range [...]time.Time{mb.deadline, mb.revokeBy, mb.joinBy, mb.syncBy} {
		m.wakeAt(g, at)
	}
}

// byTopic are the partitions as they are told: topics and partitions in order.
func (h holdings) byTopic() []OwnedTopic {
	var all []OwnedTopic
	for _, p := range h.places() {
		if n := len(all); n == 0 || all[n-1].ID != p.topic {
			all = append(all, OwnedTopic{ID: p.topic})
		}
		last := &all[len(all)-1]
		last.Partitions = append(last.Partitions, p.partition)
	}
	return all
}
