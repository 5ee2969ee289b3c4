package group

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// DescribeConsumer shows a consumer group.
func (m *Machine) DescribeConsumer(groupID string) ConsumerDescription {
	g := m.groups[groupID]
	switch {
	case g == nil:
		return ConsumerDescription{Group: groupID, Err: fault(kerr.GroupIDNotFound, "Group %s not found.", groupID)}
	case g.consumer == nil:
		return ConsumerDescription{Group: groupID, Err: fault(kerr.GroupIDNotFound, "Group %s is not a consumer group.", groupID)}
	}
	c := g.consumer
	d := ConsumerDescription{
		Group:           groupID,
		State:           c.state(),
		Epoch:           c.epoch,
		AssignmentEpoch: c.assignmentEpoch,
		Assignor:        c.assignor(m.cfg.Assignors),
	}
	for _, mb := range c.inOrder() {
		d.Members = append(d.Members, ConsumerMemberDescription{
			ID: mb.id, ClientID: mb.clientID, ClientHost: mb.clientHost, InstanceID: mb.instanceID, RackID: mb.rackID,
			Epoch: mb.epoch, Topics: slices.Clone(mb.topics), Pattern: mb.pattern,
			Assigned: mb.inHand().byTopic(), Target: holding(mb.target, 0).byTopic(), Classic: mb.classic != nil,
		})
	}
	return d
}

// inHand is what nobody else may own: what the member is assigned, and what it has yet to give up.
func (mb *consumerMember) inHand() holdings {
	if len(mb.revoking) == 0 {
		return mb.assigned
	}
	all := holdings{}
	for _, h := range []holdings{mb.assigned, mb.revoking} {
		h.each(func(p topicPartition) { all.add(p.topic, p.partition, h[p.topic][p.partition]) })
	}
	return all
}
