package group

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kerr"
)

var (
	simSeeds = flag.Int("sim.seeds", 60, "random histories to play")
	simSeed  = flag.Uint64("sim.seed", 0, "play this one only")
)

// TestInvariantsHoldInRandomHistories lets consumers that join, sync, commit, crash, come back late, repeat themselves and
// speak of old generations loose on a coordinator that reloads itself now and then. After every step a reload must give the
// same state, and G1 (one assignment per generation, every partition owned once), G2 (a commit out of turn changes nothing)
// and G3 (offsets are what was committed) are checked; when the faults end, G6 (everybody has its place in bounded time).
func TestInvariantsHoldInRandomHistories(t *testing.T) {
	if *simSeed != 0 {
		simulate(t, *simSeed)
		return
	}
	for seed := range *simSeeds {
		t.Run(fmt.Sprintf("seed=%d", seed+1), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("again: go test -run TestInvariantsHold -sim.seed=%d", seed+1)
				}
			}()
			simulate(t, uint64(seed+1))
		})
	}
}

const (
	simSteps      = 250
	simGroups     = 2
	simActors     = 5
	simPartitions = 7
	simSession    = 10 * time.Second
	simRebalance  = 20 * time.Second
)

func simulate(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := &simulation{t: t, rnd: rnd, model: newOffsetModel(), given: map[string]map[string]string{}}
	cfg := Config{MaxMembers: simActors + 2}
	if rnd.IntN(2) == 0 {
		cfg.InitialRebalanceDelay = 3 * time.Second
	}
	s.world = newWorld(cfg)
	for g := range simGroups {
		for i := range simActors {
			a := &actor{name: fmt.Sprintf("a%d-%d", g, i), group: fmt.Sprintf("g%d", g)}
			if i < 2 {
				instance := fmt.Sprintf("i%d", i)
				a.instance = &instance
			}
			s.actors = append(s.actors, a)
		}
	}
	for range simSteps {
		s.step()
		s.check()
	}
	s.calm()
}

// phase is where an actor stands in the protocol.
type phase int

const (
	outside phase = iota
	joining
	joined
	syncing
	inside
	gone // does nothing any more
)

// actor is a consumer.
type actor struct {
	name     string
	group    string
	instance *string
	id       string
	gen      int32
	phase    phase
	tok      Token
	roll     []JoinMember // as leader
	skip     bool
}

type simulation struct {
	*world
	t      *testing.T
	rnd    *rand.Rand
	actors []*actor
	model  *offsetModel
	next   int64                        // offset to commit
	given  map[string]map[string]string // group and generation: slot: assignment
}

func (s *simulation) step() {
	a := s.actors[s.rnd.IntN(len(s.actors))]
	switch n := s.rnd.IntN(100); {
	case n < 55:
		s.proceed(a)
	case n < 63:
		s.advance(time.Duration(s.rnd.IntN(4000)) * time.Millisecond)
	case n < 65:
		s.advance(time.Duration(s.rnd.IntN(30)) * time.Second)
	case n < 69: // crash: the process is gone, its requests are not
		a.phase, a.id = outside, ""
	case n < 72:
		s.leave(a)
	case n < 78:
		s.commitAs(a, a.id, a.gen)
	case n < 82: // out of turn
		s.commitAs(a, a.id, a.gen-1)
	case n < 84:
		s.commitAs(a, "stranger", a.gen)
	case n < 88:
		s.commitTxn(a)
	case n < 92:
		s.endTxn(int64(s.rnd.IntN(3)), s.rnd.IntN(2) == 0)
	case n < 94: // a request of old
		s.world.sync("late", &SyncRequest{Group: a.group, MemberID: a.id, InstanceID: a.instance, Generation: a.gen - 1})
	case n < 96: // asks twice
		if a.phase == joining {
			s.join(a)
		}
	case n < 97:
		res, err := s.m.Delete(s.now, a.group)
		s.write(res)
		if err == nil {
			s.model.deleteGroup(a.group)
			s.given = map[string]map[string]string{} // its generations begin anew
		}
	default:
		s.reload()
	}
}

