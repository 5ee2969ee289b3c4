package group

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestConsumersOwnWhatTheyMayInRandomHistories lets consumers of both protocols loose on one group: they join, give up what they
// are told to, crash, come back, lose answers, speak of old epochs, change their subscriptions and their protocol, while topics grow,
// come and go, and the coordinator reloads itself. After every step a reload must give the same state, no partition is in the hands
// of two members (G1), nobody owns more than the coordinator knows of, and epochs only grow; when the faults end, everything that is
// subscribed to is owned by somebody in bounded time (G6).
func TestConsumersOwnWhatTheyMayInRandomHistories(t *testing.T) {
	if *simSeed != 0 {
		simulateConsumers(t, *simSeed)
		return
	}
	for seed := range *simSeeds {
		t.Run(fmt.Sprintf("seed=%d", seed+1), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("again: go test -run TestConsumersOwn -sim.seed=%d", seed+1)
				}
			}()
			simulateConsumers(t, uint64(seed+1))
		})
	}
}

func simulateConsumers(t *testing.T, seed uint64) {
	s := &consumerSim{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), epochs: map[string]int32{}}
	cfg := Config{MaxConsumers: 5, MaxMembers: 6}
	switch s.rnd.IntN(4) {
	case 0:
		cfg.Migration = MigrateNever
	case 1:
		cfg.Migration = MigrateUpgrade
	}
	s.mixed = cfg.Migration == "" && s.rnd.IntN(3) > 0
	s.world = newWorld(cfg)
	s.topics.create("t", 3)
	s.topics.create("u", 1)
	for i := range 4 {
		c := &client{name: fmt.Sprint("c", i), classic: s.mixed && s.rnd.IntN(2) == 0}
		if i < 2 {
			instance := fmt.Sprint("i", i)
			c.instance = &instance
		}
		s.clients = append(s.clients, c)
	}
	for range 220 {
		s.step()
		s.check()
	}
	s.calm()
}

type consumerSim struct {
	*world
	t       *testing.T
	rnd     *rand.Rand
	clients []*client
	mixed   bool             // clients may change their protocol
	made    int              // member ids
	epochs  map[string]int32 // highest epoch seen: of the group, and of every member
}

// client is a consumer as the group knows it.
type client struct {
	name     string
	instance *string
	classic  bool
	id       string
	epoch    int32 // or generation
	phase    phase // of the classic protocol; a consumer is outside or inside
	tok      Token
	roll     []JoinMember
	owned    map[topicPartition]bool
	may      map[topicPartition]bool // what it was told last that it may own
	changed  bool                    // wants other topics than it said last
	unsure   bool                    // an answer was lost: the next heartbeat says everything, and is told everything
}

func (s *consumerSim) step() {
	c := s.clients[s.rnd.IntN(len(s.clients))]
	switch n := s.rnd.IntN(100); {
	case n < 62:
		s.proceed(c, s.rnd.IntN(12) == 0)
	case n < 72:
		s.advance(time.Duration(s.rnd.IntN(3000)) * time.Millisecond)
	case n < 75:
		s.advance(time.Duration(s.rnd.IntN(60)) * time.Second)
	case n < 79:
		s.crash(c)
	case n < 82:
		s.leave(c)
	case n < 84:
		c.changed = true
	case n < 87:
		s.changeTopics()
	case n < 92:
		s.commitAs(c)
	case n < 94:
		if s.mixed && c.phase == outside {
			c.classic = !c.classic
		}
	case n < 96:
		if !c.classic && c.phase == inside { // an old epoch, with whatever it owns
			s.heartbeat(c, c.epoch-1, true)
		}
	default:
		s.reload()
	}
}

func (s *consumerSim) changeTopics() {
	switch s.rnd.IntN(4) {
	case 0:
		s.topics.create("t", s.topics.topics["t"].Partitions+int32(s.rnd.IntN(2)))
	case 1:
		s.topics.drop("u")
	default:
		s.topics.create("u", 2)
	}
}

func (s *consumerSim) reload() {
	s.m = s.replay()
	s.waiting = map[Token]string{}
	for _, c := range s.clients {
		if c.phase == joining || c.phase == syncing {
			c.phase = outside
		}
	}
}

