package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeTopics is a cluster's topics.
type fakeTopics struct {
	version uint64
	made    byte
	topics  map[string]TopicInfo
}

func (f *fakeTopics) Version() uint64 { return f.version + 1 }

func (f *fakeTopics) Topic(name string) (TopicInfo, bool) {
	t, ok := f.topics[name]
	return t, ok
}

func (f *fakeTopics) TopicByID(id [16]byte) (TopicInfo, bool) {
	for _, t := range f.topics {
		if t.ID == id {
			return t, true
		}
	}
	return TopicInfo{}, false
}

func (f *fakeTopics) TopicNames() []string { return slices.Sorted(maps.Keys(f.topics)) }

func (f *fakeTopics) PartitionRacks([16]byte, int32) []string { return nil }

// create makes a topic, or adds partitions to it.
func (f *fakeTopics) create(name string, partitions int32) {
	f.version++
	t, ok := f.topics[name]
	if !ok {
		f.made++
		t = TopicInfo{Name: name, ID: [16]byte{0: f.made}}
	}
	t.Partitions = partitions
	f.topics[name] = t
}

func (f *fakeTopics) drop(name string) {
	f.version++
	delete(f.topics, name)
}

// show tells partitions by their topics' names; a topic that is gone by its id.
func (f *fakeTopics) show(owned []OwnedTopic) string {
	var all []string
	for _, t := range owned {
		name := fmt.Sprintf("#%d", t.ID[0])
		if info, ok := f.TopicByID(t.ID); ok {
			name = info.Name
		}
		for _, p := range t.Partitions {
			all = append(all, fmt.Sprintf("%s-%d", name, p))
		}
	}
	return "[" + strings.Join(all, " ") + "]"
}

// owned reads partitions; nil for none said.
func (s *story) owned(key string) []OwnedTopic {
	if !s.flag(key) {
		return nil
	}
	all := []OwnedTopic{}
	for _, v := range s.list(key) {
		if v == "" {
			continue
		}
		p := s.partition(v)
		t, ok := s.topics.Topic(p.Topic)
		if !ok {
			s.t.Fatalf("%s: there is no topic %q", s.d.Pos, p.Topic)
		}
		all = append(all, OwnedTopic{ID: t.ID, Partitions: []int32{p.Partition}})
	}
	return all
}

func (s *story) beat() string {
	r := &ConsumerHeartbeatRequest{
		Group: s.str("group"), MemberID: s.str("member"), MemberEpoch: s.num("epoch", 0), InstanceID: s.opt("instance"), RackID: s.opt("rack"),
		ClientID: "c", ClientHost: "/host", Rebalance: -1, Pattern: s.opt("regex"), Assignor: s.opt("assignor"), Owned: s.owned("owned"),
		RequireID: !s.flag("v0"),
	}
	if s.flag("topics") {
		r.Topics = []string{}
		for _, name := range s.list("topics") {
			if name != "" {
				r.Topics = append(r.Topics, name)
			}
		}
	}
	if r.MemberEpoch == joinEpoch {
		r.Rebalance = time.Minute
		if r.Owned == nil && !s.flag("bare") {
			r.Owned = []OwnedTopic{}
		}
	}
	if s.flag("rebalance") {
		r.Rebalance = s.duration("rebalance", 0)
	}
	res, b := s.m.ConsumerHeartbeat(s.now, r)
	s.write(res)
	if b.Err != nil {
		return fmt.Sprintf("%s: %s\n", code(b.Err), b.Err.(*Fault).Message)
	}
	out := fmt.Sprintf("%s epoch=%d", b.MemberID, b.MemberEpoch)
	if b.HasAssignment {
		out += " " + s.topics.show(b.Assignment)
	}
	return out + "\n"
}

