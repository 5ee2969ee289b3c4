package assign

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/topology"
)

// group simulates a group: members come and go, and follow each assignment as the runtime does.
type group struct {
	t          *testing.T
	tasks      []topology.TaskID
	generation int32
	members    map[string]*member
	next       int
}

type member struct {
	claim Claim
	grant Grant
}

func process(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func newGroup(t *testing.T, partitions ...int) *group {
	g := &group{t: t, members: map[string]*member{}}
	for sub, n := range partitions {
		for p := range n {
			g.tasks = append(g.tasks, topology.TaskID{Subtopology: sub, Partition: int32(p)})
		}
	}
	return g
}

func (g *group) join() string {
	g.next++
	return g.joinAs(process(g.next), 0)
}

func (g *group) joinAs(process string, worker int) string {
	g.next++
	id := fmt.Sprintf("m%d", g.next)
	g.members[id] = &member{claim: Claim{Process: process, TransactionalID: TransactionalID("app", process, worker), Fingerprint: "f", Generation: -1}}
	return id
}

// rebalance lets the group assign until nothing is withheld, as cooperative members do, and returns how many rounds and moves that took.
func (g *group) rebalance() (rounds, moves int) {
	g.t.Helper()
	for rounds = 1; ; rounds++ {
		if rounds > 3 {
			g.t.Fatalf("no end after %d rounds", rounds)
		}
		moved := g.round()
		moves += moved
		if g.granted() == len(g.tasks) {
			return rounds, moves
		}
	}
}

// round is one assignment. It checks that no task is in two hands, and that nobody loses one it still works on.
func (g *group) round() (given int) {
	g.t.Helper()
	g.generation++
	var members []Member
	before := map[topology.TaskID]string{}
	for id, m := range g.members {
		members = append(members, Member{id, m.claim})
		for _, t := range m.claim.Owned {
			before[t] = id
		}
	}
	grants := Assign(members, g.tasks, "f", g.generation)
	after := map[topology.TaskID]string{}
	settled := true
	for id, m := range g.members {
		grant, ok := grants[id]
		if !ok {
			g.t.Fatalf("member %s got no answer", id)
		}
		for _, t := range grant.Tasks {
			if other, twice := after[t]; twice {
				g.t.Fatalf("task %s is granted to %s and %s", t, other, id)
			}
			if owner, owned := before[t]; owned && owner != id {
				g.t.Fatalf("task %s is granted to %s while %s has it", t, id, owner)
			}
			after[t] = id
			if !slices.Contains(m.claim.Owned, t) {
				given++
			}
		}
		m.grant = grant
		settled = grant.Settled
		m.claim.Owned, m.claim.Generation, m.claim.Former = grant.Tasks, grant.Generation, grant.Former
	}
	if settled != (len(after) == len(g.tasks)) {
		g.t.Fatalf("settled is %v with %d of %d tasks granted", settled, len(after), len(g.tasks))
	}
	return given
}

func (g *group) granted() (n int) {
	for _, m := range g.members {
		n += len(m.grant.Tasks)
	}
	return n
}

// balanced checks the promise of balance.
func (g *group) balanced() {
	g.t.Helper()
	per := map[int][]int{}
	var total []int
	for _, m := range g.members {
		counts := map[int]int{}
		for _, t := range m.claim.Owned {
			counts[t.Subtopology]++
		}
		for _, t := range g.tasks {
			if t.Partition == 0 {
				per[t.Subtopology] = append(per[t.Subtopology], counts[t.Subtopology])
			}
		}
		total = append(total, len(m.claim.Owned))
	}
	for sub, counts := range per {
		if slices.Max(counts)-slices.Min(counts) > 1 {
			g.t.Errorf("sub-topology %d is spread as %v", sub, counts)
		}
	}
	if slices.Max(total)-slices.Min(total) > 1 {
		g.t.Errorf("tasks are spread as %v", total)
	}
}

func TestEveryTaskHasOneOwnerInRandomClusters(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		var partitions []int
		for range 1 + rng.IntN(4) {
			partitions = append(partitions, 1+rng.IntN(12))
		}
		g := newGroup(t, partitions...)
		g.join()
		for range 8 {
			for range 1 + rng.IntN(3) {
				ids := slices.Sorted(maps.Keys(g.members))
				if len(ids) < 2 || rng.IntN(2) == 0 {
					g.join()
				} else {
					delete(g.members, ids[rng.IntN(len(ids))])
				}
			}
			g.rebalance()
			g.balanced()
			if _, moves := g.rebalance(); moves != 0 {
				t.Fatalf("%d tasks move though nothing has changed", moves)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// Nobody gives up more than the newcomer needs.
func TestANewcomerTakesItsShareOnly(t *testing.T) {
	g := newGroup(t, 12)
	for range 3 {
		g.join()
	}
	g.rebalance()
	g.join()
	if rounds, moves := g.rebalance(); moves != 3 || rounds != 2 {
		t.Errorf("%d tasks moved in %d rounds, want 3 in 2", moves, rounds)
	}
}

func TestARestartedProcessGetsItsTasksBack(t *testing.T) {
	g := newGroup(t, 6, 6)
	a, b := g.join(), g.join()
	g.rebalance()
	had := slices.Clone(g.members[a].claim.Owned)
	was := g.members[a].claim.Process
	delete(g.members, a)
	g.rebalance()
	g.join()
	g.rebalance()
	delete(g.members, b) // both are away: only the third knows
	g.rebalance()
	again := g.joinAs(was, 0)
	g.rebalance()
	kept := 0
	for _, task := range g.members[again].claim.Owned {
		if slices.Contains(had, task) {
			kept++
		}
	}
	if kept != len(had) {
		t.Errorf("the process had %v and has %v now", had, g.members[again].claim.Owned)
	}
}

// Who takes over fences whom it takes over from, also when its predecessor died before it could fence its own.
func TestSuccessorsFenceTheDead(t *testing.T) {
	g := newGroup(t, 1)
	a := g.join()
	g.rebalance()
	first := g.members[a].claim.TransactionalID
	b := g.join()
	g.rebalance()
	delete(g.members, a)
	g.rebalance()
	if fence := g.members[b].grant.Fence; !slices.Contains(fence, first) {
		t.Errorf("the successor fences %v, want %s among them", fence, first)
	}
	second := g.members[b].claim.TransactionalID
	c := g.join()
	g.rebalance()
	delete(g.members, b)
	g.rebalance()
	if fence := g.members[c].grant.Fence; !slices.Contains(fence, first) || !slices.Contains(fence, second) {
		t.Errorf("the successor's successor fences %v, want %s and %s", fence, first, second)
	}
	if fence := g.members[c].grant.Fence; slices.Contains(fence, g.members[c].claim.TransactionalID) {
		t.Error("a member fences itself")
	}
}

func TestOfTwoClaimsTheLaterCounts(t *testing.T) {
	task := topology.TaskID{}
	stale := Member{"a", Claim{TransactionalID: "a", Fingerprint: "f", Generation: 3, Owned: []topology.TaskID{task}}}
	fresh := Member{"b", Claim{TransactionalID: "b", Fingerprint: "f", Generation: 5, Owned: []topology.TaskID{task}}}
	grants := Assign([]Member{stale, fresh}, []topology.TaskID{task}, "f", 6)
	if len(grants["a"].Tasks) != 0 {
		t.Error("the task is granted by a claim of an earlier generation")
	}
}

func TestAnotherTopologyIsRefused(t *testing.T) {
	g := newGroup(t, 4)
	a := g.join()
	g.rebalance()
	other := Member{"z", Claim{TransactionalID: "z", Fingerprint: "other", Generation: -1}}
	for leader, tasks := range map[string][]topology.TaskID{"f": g.tasks, "other": {{Subtopology: 9}}} {
		grants := Assign([]Member{{a, g.members[a].claim}, other}, tasks, leader, 9)
		if grants["z"].Refused == "" || len(grants["z"].Tasks) != 0 {
			t.Errorf("leader of topology %s: the newcomer gets %+v", leader, grants["z"])
		}
		if got := grants[a]; got.Refused != "" || !slices.Equal(got.Tasks, g.tasks) {
			t.Errorf("leader of topology %s: the member in place gets %v, want to keep %v", leader, got.Tasks, g.tasks)
		}
	}
}

func TestClaimsAndGrantsComeBack(t *testing.T) {
	former := map[topology.TaskID][]string{{Subtopology: 1, Partition: 2}: {"x", "y"}, {Subtopology: 0, Partition: 300}: {"y"}}
	claim := Claim{Process: process(1), TransactionalID: "t", Fingerprint: "f", Generation: 7, Owned: []topology.TaskID{{Subtopology: 1, Partition: 2}}, Former: former}
	if got, err := ParseClaim(claim.Append(nil)); err != nil || !reflect.DeepEqual(got, claim) {
		t.Errorf("got %+v, %v; want %+v", got, err, claim)
	}
	grant := Grant{Generation: 8, Tasks: claim.Owned, Fence: []string{"x"}, Live: []string{"t", "u"}, Former: former, Settled: true}
	if got, err := ParseGrant(grant.Append(nil)); err != nil || !reflect.DeepEqual(got, grant) {
		t.Errorf("got %+v, %v; want %+v", got, err, grant)
	}
}

// Whatever a member sends, the leader answers with an error and not with a panic or much memory.
func FuzzParse(f *testing.F) {
	claim := Claim{Process: "p", TransactionalID: "t", Fingerprint: "f", Owned: []topology.TaskID{{Partition: 1}}, Former: map[topology.TaskID][]string{{}: {"a"}}}
	f.Add(claim.Append(nil))
	grant := Grant{Tasks: claim.Owned, Fence: []string{"x"}, Live: []string{"y"}, Former: claim.Former}
	f.Add(grant.Append(nil))
	f.Add([]byte("MR\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ParseClaim(b)
		ParseGrant(b)
	})
}

func TestForeignBytesAreExplained(t *testing.T) {
	if _, err := ParseClaim([]byte("cooperative-sticky")); err == nil || !strings.Contains(err.Error(), "not a Millrace application") {
		t.Errorf("%v", err)
	}
	if _, err := ParseClaim([]byte{'M', 'R', 9}); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("%v", err)
	}
	whole := (&Claim{Process: "p"}).Append(nil)
	for i := 3; i < len(whole); i++ {
		if _, err := ParseClaim(whole[:i]); err == nil {
			t.Errorf("%d of %d bytes are read without an error", i, len(whole))
		}
	}
}

func TestProcessOf(t *testing.T) {
	p := process(42)
	for id, want := range map[string]string{TransactionalID("my-app-3", p, 11): p, "short-1": "", "": ""} {
		if got := ProcessOf(id); got != want {
			t.Errorf("ProcessOf(%q) = %q, want %q", id, got, want)
		}
	}
}