// crash ends the process: it owns nothing any more, and nobody is told.
func (s *consumerSim) crash(c *client) { s.lose(c); c.id = "" }

// lose is what a client does that is fenced.
func (s *consumerSim) lose(c *client) { c.phase, c.owned, c.may, c.epoch = outside, nil, nil, 0 }

func (s *consumerSim) leave(c *client) {
	if c.phase != inside {
		return
	}
	if c.classic {
		res, err := s.m.Leave(s.now, "g", []LeaveMember{{MemberID: c.id, InstanceID: c.instance}})
		s.write(res)
		if err != nil {
			s.t.Fatal(err)
		}
		s.crash(c)
		return
	}
	epoch := leaveEpoch
	if c.instance != nil && s.rnd.IntN(2) == 0 {
		epoch = parkEpoch
	}
	res, _ := s.m.ConsumerHeartbeat(s.now, &ConsumerHeartbeatRequest{Group: "g", MemberID: c.id, InstanceID: c.instance, MemberEpoch: epoch, Rebalance: -1})
	s.write(res)
	s.crash(c)
}

func (s *consumerSim) proceed(c *client, answerLost bool) {
	switch {
	case c.classic:
		s.proceedClassic(c)
	case c.phase == outside:
		if c.id == "" {
			s.made++
			c.id = fmt.Sprint("m", s.made)
		}
		s.heartbeat(c, joinEpoch, answerLost)
	default:
		for p := range c.owned { // gives up what it was told to, one after another
			if !c.may[p] {
				delete(c.owned, p)
				break
			}
		}
		s.heartbeat(c, c.epoch, answerLost)
	}
}

func (s *consumerSim) heartbeat(c *client, epoch int32, answerLost bool) {
	r := &ConsumerHeartbeatRequest{Group: "g", MemberID: c.id, InstanceID: c.instance, MemberEpoch: epoch, ClientID: c.name, ClientHost: "/h", Rebalance: -1}
	if epoch == joinEpoch || c.changed || c.unsure {
		c.changed = false
		r.Topics, r.Pattern = []string{"t"}, new(string)
		if s.rnd.IntN(3) == 0 {
			*r.Pattern = "[tu]"
		}
		r.Rebalance = 20 * time.Second
	}
	if epoch == joinEpoch {
		r.Owned = []OwnedTopic{}
	} else if c.unsure || s.rnd.IntN(3) > 0 {
		r.Owned = s.told(c)
	}
	c.unsure = answerLost
	res, b := s.m.ConsumerHeartbeat(s.now, r)
	s.write(res)
	if answerLost {
		if epoch == joinEpoch {
			s.crash(c) // it never knew that it was in
		}
		return
	}
	switch {
	case b.Err == nil:
		c.phase, c.epoch = inside, b.MemberEpoch
	case errors.Is(b.Err, kerr.FencedMemberEpoch), errors.Is(b.Err, kerr.UnknownMemberID), errors.Is(b.Err, kerr.GroupIDNotFound):
		s.lose(c)
	case errors.Is(b.Err, kerr.FencedInstanceID), errors.Is(b.Err, kerr.UnreleasedInstanceID), errors.Is(b.Err, kerr.GroupMaxSizeReached):
		s.crash(c)
	default:
		s.t.Fatalf("%s: %v", c.name, b.Err)
	}
	if b.HasAssignment {
		s.receive(c, b.Assignment)
	}
}

// receive takes over an assignment. What is new is owned at once; what is not in it is given up one by one.
func (s *consumerSim) receive(c *client, given []OwnedTopic) {
	c.may = map[topicPartition]bool{}
	if c.owned == nil {
		c.owned = map[topicPartition]bool{}
	}
	for _, t := range given {
		for _, p := range t.Partitions {
			c.may[topicPartition{t.ID, p}], c.owned[topicPartition{t.ID, p}] = true, true
		}
	}
}

func (s *consumerSim) told(c *client) []OwnedTopic {
	all := []OwnedTopic{}
	for _, p := range slices.SortedFunc(maps.Keys(c.owned), comparePlaces) {
		all = append(all, OwnedTopic{ID: p.topic, Partitions: []int32{p.partition}})
	}
	return all
}

