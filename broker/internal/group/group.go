package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// State is where a group stands.
type State int8

const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
	Dead
	Assigning   // a consumer group whose target is not computed yet
	Reconciling // a consumer group whose members are on the way to their target
)

// String is the name that Kafka's tools know.
func (s State) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Assigning", "Reconciling"}[s]
}

// Kind is the protocol that a group's members speak.
type Kind int8

const (
	Classic  Kind = iota
	Consumer      // KIP-848; some members may speak the classic protocol all the same
)

// String is the name that Kafka's tools know.
func (k Kind) String() string { return [...]string{"classic", "consumer"}[k] }

// consumerType is the protocol type whose metadata the coordinator can read for subscribed topics.
const consumerType = "consumer"

// group is one group. While it has a consumer side, what is of the classic protocol is empty; both keep offsets the same way.
type group struct {
	id       string
	consumer *consumerGroup // nil: classic

	state        State
	since        time.Time // when it entered its present state; zero if an old record did not say
	generation   int32
	protocolType string // empty: offsets only so far
	protocol     string // chosen for this generation; empty when nobody is there
	leader       string // member id
	members      map[string]*member
	order        []*member            // members as they joined; fixes every choice among them
	static       map[string]*member   // by instance id
	bytes        int                  // of what the members, and those with a pending id, made us keep
	accounted    int                  // of bytes, what the Machine's sum has
	pendingIDs   map[string]time.Time // ids given out and not yet used, and when they expire
	subscribed   map[string]struct{}  // topics of this generation; nil when unknown

	initial      bool          // PreparingRebalance was entered from Empty: wait for more members
	extended     bool          // somebody new came during the present wait
	remaining    time.Duration // how much longer the wait may be extended
	joinDeadline time.Time     // PreparingRebalance ends
	syncDeadline time.Time     // who has not sent its SyncGroup until then is out; zero when all have

	offsets map[string]map[int32]offset
	pending map[Partition]int // transactions that hold an offset for the partition and have not ended
	written bool              // the log has a record of the group itself

	wake time.Time // when to look at the group; zero when it is not in the heap
	slot int       // its place in the heap
}

// member is one member of a classic group.
type member struct {
	id         string
	instanceID *string
	clientID   string
	clientHost string
	session    time.Duration
	rebalance  time.Duration
	protocols  []Protocol // owned; in the member's order of preference
	assignment []byte     // owned, never changed in place

	join     Token     // the JoinGroup that waits, or zero
	sync     Token     // the SyncGroup that waits, or zero
	isNew    bool      // has not seen the answer of its first join
	owesSync bool      // has not sent this generation's SyncGroup
	deadline time.Time // its session ends
}

func newGroup(id string) *group {
	return &group{id: id, members: map[string]*member{}, slot: -1}
}

func (g *group) add(mb *member) {
	if len(g.members) == 0 || g.leader == "" {
		g.leader = mb.id
	}
	g.members[mb.id] = mb
	g.order = append(g.order, mb)
	g.bytes += mb.bytes()
	if mb.instanceID != nil {
		if g.static == nil {
			g.static = map[string]*member{}
		}
		g.static[*mb.instanceID] = mb
	}
}

func (g *group) remove(mb *member) {
	delete(g.members, mb.id)
	g.order = slices.DeleteFunc(g.order, func(o *member) bool { return o == mb })
	g.bytes -= mb.bytes()
	if mb.instanceID != nil {
		delete(g.static, *mb.instanceID)
	}
	if g.leader == mb.id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0].id
		}
	}
}

// giveID remembers an id that was given out, until somebody comes back with it or it expires.
func (g *group) giveID(id string, expires time.Time) {
	if g.pendingIDs == nil {
		g.pendingIDs = map[string]time.Time{}
	}
	g.pendingIDs[id] = expires
	g.bytes += perID + len(id)
}

// takeID forgets such an id, and says whether it was one.
func (g *group) takeID(id string) bool {
	if _, ok := g.pendingIDs[id]; !ok {
		return false
	}
	delete(g.pendingIDs, id)
	g.bytes -= perID + len(id)
	return true
}

// check finds the member that a request speaks for.
func (g *group) check(id string, instanceID *string) (*member, error) {
	if instanceID != nil {
		mb := g.static[*instanceID]
		if mb == nil {
			return nil, kerr.UnknownMemberID
		}
		if mb.id != id {
			return nil, kerr.FencedInstanceID
		}
		return mb, nil
	}
	if mb := g.members[id]; mb != nil {
		return mb, nil
	}
	return nil, kerr.UnknownMemberID
}