func (s *simulation) reload() {
	s.m = s.replay()
	s.waiting = map[Token]string{}
	for _, a := range s.actors { // the shell tells who waits
		if a.phase == joining || a.phase == syncing {
			a.phase = outside
		}
	}
}

// proceed does what a well-behaved consumer does next.
func (s *simulation) proceed(a *actor) {
	switch a.phase {
	case outside:
		s.join(a)
	case joining:
		if ans, ok := s.answers[a.tok]; ok {
			s.joinAnswered(a, ans.Join)
		}
	case joined:
		s.sync(a)
	case syncing:
		if ans, ok := s.answers[a.tok]; ok {
			s.syncAnswered(a, ans.Sync)
		}
	case inside:
		err := s.m.Heartbeat(s.now, &HeartbeatRequest{Group: a.group, MemberID: a.id, InstanceID: a.instance, Generation: a.gen})
		s.fault(a, err)
	}
}

// fault reacts to an error as consumers do.
func (s *simulation) fault(a *actor, err error) {
	switch err {
	case nil:
	case kerr.RebalanceInProgress, kerr.UnknownServerError:
		a.phase = outside
	case kerr.IllegalGeneration, kerr.UnknownMemberID:
		a.phase, a.id = outside, ""
	case kerr.FencedInstanceID:
		// Its own earlier or later self: a process that lost the race ends, and is started again.
		a.phase, a.id = outside, ""
	default:
		s.t.Fatalf("%s: unexpected error %v", a.name, err)
	}
}

func (s *simulation) join(a *actor) {
	protocols := []Protocol{{Name: "range", Metadata: storyMetadata("+t")}}
	if s.rnd.IntN(8) == 0 {
		protocols[0].Metadata = storyMetadata("+t+u")
	}
	if s.rnd.IntN(4) == 0 {
		protocols = append(protocols, Protocol{Name: "sticky", Metadata: storyMetadata("+t")})
	}
	a.phase = joining
	a.tok = s.world.join(a.name, &JoinRequest{
		Group: a.group, MemberID: a.id, InstanceID: a.instance, ClientID: a.name, ClientHost: "/h", ProtocolType: "consumer",
		Protocols: protocols, SessionTimeout: simSession, RebalanceTimeout: simRebalance,
		RequireKnownID: s.rnd.IntN(2) == 0, CanSkip: s.rnd.IntN(2) == 0,
	})
}

func (s *simulation) joinAnswered(a *actor, j *JoinResponse) {
	switch j.Err {
	case nil:
		a.phase, a.id, a.gen, a.skip, a.roll = joined, j.MemberID, j.Generation, j.SkipAssignment, nil
		if j.Leader == j.MemberID {
			a.roll = j.Members
		}
	case kerr.MemberIDRequired:
		a.phase, a.id = outside, j.MemberID
	case kerr.GroupMaxSizeReached:
		a.phase, a.id = outside, ""
	default:
		s.fault(a, j.Err)
	}
}

// slot is whose place in the group a member id has: a static member keeps it under any id.
func (s *simulation) slot(a *actor) string {
	if a.instance != nil {
		return "/" + *a.instance
	}
	return a.id
}

func (s *simulation) sync(a *actor) {
	r := &SyncRequest{Group: a.group, MemberID: a.id, InstanceID: a.instance, Generation: a.gen}
	if !a.skip {
		for i, mb := range a.roll {
			var mine []string
			for p := i; p < simPartitions; p += len(a.roll) {
				mine = append(mine, fmt.Sprint(p))
			}
			r.Assignments = append(r.Assignments, Assignment{MemberID: mb.ID, Data: []byte(strings.Join(mine, " "))})
		}
	}
	a.phase = syncing
	a.tok = s.world.sync(a.name, r)
}

