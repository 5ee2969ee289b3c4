package group

import (
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kerr"
)

// becomeConsumer makes a consumer group: a new one, or one out of a classic group, whose members go on under the classic protocol
// with the partitions that they have. It refuses before it has written anything.
func (m *Machine) becomeConsumer(g *group, id string) (*group, error) {
	if g == nil {
		g = m.obtain(id)
		g.beConsumer()
		return g, nil
	}
	var members []migrant
	if len(g.members) > 0 {
		var err error
		if members, err = m.planUpgrade(g); err != nil {
			return nil, err
		}
		for _, mb := range g.order {
			m.failMember(mb, kerr.RebalanceInProgress)
		}
	}
	generation, epoch := max(g.generation, firstEpoch), max(g.generation, firstEpoch)
	if g.state != Stable {
		epoch++ // its members had no assignment, or not all of them: they get one
	}
	if g.written {
		m.putDown(entry.Record{Key: m.enc.groupKey(id)})
	}
	if g = m.obtain(id); g.consumer == nil {
		g.beConsumer()
	}
	if len(members) > 0 {
		m.upgrade(g, members, generation, epoch)
	}
	return g, nil
}

// migrant is a member on its way from the classic protocol into a consumer group.
type migrant struct {
	id string
	subscription
	held holdings
}

// planUpgrade says what the members of a classic group would be in a consumer group, or why the group cannot be one.
func (m *Machine) planUpgrade(g *group) ([]migrant, error) {
	refuse := func(why string) error {
		return fault(kerr.GroupIDNotFound, "Cannot upgrade classic group %s to consumer group because %s.", g.id, why)
	}
	switch {
	case m.cfg.Migration != MigrateBoth && m.cfg.Migration != MigrateUpgrade:
		return nil, refuse("online upgrade is disabled")
	case g.protocolType != consumerType:
		return nil, refuse("the group does not use the consumer embedded protocol")
	case len(g.members) >= m.cfg.MaxConsumers:
		return nil, refuse("the group size exceeds the consumer group maximum size")
	}
	taken := map[topicPartition]bool{} // the leader of a classic group may have given a partition to two
	all := make([]migrant, 0, len(g.order))
	for _, mb := range g.order {
		metadata := mb.metadataFor(g.protocol)
		if metadata == nil {
			metadata = mb.protocols[0].Metadata // no protocol is chosen yet
		}
		said, ok := readSubscription(metadata)
		held, plain, readable := m.readAssignment(mb.assignment)
		switch {
		case !ok || !readable:
			return nil, refuse("the embedded consumer protocol is malformed")
		case !plain:
			return nil, refuse("an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor before re-attempting the upgrade")
		}
		mine := holdings{}
		for _, p := range held.places() {
			if !taken[p] {
				taken[p] = true
				mine.add(p.topic, p.partition, g.generation)
			}
		}
		join := JoinRequest{InstanceID: mb.instanceID, ClientID: mb.clientID, ClientHost: mb.clientHost,
			Protocols: mb.protocols, SessionTimeout: mb.session, RebalanceTimeout: mb.rebalance}
		all = append(all, migrant{mb.id, classicWishes(nil, &join, &said), mine})
	}
	return all, nil
}

// upgrade writes the members of a group that was a classic one, as Kafka orders it. Their generation is their epoch, and that of what
// they have.
func (m *Machine) upgrade(g *group, members []migrant, generation, epoch int32) {
	for i := range members {
		m.putDown(m.enc.consumerMember(g.id, members[i].id, &members[i].subscription))
	}
	c, md := g.consumer, m.cfg.Topics()
	c.checked = md.Version()
	m.putDown(m.enc.consumerGroup(g.id, epoch, c.hashOf(md)))
	m.tally.ConsumerRebalances++
	for _, mb := range members {
		m.putDown(m.enc.target(g.id, mb.id, mb.held.target()))
	}
	m.putDown(m.enc.targetMetadata(g.id, generation, 0))
	for _, mb := range members {
		p := position{epoch: generation, previous: generation, assigned: mb.held.at(generation)}
		m.putDown(m.enc.position(g.id, mb.id, &p))
		in := c.members[mb.id]
		in.deadline = m.now.Add(mb.classic.session)
		m.watch(g, in)
	}
}

// target is the partitions without their epochs.
func (h holdings) target() map[[16]byte][]int32 {
	out := make(map[[16]byte][]int32, len(h))
	for _, p := range h.places() {
		out[p.topic] = append(out[p.topic], p.partition)
	}
	return out
}

// returning is a static member that comes back, perhaps under another id, with the classic protocol.
type returning struct {
	id string
	subscription
}

// becomeClassic makes a classic group of a consumer group once all of its members speak the classic protocol but those who are gone.
// With back, the only one of these is not gone but comes back. It says no if there is nothing to be done, or not allowed.
func (m *Machine) becomeClassic(g *group, gone []*consumerMember, back *returning) bool {
	c := g.consumer
	left, classic := len(c.members), c.classic
	for _, mb := range gone {
		left--
		if mb.classic != nil {
			classic--
		}
	}
	if back != nil {
		left, classic = left+1, classic+1
	}
	allowed := m.cfg.Migration == MigrateBoth || m.cfg.Migration == MigrateDowngrade
	if left == 0 || classic != left || !allowed || left > m.cfg.MaxMembers {
		return false
	}
	stale := back == nil || c.assignmentEpoch < c.epoch
	next := m.planDowngrade(g, gone, back)
	if next == nil {
		return false
	}
	m.writeConsumerEnd(g)
	m.write(m.enc.group(next), entry.NoProducer())
	now := m.groups[next.id]
	for _, mb := range now.order {
		now.bytes -= mb.bytes()
		mb.protocols = next.members[mb.id].protocols
		now.bytes += mb.bytes()
		m.extend(mb)
	}
	if stale {
		m.rebalance(now)
	}
	m.settle(now)
	return true
}

// planDowngrade is the classic group that a consumer group would become: stable, with the targets as assignments. It is nil if a
// member cannot be read, or if the group is too large for a record.
func (m *Machine) planDowngrade(g *group, gone []*consumerMember, back *returning) *group {
	c := g.consumer
	next := newGroup(g.id)
	next.protocolType, next.generation, next.since = consumerType, c.epoch, m.now
	out := map[string]bool{}
	for _, mb := range gone {
		out[mb.id] = back == nil
	}
	targets := map[string]map[[16]byte][]int32{}
	for _, mb := range c.inOrder() {
		id, s := mb.id, &mb.subscription
		if out[id] {
			continue
		}
		if back != nil && mb == gone[0] {
			id, s = back.id, &back.subscription
		}
		targets[id] = mb.target
		next.add(&member{id: id, instanceID: s.instanceID, clientID: s.clientID, clientHost: s.clientHost,
			session: s.classic.session, rebalance: s.rebalance, protocols: s.classic.protocols})
	}
	next.protocol = next.choose()
	size := next.recordBytes()
	for _, mb := range next.order {
		mb.assignment = m.assignmentOf(holding(targets[mb.id], 0), mb.metadataFor(next.protocol))
		size += len(mb.assignment)
	}
	if next.protocol == "" || size > m.cfg.MaxRecordBytes {
		return nil
	}
	return next
}

// sessionOf is how long a member may be silent.
func (m *Machine) sessionOf(g *group, mb *consumerMember) time.Duration {
	if mb.classic != nil {
		return mb.classic.session
	}
	return m.cfg.Consumer(g.id).SessionTimeout
}
