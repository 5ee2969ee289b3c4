package group

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Members of a consumer group may speak the classic protocol: that is how a group changes from one to the other while it works. Such
// a member's generation is its epoch, and it never waits: its JoinGroup moves it on as a heartbeat moves the others on, its SyncGroup
// fetches what it has, and its Heartbeat tells it to join anew whenever there is something to give up or to get.

// joinConsumer makes the sender of a JoinGroup a member of a consumer group. The answer is ready at once.
func (m *Machine) joinConsumer(g *group, tok Token, r *JoinRequest) {
	before, err := m.findJoining(g, r)
	if err != nil {
		m.refuseJoin(tok, "", err)
		return
	}
	if r.MemberID == "" && r.InstanceID == nil && r.RequireKnownID {
		m.refuseJoin(tok, m.cfg.NewID(), kerr.MemberIDRequired)
		return
	}
	said, ok := readSubscription(r.Protocols[0].Metadata)
	if !ok {
		m.refuseJoin(tok, "", kerr.UnknownServerError) // as Kafka, which fails to read it
		return
	}
	next := classicWishes(before, r, &said)
	if err := m.checkWishes(g, before, &next); err != nil {
		m.refuseJoin(tok, "", err)
		return
	}
	id := r.MemberID
	if id == "" {
		id = m.cfg.NewID()
	}
	if before != nil && before.classic == nil && before.instanceID != nil && m.becomeClassic(g, []*consumerMember{before}, &returning{id, next}) {
		m.joinBecomeClassic(m.groups[r.Group], tok, r, id)
		return
	}
	mb := m.settleIn(g, before, id)
	changed := m.takeWishes(g, mb, id, &next)
	m.refreshTarget(g)
	mb = g.consumer.members[id]
	m.reconcile(g, mb, changed, m.ownedIDs(&said))
	m.answerJoin(tok, &JoinResponse{Generation: mb.epoch, ProtocolType: consumerType, Protocol: next.classic.protocols[0].Name, MemberID: id})
	mb.deadline, mb.syncBy, mb.joinBy = m.now.Add(r.SessionTimeout), m.now.Add(mb.patience()), time.Time{}
	mb.revokeBy = time.Time{}
	m.watch(g, mb)
}

// joinBecomeClassic lets a static member into the group that is a classic one since it came back: at once, unless the assignment that
// the group has is of an older epoch.
func (m *Machine) joinBecomeClassic(g *group, tok Token, r *JoinRequest, id string) {
	if g.state == Stable {
		m.answerJoin(tok, &JoinResponse{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, MemberID: id})
		return
	}
	known := *r
	known.MemberID = id
	m.joinKnown(g, tok, &known)
	m.settle(g)
}

// findJoining finds the member that joins, or whose place is taken; nil for somebody new.
func (m *Machine) findJoining(g *group, r *JoinRequest) (*consumerMember, error) {
	c := g.consumer
	known := c.members[r.MemberID]
	var static *consumerMember
	if r.InstanceID != nil {
		static = c.staticMember(*r.InstanceID)
	}
	switch {
	case m.cfg.Migration == MigrateNever:
		return nil, kerr.InconsistentGroupProtocol
	case known == nil && static == nil && len(c.members) >= m.cfg.MaxConsumers:
		return nil, kerr.GroupMaxSizeReached
	case r.ProtocolType != consumerType || !c.supportsClassic(r.Protocols):
		return nil, kerr.InconsistentGroupProtocol
	case r.InstanceID == nil:
		return known, nil
	case r.MemberID == "":
		return static, nil
	case static == nil:
		return nil, kerr.UnknownMemberID
	case static.id != r.MemberID:
		return nil, kerr.FencedInstanceID
	}
	return static, nil
}

// supportsClassic says whether one of these protocols is known to all members of the classic protocol.
func (c *consumerGroup) supportsClassic(protocols []Protocol) bool {
	return slices.ContainsFunc(protocols, func(p Protocol) bool {
		for _, mb := range c.members {
			if mb.classic != nil && !mb.classic.supports(p.Name) {
				return false
			}
		}
		return true
	})
}

// classicWishes are what a member of the classic protocol says about itself.
func classicWishes(mb *consumerMember, r *JoinRequest, said *kmsg.ConsumerMemberMetadata) subscription {
	s := subscription{
		instanceID: r.InstanceID,
		rackID:     said.Rack,
		clientID:   r.ClientID,
		clientHost: r.ClientHost,
		topics:     slices.Compact(slices.Sorted(slices.Values(said.Topics))),
		rebalance:  r.RebalanceTimeout,
		classic:    &classicSide{session: r.SessionTimeout, protocols: own(r.Protocols)},
	}
	if mb != nil {
		s.assignor = mb.assignor
	}
	return s
}

// readSubscription reads what a consumer says to its leader.
func readSubscription(metadata []byte) (kmsg.ConsumerMemberMetadata, bool) {
	v := kmsg.NewConsumerMemberMetadata()
	err := v.ReadFrom(metadata)
	return v, err == nil && v.Version >= 0
}