// syncAnswered checks G1: what the members of a generation got does not overlap.
func (s *simulation) syncAnswered(a *actor, r *SyncResponse) {
	if r.Err != nil {
		s.fault(a, r.Err)
		return
	}
	a.phase = inside
	key := fmt.Sprintf("%s generation %d", a.group, a.gen)
	if s.given[key] == nil {
		s.given[key] = map[string]string{}
	}
	got := string(r.Assignment)
	if before, ok := s.given[key][s.slot(a)]; ok && before != got {
		s.t.Fatalf("G1: %s: %s was given %q, now %q", key, s.slot(a), before, got)
	}
	s.given[key][s.slot(a)] = got
	owner := map[string]string{}
	for slot, parts := range s.given[key] {
		for _, p := range strings.Fields(parts) {
			if other, taken := owner[p]; taken {
				s.t.Fatalf("G1: %s: partition %s belongs to %s and to %s", key, p, other, slot)
			}
			owner[p] = slot
		}
	}
}

func (s *simulation) leave(a *actor) {
	leavers := []LeaveMember{{MemberID: a.id, InstanceID: a.instance}}
	res, err := s.m.Leave(s.now, a.group, leavers)
	s.write(res)
	if err != nil {
		s.t.Fatal(err)
	}
	a.phase, a.id = outside, ""
}

func (s *simulation) request(a *actor, id string, gen int32) *CommitRequest {
	s.next++
	return &CommitRequest{
		Group: a.group, MemberID: id, InstanceID: a.instance, Generation: gen, Producer: entry.NoProducer(),
		Offsets: []CommitOffset{{Topic: "t", Partition: int32(s.rnd.IntN(simPartitions)), Offset: s.next, LeaderEpoch: -1}},
	}
}

// commitAs commits, and checks G2: only a member of the present generation may.
func (s *simulation) commitAs(a *actor, id string, gen int32) {
	r := s.request(a, id, gen)
	g := s.m.groups[a.group]
	if err := s.commit(r); err != nil {
		return
	}
	if gen >= 0 {
		mb := g.members[id]
		if mb == nil || gen != g.generation || show(mb.instanceID) != show(a.instance) {
			s.t.Fatalf("G2: %s committed as %s of generation %d, which is not in generation %d", a.name, id, gen, g.generation)
		}
	}
	s.model.commit(a.group, r)
}

func (s *simulation) commitTxn(a *actor) {
	r := s.request(a, a.id, a.gen)
	r.Producer = entry.Producer{ID: int64(s.rnd.IntN(3))}
	if s.commit(r) == nil {
		s.model.commit(a.group, r)
	}
}

func (s *simulation) endTxn(producer int64, commit bool) {
	s.end(entry.Marker{Producer: entry.Producer{ID: producer}, Commit: commit})
	s.model.end(producer, commit)
}

// checkBytes counts what the groups keep, which the limits go by.
func (s *simulation) checkBytes() {
	all := 0
	for id, g := range s.m.groups {
		kept := 0
		for _, mb := range g.order {
			kept += mb.bytes()
		}
		for pending := range g.pendingIDs {
			kept += perID + len(pending)
		}
		kept += consumerBytes(g)
		if kept != g.bytes {
			s.t.Fatalf("group %s keeps %d bytes and says %d", id, kept, g.bytes)
		}
		all += kept
	}
	if all != s.m.bytes {
		s.t.Fatalf("the groups keep %d bytes, the machine says %d", all, s.m.bytes)
	}
}

