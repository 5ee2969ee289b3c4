package group

import (
	"maps"
	"slices"
	"time"
)

// memberState is where a member of a consumer group stands, with the numbers that are in its record.
type memberState int8

const (
	memberStable     memberState = 0 // holds what it shall hold at its epoch
	memberUnrevoked  memberState = 1 // has to give up partitions first, and say so
	memberUnreleased memberState = 2 // waits for partitions that others have not given up yet
)

// Member epochs with a meaning of their own in a heartbeat.
const (
	joinEpoch  int32 = 0
	leaveEpoch int32 = -1
	parkEpoch  int32 = -2 // a static member is away for a while and keeps its place; also the epoch that it stands at meanwhile
)

// holdings are partitions that a member has, by topic and number, with the epoch at which each came to it. They are never changed
// in place.
type holdings map[[16]byte]map[int32]int32

// consumerMember is one member of a consumer group.
type consumerMember struct {
	id string
	subscription
	position
	target map[[16]byte][]int32 // what it shall own at the group's assignment epoch; in order; never changed in place

	bytes int // what it makes the group keep, as it was last counted

	// Known to the leader only.
	deadline time.Time // its session ends
	revokeBy time.Time // it must have given up its partitions; zero when it has none to give up
	joinBy   time.Time // a classic member must join anew until then; zero when it need not
	syncBy   time.Time // a classic member must ask for its assignment until then
}

// subscription is what a member says about itself. It is immutable.
type subscription struct {
	instanceID *string
	rackID     *string
	clientID   string
	clientHost string
	topics     []string // in order, each once
	pattern    string   // empty: none
	rebalance  time.Duration
	assignor   *string
	classic    *classicSide // nil when it speaks the consumer protocol
}

// classicSide is what only a member has that speaks the classic protocol. It is immutable.
type classicSide struct {
	session   time.Duration
	protocols []Protocol // owned; in the member's order of preference
}

// position is how far a member has come on the way to its target.
type position struct {
	epoch    int32
	previous int32 // the answer that told the present epoch may be lost: the one before is good as well
	state    memberState
	assigned holdings
	revoking holdings // must be given up before anything else happens
}

func (mb *consumerMember) reconciledTo(epoch int32) bool {
	return mb.state == memberStable && mb.epoch == epoch
}

// patience is how long the group waits for the member in a rebalance. The member may have said nothing, or zero.
func (s *subscription) patience() time.Duration { return max(s.rebalance, minPostponed) }

func (s *subscription) equal(o *subscription) bool {
	return same(s.instanceID, o.instanceID) && same(s.rackID, o.rackID) && same(s.assignor, o.assignor) &&
		s.clientID == o.clientID && s.clientHost == o.clientHost && s.pattern == o.pattern && s.rebalance == o.rebalance &&
		slices.Equal(s.topics, o.topics) && s.classic.equal(o.classic)
}

func (c *classicSide) equal(o *classicSide) bool {
	if c == nil || o == nil {
		return c == o
	}
	return c.session == o.session && slices.EqualFunc(c.protocols, o.protocols, func(a, b Protocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

func same(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// supports says whether the member knows an assignment strategy of the classic protocol.
func (c *classicSide) supports(name string) bool {
	return slices.ContainsFunc(c.protocols, func(p Protocol) bool { return p.Name == name })
}

func (p *position) equal(o *position) bool {
	return p.epoch == o.epoch && p.previous == o.previous && p.state == o.state && p.assigned.equal(o.assigned) && p.revoking.equal(o.revoking)
}

func (h holdings) equal(o holdings) bool { return maps.EqualFunc(h, o, maps.Equal[map[int32]int32]) }

// has returns the epoch at which a partition came, and whether it is there.
func (h holdings) has(topic [16]byte, partition int32) (epoch int32, ok bool) {
	epoch, ok = h[topic][partition]
	return epoch, ok
}

func (h holdings) count() (n int) {
	for _, partitions := range h {
		n += len(partitions)
	}
	return n
}

// each calls fn for every partition, in no order.
func (h holdings) each(fn func(topicPartition)) {
	for topic, partitions := range h {
		for p := range partitions {
			fn(topicPartition{topic, p})
		}
	}
}

// places are the partitions in order.
func (h holdings) places() []topicPartition {
	all := make([]topicPartition, 0, h.count())
	h.each(func(p topicPartition) { all = append(all, p) })
	slices.SortFunc(all, comparePlaces)
	return all
}

// at gives every partition the same epoch.
func (h holdings) at(epoch int32) holdings {
	out := make(holdings, len(h))
	h.each(func(p topicPartition) { out.add(p.topic, p.partition, epoch) })
	return out
}

// add is for whoever makes new holdings.
func (h holdings) add(topic [16]byte, partition, epoch int32) {
	partitions := h[topic]
	if partitions == nil {
		partitions = map[int32]int32{}
		h[topic] = partitions
	}
	partitions[partition] = epoch
}

// holding makes holdings of a target.
func holding(target map[[16]byte][]int32, epoch int32) holdings {
	out := make(holdings, len(target))
	for topic, partitions := range target {
		for _, p := range partitions {
			out.add(topic, p, epoch)
		}
	}
	return out
}

// size is what the member makes the group keep.
func (mb *consumerMember) size() int {
	const perPartition = 24 // in a map, with its epoch; about
	n := mb.subscription.size() + len(mb.id) + perPartition*(mb.assigned.count()+mb.revoking.count())
	for _, partitions := range mb.target {
		n += perPartition + 4*len(partitions)
	}
	return n
}

func (s *subscription) size() int {
	n := memberBytes + len(s.clientID) + len(s.clientHost) + len(s.pattern)
	for _, name := range s.topics {
		n += perName + len(name)
	}
	if s.classic != nil {
		n += protocolBytes(s.classic.protocols)
	}
	return n
}

// perName is what a name costs besides its letters, about.
const perName = 32