// ownedIDs are the partitions that a classic member says it owns, as far as the topics exist. It is never nil: who does not say so
// owns nothing.
func (m *Machine) ownedIDs(said *kmsg.ConsumerMemberMetadata) []OwnedTopic {
	owned := []OwnedTopic{}
	for _, t := range said.OwnedPartitions {
		if info, ok := m.cfg.Topics().Topic(t.Topic); ok {
			owned = append(owned, OwnedTopic{ID: info.ID, Partitions: t.Partitions})
		}
	}
	return owned
}

// syncConsumer answers a SyncGroup with what the member may own.
func (m *Machine) syncConsumer(g *group, r *SyncRequest) *SyncResponse {
	mb, err := g.consumer.classicSpeaker(g.id, r.MemberID, r.InstanceID, r.Generation)
	if err != nil {
		return &SyncResponse{Err: err}
	}
	p := &mb.classic.protocols[0]
	switch {
	case differs(r.ProtocolType, consumerType) || differs(r.Protocol, p.Name):
		return &SyncResponse{Err: kerr.InconsistentGroupProtocol}
	case g.consumer.assignmentEpoch > mb.epoch && mb.state != memberUnrevoked:
		m.expectJoin(g, mb)
		return &SyncResponse{Err: kerr.RebalanceInProgress}
	}
	mb.syncBy = time.Time{}
	mb.deadline = m.now.Add(mb.classic.session)
	return &SyncResponse{ProtocolType: consumerType, Protocol: p.Name, Assignment: m.assignmentOf(mb.assigned, p.Metadata)}
}

// heartbeatConsumer hears that a member of the classic protocol lives, and tells it to join anew when that would move it on.
func (m *Machine) heartbeatConsumer(g *group, r *HeartbeatRequest) error {
	mb, err := g.consumer.classicSpeaker(g.id, r.MemberID, r.InstanceID, r.Generation)
	if err != nil {
		return err
	}
	mb.deadline = m.now.Add(mb.classic.session)
	if mb.epoch < g.consumer.assignmentEpoch || mb.state == memberUnrevoked || mb.state == memberUnreleased && !g.consumer.waits(mb) {
		m.expectJoin(g, mb)
		return kerr.RebalanceInProgress
	}
	return nil
}

// expectJoin gives a member its rebalance time-out to join anew.
func (m *Machine) expectJoin(g *group, mb *consumerMember) {
	if mb.joinBy.IsZero() {
		mb.joinBy = m.now.Add(mb.patience())
	}
	m.watch(g, mb)
}

// classicSpeaker finds the member of the classic protocol that a request speaks for.
func (c *consumerGroup) classicSpeaker(groupID, id string, instance *string, generation int32) (*consumerMember, error) {
	mb, err := c.speaker(groupID, id, instance)
	switch {
	case err != nil:
		return nil, err
	case mb.classic == nil:
		return nil, kerr.UnknownMemberID
	case mb.epoch != generation:
		return nil, kerr.IllegalGeneration
	}
	return mb, nil
}

// waits says whether somebody holds a partition that the member shall own.
func (c *consumerGroup) waits(mb *consumerMember) bool {
	for topic, partitions := range mb.target {
		for _, p := range partitions {
			if holder, taken := c.owner[topicPartition{topic, p}]; taken && holder != mb.id {
				return true
			}
		}
	}
	return false
}

// leaveByAdmin removes members by LeaveGroup, of either protocol, and sets their Err.
func (m *Machine) leaveByAdmin(g *group, leavers []LeaveMember) {
	var gone []*consumerMember
	for i := range leavers {
		l := &leavers[i]
		var mb *consumerMember
		if l.InstanceID != nil && l.MemberID == "" {
			if mb = g.consumer.staticMember(*l.InstanceID); mb == nil {
				l.Err = kerr.UnknownMemberID
			}
		} else {
			mb, l.Err = g.consumer.speaker(g.id, l.MemberID, l.InstanceID)
		}
		if mb != nil && !slices.Contains(gone, mb) {
			gone = append(gone, mb)
		}
	}
	m.fence(g, gone...)
}

// assignmentOf is an assignment as consumers of the classic protocol read it, in the version of what they said themselves.
func (m *Machine) assignmentOf(held holdings, metadata []byte) []byte {
	v := kmsg.NewConsumerMemberAssignment()
	if len(metadata) >= 2 {
		v.Version = int16(metadata[0])<<8 | int16(metadata[1])
	}
	for _, t := range held.byTopic() {
		if info, ok := m.cfg.Topics().TopicByID(t.ID); ok {
			v.Topics = append(v.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: info.Name, Partitions: t.Partitions})
		}
	}
	return v.AppendTo(nil)
}

// readAssignment reads such an assignment: the partitions of topics that exist, and whether there is nothing else in it.
func (m *Machine) readAssignment(data []byte) (held holdings, plain, ok bool) {
	held = holdings{}
	if len(data) == 0 {
		return held, true, true
	}
	v := kmsg.NewConsumerMemberAssignment()
	if v.ReadFrom(bytes.Clone(data)) != nil {
		return nil, false, false
	}
	for _, t := range v.Topics {
		info, exists := m.cfg.Topics().Topic(t.Topic)
		for _, p := range t.Partitions {
			if exists && p >= 0 && p < info.Partitions {
				held.add(info.ID, p, 0)
			}
		}
	}
	return held, len(v.UserData) == 0, true
}