// check compares a reload with the state, and the offsets with what was committed (G3).
func (s *simulation) check() {
	s.checkBytes()
	s.checkReload(s.t)
	for g := range simGroups {
		id := fmt.Sprintf("g%d", g)
		var asked []Partition
		for p := range int32(simPartitions) {
			asked = append(asked, Partition{"t", p})
		}
		for _, f := range s.m.Fetch(id, asked, false) {
			if want := s.model.offset(id, f.Partition); f.Offset != want {
				s.t.Fatalf("G3: %s: offset of %v is %d, committed was %d", id, f.Partition, f.Offset, want)
			}
		}
		for _, f := range s.m.Fetch(id, asked, true) {
			if want := s.model.unstable(id, f.Partition); want != (f.Err == kerr.UnstableOffsetCommit) {
				s.t.Fatalf("%s: a stable fetch of %v says %v; open transactions: %v", id, f.Partition, f.Err, want)
			}
		}
	}
}

// calm ends the faults: everybody behaves, and after the longest of the deadlines all groups are stable with everybody in
// them (G6), every partition is owned (G1), and nobody who asked is without an answer.
func (s *simulation) calm() {
	for range int(2*(simRebalance+simSession+newMemberTimeout)/time.Second) * 2 {
		for _, a := range s.actors {
			s.proceed(a)
		}
		s.advance(500 * time.Millisecond)
	}
	s.check()
	for g := range simGroups {
		id := fmt.Sprintf("g%d", g)
		if st := s.m.groups[id].state; st != Stable {
			s.t.Fatalf("G6: %s is %v long after the last fault", id, st)
		}
		var owned []string
		for _, a := range s.actors {
			if a.group != id {
				continue
			}
			if a.phase != inside || a.gen != s.m.groups[id].generation {
				s.t.Fatalf("G6: %s has no place in %s (phase %d, generation %d of %d)", a.name, id, a.phase, a.gen, s.m.groups[id].generation)
			}
			owned = append(owned, strings.Fields(s.given[fmt.Sprintf("%s generation %d", id, a.gen)][s.slot(a)])...)
		}
		if slices.Sort(owned); len(slices.Compact(owned)) != simPartitions {
			s.t.Fatalf("G1: of %s only partitions %v are owned", id, owned)
		}
	}
	for tok, label := range s.waiting {
		s.t.Fatalf("G6: %s still waits for an answer (token %d)", label, tok)
	}
}

// offsetModel is what the offsets must be, worked out from the commits and markers in their order.
type offsetModel struct {
	ops     int
	visible map[groupPartition]modelOffset
	open    map[int64]map[groupPartition]modelOffset
}

type modelOffset struct {
	at    int64
	order int
}

func newOffsetModel() *offsetModel {
	return &offsetModel{visible: map[groupPartition]modelOffset{}, open: map[int64]map[groupPartition]modelOffset{}}
}

func (m *offsetModel) commit(group string, r *CommitRequest) {
	m.ops++
	for _, o := range r.Offsets {
		into := m.visible
		if !r.Producer.None() {
			if m.open[r.Producer.ID] == nil {
				m.open[r.Producer.ID] = map[groupPartition]modelOffset{}
			}
			into = m.open[r.Producer.ID]
		}
		into[groupPartition{group, Partition{o.Topic, o.Partition}}] = modelOffset{o.Offset, m.ops}
	}
}

func (m *offsetModel) end(producer int64, commit bool) {
	for gp, o := range m.open[producer] {
		if commit && o.order > m.visible[gp].order {
			m.visible[gp] = o
		}
	}
	delete(m.open, producer)
}

func (m *offsetModel) deleteGroup(group string) {
	of := func(gp groupPartition, _ modelOffset) bool { return gp.group == group }
	maps.DeleteFunc(m.visible, of)
	for _, open := range m.open {
		maps.DeleteFunc(open, of)
	}
}

func (m *offsetModel) offset(group string, p Partition) int64 {
	if o, ok := m.visible[groupPartition{group, p}]; ok {
		return o.at
	}
	return -1
}

func (m *offsetModel) unstable(group string, p Partition) bool {
	for _, open := range m.open {
		if _, ok := open[groupPartition{group, p}]; ok {
			return true
		}
	}
	return false
}