// proceedClassic does what an eager consumer of the classic protocol does next: it gives up everything before it joins.
func (s *consumerSim) proceedClassic(c *client) {
	switch c.phase {
	case outside:
		c.owned, c.phase = nil, joining
		said := kmsg.ConsumerMemberMetadata{Version: 1, Topics: []string{"t"}}
		c.tok = s.join(c.name, &JoinRequest{
			Group: "g", MemberID: c.id, InstanceID: c.instance, ClientID: c.name, ClientHost: "/h", ProtocolType: consumerType,
			Protocols: []Protocol{{Name: "range", Metadata: said.AppendTo(nil)}}, SessionTimeout: simSession, RebalanceTimeout: simRebalance,
		})
	case joining:
		if a, ok := s.answers[c.tok]; ok {
			s.classicFault(c, a.Join.Err)
			if a.Join.Err == nil {
				c.phase, c.id, c.epoch, c.roll = joined, a.Join.MemberID, a.Join.Generation, a.Join.Members
			}
		}
	case joined:
		c.phase = syncing
		c.tok = s.world.sync(c.name, &SyncRequest{Group: "g", MemberID: c.id, InstanceID: c.instance, Generation: c.epoch, Assignments: s.assignments(c)})
	case syncing:
		if a, ok := s.answers[c.tok]; ok {
			s.classicFault(c, a.Sync.Err)
			if a.Sync.Err == nil {
				c.phase = inside
				held, _, ok := s.m.readAssignment(a.Sync.Assignment)
				if !ok {
					s.t.Fatalf("%s got an assignment of %x", c.name, a.Sync.Assignment)
				}
				s.receive(c, held.byTopic())
			}
		}
	case inside:
		s.classicFault(c, s.m.Heartbeat(s.now, &HeartbeatRequest{Group: "g", MemberID: c.id, InstanceID: c.instance, Generation: c.epoch}))
	}
}

func (s *consumerSim) classicFault(c *client, err error) {
	switch {
	case err == nil:
	case errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.IllegalGeneration):
		s.lose(c)
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.GroupMaxSizeReached), errors.Is(err, kerr.InconsistentGroupProtocol):
		s.crash(c)
	default:
		s.t.Fatalf("%s: %v", c.name, err)
	}
}

// assignments is the leader's work.
func (s *consumerSim) assignments(c *client) (all []Assignment) {
	t := s.topics.topics["t"]
	for i, mb := range c.roll {
		v := kmsg.ConsumerMemberAssignment{Version: 1}
		var mine []int32
		for p := int32(i); p < t.Partitions; p += int32(len(c.roll)) {
			mine = append(mine, p)
		}
		v.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: "t", Partitions: mine}}
		all = append(all, Assignment{MemberID: mb.ID, Data: v.AppendTo(nil)})
	}
	return all
}

// commitAs commits under an epoch that may be old, and checks G2.
func (s *consumerSim) commitAs(c *client) {
	t := s.topics.topics["t"]
	r := &CommitRequest{Group: "g", MemberID: c.id, Generation: c.epoch - int32(s.rnd.IntN(3)), KnowsEpochs: true, Producer: entry.NoProducer(),
		Offsets: []CommitOffset{{Topic: "t", TopicID: t.ID, Partition: int32(s.rnd.IntN(int(t.Partitions))), Offset: 1, LeaderEpoch: -1}}}
	if r.Generation < 0 {
		return
	}
	err := s.commit(r)
	g := s.m.groups["g"]
	if err != nil || g == nil || g.consumer == nil {
		return
	}
	mb := g.consumer.members[c.id]
	if mb == nil || r.Generation > mb.epoch {
		s.t.Fatalf("G2: %s committed as %q of epoch %d", c.name, c.id, r.Generation)
	}
	at := r.Offsets[0].Partition
	_, has := mb.assigned.has(t.ID, at)
	if _, revoking := mb.revoking.has(t.ID, at); r.Generation < mb.epoch && !has && !revoking {
		s.t.Fatalf("G2: %s committed under an old epoch for a partition that it does not have", c.name)
	}
}

// compacted is the log as it is long after: of every key the last record, and no tombstones.
func (s *consumerSim) compacted() []logged {
	last := map[string]int{}
	for i, l := range s.log {
		last[string(l.record.Key)] = i
	}
	var left []logged
	for i, l := range s.log {
		if last[string(l.record.Key)] == i && l.record.Value != nil {
			left = append(left, l)
		}
	}
	return left
}

