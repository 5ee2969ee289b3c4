package group

import (
	"encoding/binary"
	"time"
)

// applyConsumer takes over a record of a consumer group. Compaction keeps the last record of each key in the order of the log, so
// that a member's records may come in any order: whichever is first makes the member.
func (m *Machine) applyConsumer(key, value []byte) {
	number := binary.BigEndian.Uint16(key)
	n := 1
	if number == keyConsumerMember || number == keyTarget || number == keyPosition || number == keyConsumerPattern {
		n = 2
	}
	names, ok := readKey(key, n)
	if !ok {
		return
	}
	if value == nil {
		m.forgetConsumer(number, names)
		return
	}
	switch number {
	case keyConsumerGroup:
		if epoch, hash, ok := decodeNumber(value); ok {
			c := m.consumerOf(names[0])
			c.epoch, c.hash = epoch, hash
		}
	case keyConsumerTopics:
		m.consumerOf(names[0]).oldMetadata = true
	case keyTargetMetadata:
		if epoch, at, ok := decodeNumber(value); ok {
			c := m.consumerOf(names[0])
			c.assignmentEpoch, c.assigned = epoch, time.Time{}
			if at > 0 {
				c.assigned = time.UnixMilli(at)
			}
		}
	case keyConsumerPattern:
		if p, ok := decodePattern(value); ok {
			c := m.consumerOf(names[0])
			g := m.groups[names[0]]
			g.bytes -= c.bytesOf(names[1])
			c.patterns[names[1]] = p
			g.bytes += c.bytesOf(names[1])
		}
	default:
		m.applyConsumerMember(number, names[0], names[1], value)
	}
}

func (m *Machine) applyConsumerMember(number uint16, groupID, id string, value []byte) {
	switch number {
	case keyConsumerMember:
		if s, ok := decodeSubscription(value); ok {
			m.changeConsumer(groupID, id, func(c *consumerGroup, mb *consumerMember) { c.subscribe(mb, s) })
		}
	case keyTarget:
		if target, ok := decodeTarget(value); ok {
			m.changeConsumer(groupID, id, func(_ *consumerGroup, mb *consumerMember) { mb.target = target })
		}
	case keyPosition:
		if p, ok := decodePosition(value); ok {
			m.changeConsumer(groupID, id, func(c *consumerGroup, mb *consumerMember) { c.place(mb, p) })
		}
	}
}

// consumerOf finds or makes the consumer group of an id. What a group has of the classic protocol is gone then.
func (m *Machine) consumerOf(id string) *consumerGroup {
	g := m.obtain(id)
	if g.consumer == nil {
		g.beConsumer()
	}
	g.written = true
	return g.consumer
}

// changeConsumer finds or makes a member, changes it and counts what it keeps.
func (m *Machine) changeConsumer(groupID, id string, change func(*consumerGroup, *consumerMember)) {
	c := m.consumerOf(groupID)
	g := m.groups[groupID]
	mb := c.members[id]
	if mb == nil {
		mb = &consumerMember{id: id}
		c.members[id] = mb
	}
	change(c, mb)
	g.bytes -= mb.bytes
	mb.bytes = mb.size()
	g.bytes += mb.bytes
}

// subscribe takes over what a member says about itself.
func (c *consumerGroup) subscribe(mb *consumerMember, s subscription) {
	c.count(mb, -1)
	if mb.instanceID != nil && c.static[*mb.instanceID] == mb.id {
		delete(c.static, *mb.instanceID)
	}
	mb.subscription = s
	if s.instanceID != nil {
		c.static[*s.instanceID] = mb.id
	}
	c.count(mb, +1)
}

// place takes over where a member stands.
func (c *consumerGroup) place(mb *consumerMember, p position) {
	c.disown(mb)
	mb.position = p
	own := func(at topicPartition) { c.owner[at] = mb.id }
	p.assigned.each(own)
	p.revoking.each(own)
}

// disown takes a member's partitions out of the list of owners.
func (c *consumerGroup) disown(mb *consumerMember) {
	disown := func(at topicPartition) {
		if c.owner[at] == mb.id {
			delete(c.owner, at)
		}
	}
	mb.assigned.each(disown)
	mb.revoking.each(disown)
}

// forgetConsumer takes over a tombstone.
func (m *Machine) forgetConsumer(number uint16, names []string) {
	g := m.groups[names[0]]
	if g == nil || g.consumer == nil {
		return
	}
	c := g.consumer
	switch number {
	case keyConsumerGroup:
		g.clearConsumer()
		m.dropIfBare(g)
	case keyConsumerTopics:
		c.oldMetadata = false
	case keyTargetMetadata:
		c.assignmentEpoch, c.assigned = 0, time.Time{}
	case keyConsumerPattern:
		g.bytes -= c.bytesOf(names[1])
		delete(c.patterns, names[1])
	default:
		if mb := c.members[names[1]]; mb != nil {
			m.forgetConsumerMember(number, g, mb)
		}
	}
}

func (m *Machine) forgetConsumerMember(number uint16, g *group, mb *consumerMember) {
	c := g.consumer
	g.bytes -= mb.bytes
	switch number {
	case keyTarget:
		mb.target = nil
	case keyPosition:
		c.disown(mb)
		mb.position = position{}
	case keyConsumerMember:
		c.subscribe(mb, subscription{})
		c.disown(mb)
		delete(c.members, mb.id)
		mb.bytes = 0
		return
	}
	mb.bytes = mb.size()
	g.bytes += mb.bytes
}

func (c *consumerGroup) bytesOf(text string) int {
	if p := c.patterns[text]; p != nil {
		return p.bytes(text)
	}
	return 0
}

// beConsumer makes a group a consumer group that nobody is in.
func (g *group) beConsumer() {
	g.clearClassic()
	g.consumer = newConsumerGroup()
	g.bytes += g.consumer.bytes()
}

// clearConsumer makes a group one without a protocol, which keeps its offsets.
func (g *group) clearConsumer() {
	for _, mb := range g.consumer.members {
		g.bytes -= mb.bytes
	}
	g.bytes -= g.consumer.bytes()
	g.consumer = nil
	g.written = false
}

// clearClassic does the same to a classic group.
func (g *group) clearClassic() {
	for _, mb := range g.order {
		g.bytes -= mb.bytes()
	}
	for id := range g.pendingIDs {
		g.takeID(id)
	}
	clear(g.members)
	g.order, g.static, g.subscribed = nil, nil, nil
	g.state, g.since, g.generation = Empty, time.Time{}, 0
	g.protocolType, g.protocol, g.leader = "", "", ""
	g.initial, g.extended, g.remaining = false, false, 0
	g.joinDeadline, g.syncDeadline = time.Time{}, time.Time{}
	g.written = false
}
