package group

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/broker/internal/group/assign"
)

// consumerGroup is what a group has while its members speak the protocol of KIP-848. All of it but the fields that say
// otherwise is in the log.
//
//	                subscriptions or topics change          target computed           everybody holds its target
//	Empty ──join──▶ Assigning ───────────────────────▶ Reconciling ─────────────────▶ Stable
//	  ▲               ▲   epoch > assignmentEpoch          │                             │
//	  │               └────────────────────────────────────┴──── change, join, leave ────┘
//	  └── nobody is left
type consumerGroup struct {
	epoch int32 // rises with every change that asks for a new target
	hash  int64 // of the subscribed topics as they were at that epoch

	assignmentEpoch int32 // the group epoch that the target was computed for
	assigned        time.Time

	members  map[string]*consumerMember
	static   map[string]string         // member id by instance id
	patterns map[string]*pattern       // by their text, those that were resolved
	owner    map[topicPartition]string // who holds a partition, or has to give it up: id of the member

	// Counted from the members; not in the log themselves.
	names     map[string]int // members that name a topic
	users     map[string]int // members that use a pattern
	assignors map[string]int // members that ask for an assignor
	classic   int            // members that speak the classic protocol

	oldMetadata bool      // the log has a record of the topics as they were written up to Kafka 4.0
	checked     uint64    // version of the metadata that hash was last compared with; not in the log, nor is
	resolved    time.Time // when the patterns were last resolved
	resolvedAt  uint64    // version of the metadata at that time
}

// pattern is a regular expression of subscriptions with the topics that match it.
type pattern struct {
	topics  []string // in order
	version int64
	at      time.Time
}

type topicPartition struct {
	topic     [16]byte
	partition int32
}

// firstEpoch is the epoch of a group before its first change. A member that joins with nothing in hand names epoch 0, so that
// no group stands there.
const firstEpoch = 1

func newConsumerGroup() *consumerGroup {
	return &consumerGroup{
		epoch:     firstEpoch,
		members:   map[string]*consumerMember{},
		static:    map[string]string{},
		patterns:  map[string]*pattern{},
		owner:     map[topicPartition]string{},
		names:     map[string]int{},
		users:     map[string]int{},
		assignors: map[string]int{},
	}
}

// state is where the group stands.
func (c *consumerGroup) state() State {
	switch {
	case len(c.members) == 0:
		return Empty
	case c.epoch > c.assignmentEpoch:
		return Assigning
	}
	for _, mb := range c.members {
		if !mb.reconciledTo(c.assignmentEpoch) {
			return Reconciling
		}
	}
	return Stable
}

// ids are the members' in order; what is done for all of them is done in this order, so that a run can be repeated.
func (c *consumerGroup) ids() []string { return slices.Sorted(maps.Keys(c.members)) }

func (c *consumerGroup) inOrder() []*consumerMember {
	all := make([]*consumerMember, 0, len(c.members))
	for _, id := range c.ids() {
		all = append(all, c.members[id])
	}
	return all
}

// staticMember is the member that has the place of an instance, or nil.
func (c *consumerGroup) staticMember(instance string) *consumerMember {
	return c.members[c.static[instance]]
}

// topics are what the members are subscribed to, by name or pattern, in order.
func (c *consumerGroup) topics() []string {
	all := make(map[string]struct{}, len(c.names))
	for name := range c.names {
		all[name] = struct{}{}
	}
	for text := range c.users {
		if p := c.patterns[text]; p != nil {
			for _, name := range p.topics {
				all[name] = struct{}{}
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (c *consumerGroup) subscribedTo(topic string) bool {
	if c.names[topic] > 0 {
		return true
	}
	for text := range c.users {
		if p := c.patterns[text]; p != nil {
			if _, ok := slices.BinarySearch(p.topics, topic); ok {
				return true
			}
		}
	}
	return false
}

// topicsOf are the ids of the topics that a member is subscribed to and that exist.
func (c *consumerGroup) topicsOf(mb *consumerMember, md Metadata) map[[16]byte]struct{} {
	all := make(map[[16]byte]struct{}, len(mb.topics))
	add := func(names []string) {
		for _, name := range names {
			if t, ok := md.Topic(name); ok {
				all[t.ID] = struct{}{}
			}
		}
	}
	add(mb.topics)
	if p := c.patterns[mb.pattern]; mb.pattern != "" && p != nil {
		add(p.topics)
	}
	return all
}

// assignor is the one of those served, the default first, that most members ask for. A member may ask for one that was served once,
// or by another server that wrote the log.
func (c *consumerGroup) assignor(served []string) string {
	best := served[0]
	for _, name := range served {
		if c.assignors[name] > c.assignors[best] {
			best = name
		}
	}
	return best
}

// target computes what every member shall own now, in the order of ids.
func (c *consumerGroup) target(assignor string, md Metadata) []assign.Target {
	partitions := map[[16]byte]int32{}
	for _, name := range c.topics() {
		if t, ok := md.Topic(name); ok {
			partitions[t.ID] = t.Partitions
		}
	}
	members := make([]assign.Member, 0, len(c.members))
	for _, mb := range c.inOrder() {
		members = append(members, assign.Member{ID: mb.id, InstanceID: mb.instanceID, Topics: c.topicsOf(mb, md), Had: mb.target})
	}
	return assign.ByName(assignor)(members, partitions)
}

// consumerGroupBytes is what a consumer group takes with nobody in it, about: its tables are many.
const consumerGroupBytes = 1 << 10

// bytes is what the group keeps besides its members.
func (c *consumerGroup) bytes() int {
	n := consumerGroupBytes
	for text, p := range c.patterns {
		n += p.bytes(text)
	}
	return n
}

func (p *pattern) bytes(text string) int {
	const perPattern, perName = 128, 16 // the topics' names are the metadata's
	return perPattern + len(text) + perName*len(p.topics)
}

// count adds a member's wishes to the sums, or takes them away with -1.
func (c *consumerGroup) count(mb *consumerMember, by int) {
	for _, name := range mb.topics {
		bump(c.names, name, by)
	}
	if mb.pattern != "" {
		bump(c.users, mb.pattern, by)
	}
	if mb.assignor != nil {
		bump(c.assignors, *mb.assignor, by)
	}
	if mb.classic != nil {
		c.classic += by
	}
}

func bump(counts map[string]int, key string, by int) {
	if counts[key] += by; counts[key] <= 0 {
		delete(counts, key)
	}
}

// comparePlaces orders partitions by topic and number.
func comparePlaces(a, b topicPartition) int {
	return cmp.Or(slices.Compare(a.topic[:], b.topic[:]), cmp.Compare(a.partition, b.partition))
}