func (s *consumerSim) check() {
	s.checkReload(s.t)
	if whole := s.log; s.rnd.IntN(8) == 0 {
		s.log = s.compacted()
		s.checkReload(s.t)
		s.log = whole
	}
	g := s.m.groups["g"]
	if g == nil || g.consumer == nil {
		s.epochs = map[string]int32{}
		return
	}
	if kept := consumerBytes(g); kept != g.bytes {
		s.t.Fatalf("the group keeps %d bytes and says %d", kept, g.bytes)
	}
	c := g.consumer
	if c.epoch < s.epochs["group"] || c.assignmentEpoch > c.epoch {
		s.t.Fatalf("the group went from epoch %d to %d; its target is of %d", s.epochs["group"], c.epoch, c.assignmentEpoch)
	}
	s.epochs["group"] = c.epoch
	holder := map[topicPartition]string{}
	for _, mb := range c.inOrder() {
		if mb.epoch > c.assignmentEpoch || mb.epoch >= 0 && mb.epoch < s.epochs[mb.id] {
			s.t.Fatalf("%s went from epoch %d to %d, the target is of %d", mb.id, s.epochs[mb.id], mb.epoch, c.assignmentEpoch)
		}
		s.epochs[mb.id] = mb.epoch
		for _, p := range slices.Concat(mb.assigned.places(), mb.revoking.places()) {
			if other, taken := holder[p]; taken {
				s.t.Fatalf("G1: partition %d-%d is in the hands of %s and %s", p.topic[0], p.partition, other, mb.id)
			}
			holder[p] = mb.id
		}
	}
	if !maps.Equal(holder, c.owner) {
		s.t.Fatalf("the list of owners says %v, the members have %v", c.owner, holder)
	}
	for _, cl := range s.clients {
		s.checkOwned(c, cl)
	}
}

// checkOwned holds what a client owns against what the coordinator knows: as long as it is a member that was not fenced, it owns
// nothing that somebody else may get.
func (s *consumerSim) checkOwned(c *consumerGroup, cl *client) {
	mb := c.members[cl.id]
	if mb == nil || cl.phase != inside || mb.classic != nil != cl.classic || cl.epoch != mb.epoch && cl.epoch != mb.previous {
		return
	}
	for p := range cl.owned {
		_, has := mb.assigned.has(p.topic, p.partition)
		if _, revoking := mb.revoking.has(p.topic, p.partition); !has && !revoking {
			s.t.Fatalf("G1: %s (%s at %d) owns %d-%d, which the coordinator would give to others: %v revoking %v", cl.name, cl.id, cl.epoch, p.topic[0], p.partition, held(mb.assigned), held(mb.revoking))
		}
	}
}

// calm ends the faults: everybody behaves.
func (s *consumerSim) calm() {
	for range 600 {
		for _, c := range s.clients {
			s.proceed(c, false)
		}
		s.advance(time.Second)
	}
	s.check()
	g := s.m.groups["g"]
	if st := g.stands(); st != Stable {
		s.t.Fatalf("G6: the group is %v long after the last fault\n%s", st, durable(s.m, func(string) bool { return true }))
	}
	owned := map[topicPartition]string{}
	for _, c := range s.clients {
		if c.phase != inside {
			if g.consumer == nil && !c.classic || s.m.cfg.Migration == MigrateNever {
				continue // there is no way in
			}
			s.t.Fatalf("G6: %s has no place in the group (phase %d)", c.name, c.phase)
		}
		for p := range c.owned {
			if other, taken := owned[p]; taken {
				s.t.Fatalf("G1: %s and %s own %d-%d", other, c.name, p.topic[0], p.partition)
			}
			owned[p] = c.name
		}
	}
	for tok, label := range s.waiting {
		s.t.Fatalf("G6: %s still waits for an answer (token %d)", label, tok)
	}
	t := s.topics.topics["t"]
	for p := range t.Partitions {
		if owned[topicPartition{t.ID, p}] == "" {
			s.t.Fatalf("G6: nobody owns t-%d\n%s", p, durable(s.m, func(string) bool { return true }))
		}
	}
}
