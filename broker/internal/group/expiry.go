package group

import (
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// expire forgets what is past its time: offsets of groups that nobody is in, offsets of topics that nobody in the group
// reads any more, and then the groups that hold nothing (KIP-211).
func (m *Machine) expire() {
	for _, id := range m.groupIDs() {
		g := m.groups[id]
		for _, p := range g.partitions() {
			if m.offsetExpired(g, p) {
				m.forgetOffset(g, p)
				m.tally.Expired++
			}
		}
		if m.groups[id] == g && g.removable() {
			m.deleteGroup(g)
		}
	}
}

func (m *Machine) offsetExpired(g *group, p Partition) bool {
	if g.pending[p] > 0 {
		return false
	}
	o := g.offsets[p.Topic][p.Partition]
	var since time.Time
	switch {
	case g.consumer != nil:
		if g.consumer.subscribedTo(p.Topic) {
			return false
		}
		since = o.committed
	case g.protocolType == "":
		since = o.committed // a group without members: its consumers assign themselves
	case g.state == Empty:
		if since = g.since; since.IsZero() {
			since = o.committed
		}
	case g.state == Stable && g.isConsumer() && !g.subscribedTo(p.Topic):
		since = o.committed
	default:
		return false
	}
	if !o.expires.IsZero() {
		return due(o.expires, m.now)
	}
	return !since.Add(m.cfg.OffsetsRetention).After(m.now)
}

// deleteGroup writes that the group is gone.
func (m *Machine) deleteGroup(g *group) {
	if g.consumer != nil {
		m.writeConsumerEnd(g)
		return
	}
	m.write(entry.Record{Key: m.enc.groupKey(g.id)}, entry.NoProducer())
}