func (s *story) describeConsumer() string {
	d := s.m.DescribeConsumer(s.str("group"))
	if d.Err != nil {
		return fmt.Sprintf("%s: %s\n", code(d.Err), d.Err.(*Fault).Message)
	}
	out := fmt.Sprintf("%v epoch=%d assignment=%d %s\n", d.State, d.Epoch, d.AssignmentEpoch, d.Assignor)
	for _, mb := range d.Members {
		out += fmt.Sprintf("  %s/%s epoch=%d %v", mb.ID, show(mb.InstanceID), mb.Epoch, mb.Topics)
		if mb.Pattern != "" {
			out += " /" + mb.Pattern + "/"
		}
		if mb.Classic {
			out += " classic"
		}
		out += fmt.Sprintf(" %s -> %s\n", s.topics.show(mb.Assigned), s.topics.show(mb.Target))
	}
	return out
}

// readable is an assignment of the classic protocol as text, or the bytes.
func readable(data []byte) string {
	v := kmsg.NewConsumerMemberAssignment()
	if len(data) < 6 || v.ReadFrom(data) != nil {
		return fmt.Sprintf("%q", data)
	}
	var all []string
	for _, t := range v.Topics {
		for _, p := range t.Partitions {
			all = append(all, fmt.Sprintf("%s-%d", t.Topic, p))
		}
	}
	return "[" + strings.Join(all, " ") + "]"
}

// durableConsumer is what of a consumer group survives a reload, and what is counted from that.
func durableConsumer(c *consumerGroup) string {
	var b strings.Builder
	fmt.Fprintf(&b, " consumer epoch=%d hash=%x assignment=%d at=%d old=%v", c.epoch, c.hash, c.assignmentEpoch, millisOf(c.assigned), c.oldMetadata)
	for _, mb := range c.inOrder() {
		s := &mb.subscription
		fmt.Fprintf(&b, "\n  %s %s rack=%s client=%s@%s %v /%s/ %v %s", mb.id, show(s.instanceID), show(s.rackID), s.clientID, s.clientHost, s.topics, s.pattern, s.rebalance, show(s.assignor))
		if s.classic != nil {
			fmt.Fprintf(&b, " classic %v %x", s.classic.session, s.classic.protocols)
		}
		fmt.Fprintf(&b, "\n    epoch=%d/%d state=%d %v revoking %v -> %v bytes=%d", mb.epoch, mb.previous, mb.state, held(mb.assigned), held(mb.revoking), held(holding(mb.target, 0)), mb.bytes)
	}
	for _, text := range slices.Sorted(maps.Keys(c.patterns)) {
		p := c.patterns[text]
		fmt.Fprintf(&b, "\n  /%s/ %v version=%d at=%d", text, p.topics, p.version, millisOf(p.at))
	}
	owners := make([]string, 0, len(c.owner))
	for p, id := range c.owner {
		owners = append(owners, fmt.Sprintf("%d-%d:%s", p.topic[0], p.partition, id))
	}
	slices.Sort(owners)
	fmt.Fprintf(&b, "\n  owners %v static %v names %v users %v assignors %v classic %d", owners, c.static, c.names, c.users, c.assignors, c.classic)
	return b.String()
}

func held(h holdings) (all []string) {
	for _, p := range h.places() {
		all = append(all, fmt.Sprintf("%d-%d@%d", p.topic[0], p.partition, h[p.topic][p.partition]))
	}
	return all
}

// consumerBytes counts what a consumer group keeps.
func consumerBytes(g *group) (n int) {
	if g.consumer == nil {
		return 0
	}
	for _, mb := range g.consumer.members {
		n += mb.size()
	}
	return n + g.consumer.bytes()
}

// readableMetadata is a consumer's metadata as stories spell it, or the bytes.
func readableMetadata(data []byte) string {
	var v kmsg.ConsumerMemberMetadata
	if v.ReadFrom(data) != nil || v.Version != 1 {
		return string(data)
	}
	s := "+" + strings.Join(v.Topics, "+") + "!"
	for _, t := range v.OwnedPartitions {
		for _, p := range t.Partitions {
			s += fmt.Sprintf("%s-%d!", t.Topic, p)
		}
	}
	return s
}