// supports says whether a member with these protocols can be in the group.
func (g *group) supports(protocolType string, protocols []Protocol) bool {
	if protocolType == "" || len(protocols) == 0 {
		return false
	}
	if len(g.members) == 0 {
		return true
	}
	return protocolType == g.protocolType && slices.ContainsFunc(protocols, func(p Protocol) bool {
		return g.allOffer(p.Name)
	})
}

func (g *group) allOffer(protocol string) bool {
	for _, mb := range g.order {
		if mb.offer(protocol) < 0 {
			return false
		}
	}
	return true
}

// choose picks the protocol that most members like best among those that all offer; the eldest voter breaks a tie.
func (g *group) choose() string {
	votes := map[string]int{}
	var best string
	for _, mb := range g.order {
		for _, p := range mb.protocols {
			if g.allOffer(p.Name) {
				votes[p.Name]++
				break
			}
		}
	}
	for _, mb := range g.order {
		for _, p := range mb.protocols {
			if votes[p.Name] > votes[best] {
				best = p.Name
			}
		}
	}
	return best
}

func (g *group) rebalanceTimeout() time.Duration {
	var longest time.Duration
	for _, mb := range g.order {
		longest = max(longest, mb.rebalance)
	}
	return longest
}

// allJoined says whether nobody is missing for the next generation.
func (g *group) allJoined() bool {
	if len(g.pendingIDs) > 0 {
		return false
	}
	return !slices.ContainsFunc(g.order, func(mb *member) bool { return mb.join == 0 })
}

func (g *group) awaiting() (n int) {
	for _, mb := range g.order {
		if mb.join != 0 {
			n++
		}
	}
	return n
}

func (g *group) isConsumer() bool { return g.consumer != nil || g.protocolType == consumerType }

// stands is the group's state, of whichever protocol.
func (g *group) stands() State {
	if g.consumer != nil {
		return g.consumer.state()
	}
	return g.state
}

// hasMembers says whether anybody is in the group.
func (g *group) hasMembers() bool { return g.size() > 0 }

// size is how many members the group has.
func (g *group) size() int {
	n := len(g.members)
	if g.consumer != nil {
		n += len(g.consumer.members)
	}
	return n
}

// subscribedTo says whether the group's members read topic, or might: unreadable metadata could name any.
func (g *group) subscribedTo(topic string) bool {
	if g.consumer != nil {
		return g.consumer.subscribedTo(topic)
	}
	if !g.isConsumer() {
		return false
	}
	if g.subscribed == nil {
		return true
	}
	_, ok := g.subscribed[topic]
	return ok
}

// subscribe computes the topics of the present generation.
func (g *group) subscribe() {
	g.subscribed = nil
	if !g.isConsumer() {
		return
	}
	topics := map[string]struct{}{}
	for _, mb := range g.order {
		i := mb.offer(g.protocol)
		if i < 0 || !addSubscribed(topics, mb.protocols[i].Metadata) {
			return
		}
	}
	g.subscribed = topics
}

// removable says whether nothing would be lost with the group.
func (g *group) removable() bool {
	return g.state == Empty && !g.hasMembers() && len(g.offsets) == 0 && len(g.pending) == 0 && len(g.pendingIDs) == 0
}

// offer is the place of a protocol in the member's list, or -1.
func (mb *member) offer(protocol string) int {
	return slices.IndexFunc(mb.protocols, func(p Protocol) bool { return p.Name == protocol })
}

// metadataFor is what the member says under a protocol.
func (mb *member) metadataFor(protocol string) []byte {
	if i := mb.offer(protocol); i >= 0 {
		return mb.protocols[i].Metadata
	}
	return nil
}

// matches says whether the member would join again with exactly these protocols.
func (mb *member) matches(protocols []Protocol) bool {
	return slices.EqualFunc(mb.protocols, protocols, func(a, b Protocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

// bytes is what the member makes the group keep.
func (mb *member) bytes() int {
	return memberBytes + len(mb.id) + len(mb.clientID) + protocolBytes(mb.protocols) + len(mb.assignment)
}

// What a member, an id and a protocol cost besides their strings, about.
const (
	memberBytes = 256
	perID       = 96
	perProtocol = 64
)

func protocolBytes(protocols []Protocol) (n int) {
	for _, p := range protocols {
		n += perProtocol + len(p.Name) + len(p.Metadata)
	}
	return n
}
