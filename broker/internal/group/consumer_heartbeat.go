package group

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ConsumerHeartbeat joins a member to a consumer group, hears that it lives and tells it what it may own, or sees it off. A join
// turns a classic group into a consumer group if the members that are there allow it.
func (m *Machine) ConsumerHeartbeat(now time.Time, r *ConsumerHeartbeatRequest) (Result, *ConsumerHeartbeatResponse) {
	m.begin(now)
	resp, err := m.consumerHeartbeat(r)
	if err != nil {
		resp = &ConsumerHeartbeatResponse{Err: err}
	}
	return m.end(nil), resp
}

// consumerHeartbeat decides. What it refuses, it refuses before it has written anything.
func (m *Machine) consumerHeartbeat(r *ConsumerHeartbeatRequest) (*ConsumerHeartbeatResponse, error) {
	if err := m.checkHeartbeat(r); err != nil {
		return nil, err
	}
	g := m.groups[r.Group]
	if r.MemberEpoch == leaveEpoch || r.MemberEpoch == parkEpoch {
		return m.leaveConsumer(g, r)
	}
	var before *consumerMember
	joining := r.MemberEpoch == joinEpoch
	switch {
	case g != nil && g.consumer != nil:
		var err error
		if before, err = m.findConsumer(g, r); err != nil {
			return nil, err
		}
	case !joining && g == nil:
		return nil, fault(kerr.GroupIDNotFound, "Consumer group %s not found.", r.Group)
	case !joining:
		return nil, fault(kerr.GroupIDNotFound, "Group %s is not a consumer group.", r.Group)
	}
	next := wishes(before, r)
	if err := m.checkWishes(g, before, &next); err != nil {
		return nil, err
	}
	if g == nil || g.consumer == nil {
		var err error
		if g, err = m.becomeConsumer(g, r.Group); err != nil {
			return nil, err
		}
		before = g.consumer.takenOver(r.MemberID, r.InstanceID)
	}
	id := r.MemberID
	if id == "" {
		id = m.cfg.NewID()
	}
	mb := m.settleIn(g, before, id)
	if mb != nil {
		next = wishes(mb, r) // the group may have been a classic one before
	}
	return m.beat(g, mb, id, &next, r), nil
}

// checkHeartbeat looks at the request alone.
func (m *Machine) checkHeartbeat(r *ConsumerHeartbeatRequest) error {
	invalid := func(why string) error { return fault(kerr.InvalidRequest, "%s", why) }
	switch {
	case r.MemberID == "" && (r.RequireID || r.MemberEpoch != joinEpoch):
		return invalid("MemberId can't be empty.")
	case r.Group == "":
		return invalid("GroupId can't be empty.")
	case r.InstanceID != nil && *r.InstanceID == "":
		return invalid("InstanceId can't be empty.")
	case r.RackID != nil && *r.RackID == "":
		return invalid("RackId can't be empty.")
	}
	switch {
	case r.MemberEpoch == joinEpoch && r.Rebalance < 0:
		return invalid("RebalanceTimeoutMs must be provided in first request.")
	case r.MemberEpoch == joinEpoch && (r.Owned == nil || len(r.Owned) > 0):
		return invalid("TopicPartitions must be empty when (re-)joining.")
	case r.MemberEpoch == joinEpoch && r.Topics == nil && r.Pattern == nil:
		return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	case r.MemberEpoch == parkEpoch && r.InstanceID == nil:
		return invalid("InstanceId can't be null.")
	case r.MemberEpoch < parkEpoch:
		return invalid("MemberEpoch is invalid.")
	}
	if r.Assignor != nil && !slices.Contains(m.cfg.Assignors, *r.Assignor) {
		return fault(kerr.UnsupportedAssignor, "ServerAssignor %s is not supported. Supported assignors: %s.", *r.Assignor, strings.Join(m.cfg.Assignors, ", "))
	}
	return nil
}

// findConsumer finds the member that a request speaks for: nil if it is about to join as somebody new, and the one whose place
// it takes if it is a static member that came back.
func (m *Machine) findConsumer(g *group, r *ConsumerHeartbeatRequest) (*consumerMember, error) {
	c := g.consumer
	joining := r.MemberEpoch == joinEpoch
	known := c.members[r.MemberID]
	full := known == nil && len(c.members) >= m.cfg.MaxConsumers
	if r.InstanceID == nil {
		switch {
		case known != nil:
			return known, known.checkEpoch(r)
		case !joining:
			return nil, notAMember(r.MemberID, g.id)
		case full:
			return nil, groupIsFull(m.cfg.MaxConsumers)
		}
		return nil, nil
	}
	mb := c.staticMember(*r.InstanceID)
	switch {
	case mb == nil && joining && full:
		return nil, groupIsFull(m.cfg.MaxConsumers)
	case mb == nil && joining:
		return known, nil
	case mb == nil:
		return nil, unknownInstance(*r.InstanceID)
	case joining && mb.classic == nil && mb.epoch != parkEpoch:
		return nil, fault(kerr.UnreleasedInstanceID, "Static member %s with instance id %s cannot join the group because the instance id is owned by %s member.",
			r.MemberID, *r.InstanceID, mb.id)
	case joining:
		return mb, nil
	case mb.id != r.MemberID:
		return nil, fencedInstance(r.MemberID, *r.InstanceID, mb.id)
	}
	return mb, mb.checkEpoch(r)
}

// checkEpoch fences whoever speaks of an epoch that the member is not at. The epoch before is good if the member owns no more
// than it may own now: it did not get the answer that told it the present one.
func (mb *consumerMember) checkEpoch(r *ConsumerHeartbeatRequest) error {
	switch {
	case r.MemberEpoch == joinEpoch:
		return nil
	case r.MemberEpoch > mb.epoch:
		return fault(kerr.FencedMemberEpoch, "The consumer group member has a greater member epoch (%d) than the one known by the group coordinator (%d). "+
			"The member must abandon all its partitions and rejoin.", r.MemberEpoch, mb.epoch)
	case r.MemberEpoch < mb.epoch && (r.MemberEpoch != mb.previous || !mb.assigned.covers(r.Owned)):
		return fault(kerr.FencedMemberEpoch, "The consumer group member has a smaller member epoch (%d) than the one known by the group coordinator (%d). "+
			"The member must abandon all its partitions and rejoin.", r.MemberEpoch, mb.epoch)
	case !mb.state.known() && len(r.Owned) > 0:
		return fault(kerr.FencedMemberEpoch, "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.")
	}
	return nil
}

// covers says whether all that a member says it owns is in h; one that does not say might own anything.
func (h holdings) covers(owned []OwnedTopic) bool {
	if owned == nil {
		return false
	}
	for _, t := range owned {
		for _, p := range t.Partitions {
			if _, ok := h.has(t.ID, p); !ok {
				return false
			}
		}
	}
	return true
}

// wishes are what a member says about itself with what a request changes.
func wishes(mb *consumerMember, r *ConsumerHeartbeatRequest) subscription {
	var s subscription
	if mb != nil {
		s = mb.subscription
	}
	s.clientID, s.clientHost, s.classic = r.ClientID, r.ClientHost, nil
	replace := func(p **string, by *string) {
		if by != nil && !same(*p, by) {
			v := *by
			*p = &v
		}
	}
	replace(&s.instanceID, r.InstanceID)
	replace(&s.rackID, r.RackID)
	replace(&s.assignor, r.Assignor)
	if r.Pattern != nil {
		s.pattern = *r.Pattern
	}
	if r.Rebalance >= 0 {
		s.rebalance = r.Rebalance
	}
	if r.Topics != nil {
		s.topics = slices.Compact(slices.Sorted(slices.Values(r.Topics)))
	}
	return s
}

// checkWishes holds what a member wants to be against the limits. The group may not exist yet.
func (m *Machine) checkWishes(g *group, mb *consumerMember, next *subscription) error {
	var kept, patterns int
	var text string
	if g != nil {
		kept = g.bytes
		if g.consumer != nil {
			patterns = len(g.consumer.users)
		}
	}
	grown := next.size()
	if g == nil || g.consumer == nil {
		grown += consumerGroupBytes
	}
	if mb != nil {
		grown -= mb.subscription.size()
		text = mb.pattern
	}
	switch {
	case grown > 0 && (kept+grown > m.cfg.MaxGroupBytes || m.full(grown)), next.size() > m.cfg.MaxRecordBytes:
		return fault(kerr.GroupMaxSizeReached, "The members of the consumer group say more about themselves than there is room for.")
	case next.pattern == "" || next.pattern == text || g.uses(next.pattern):
		return nil
	case patterns >= maxPatterns || len(next.pattern) > maxPatternBytes:
		return fault(kerr.InvalidRegularExpression, "A group has %d patterns at most, of %d bytes at most.", maxPatterns, maxPatternBytes)
	}
	return checkPattern(next.pattern)
}

// uses says whether a member of the group subscribed by a pattern already.
func (g *group) uses(text string) bool {
	return g != nil && g.consumer != nil && g.consumer.users[text] > 0
}

func groupIsFull(limit int) error {
	return fault(kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.", limit)
}

func notAMember(id, groupID string) error {
	return fault(kerr.UnknownMemberID, "Member %s is not a member of group %s.", id, groupID)
}

func unknownInstance(instance string) error {
	return fault(kerr.UnknownMemberID, "Instance id %s is unknown.", instance)
}

func fencedInstance(id, instance, by string) error {
	return fault(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", id, instance, by)
}

func notClassic(groupID string) error {
	return fault(kerr.GroupIDNotFound, "Group %s is not a classic group.", groupID)
}

func fault(code *kerr.Error, format string, args ...any) error {
	return &Fault{Kafka: code, Message: fmt.Sprintf(format, args...)}
}
