package assign

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/internal/topology"
)

// Member is a member of the group as its leader sees it.
type Member struct {
	ID    string // of the group's coordinator; unique
	Claim Claim
}

// maxFormer is how many former owners of a task are remembered. More than one is needed when a new owner dies before it has fenced the one before it; a
// chain of four such deaths within one rebalance each is where it ends, and then the transaction's time-out has to do.
const maxFormer = 4

// Assign returns the grant of each member by its ID. tasks are all tasks of the leader's topology, whose fingerprint is given; generation numbers the
// assignment and must grow.
func Assign(members []Member, tasks []topology.TaskID, fingerprint string, generation int32) map[string]Grant {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Claim.TransactionalID, b.Claim.TransactionalID), cmp.Compare(a.ID, b.ID))
	})
	grants := make(map[string]Grant, len(members))
	counts := reference(members)
	var in []Member
	for _, m := range members {
		if m.Claim.Fingerprint == counts {
			in = append(in, m)
			continue
		}
		grants[m.ID] = Grant{Generation: generation, Refused: fmt.Sprintf(
			"the group runs another topology (fingerprint %s, this one is %s): give the changed application another id, or stop all instances of the old one and reset it",
			short(counts), short(m.Claim.Fingerprint))}
	}
	owner := owners(in)
	former := formerOwners(in, owner)
	target := owner // the leader does not know the tasks of another topology: everybody keeps what it has
	if counts == fingerprint {
		target = spread(in, tasks, owner, former)
	}
	live := make([]string, len(in))
	for i, m := range in {
		live[i] = m.Claim.TransactionalID
	}
	granted := make([][]topology.TaskID, len(in))
	withheld := make([]bool, len(in))
	fence := make([][]string, len(in))
	for _, t := range sortedTasks(target) {
		to := target[t]
		if have, owned := owner[t]; owned && have != to {
			withheld[have] = true // until its owner has let go
			continue
		}
		granted[to] = append(granted[to], t)
		for _, id := range former[t] {
			if !slices.Contains(live, id) && !slices.Contains(fence[to], id) {
				fence[to] = append(fence[to], id)
			}
		}
		former[t] = remember(former[t], live[to])
	}
	for i, m := range in {
		grants[m.ID] = Grant{Generation: generation, Tasks: granted[i], Withheld: withheld[i], Fence: fence[i], Live: live, Former: former, Settled: !slices.Contains(withheld, true)}
	}
	return grants
}

// short shows enough of a fingerprint to tell two apart.
func short(fingerprint string) string {
	if len(fingerprint) > 12 {
		return fingerprint[:12]
	}
	return fingerprint
}

// reference returns the fingerprint that counts: of most owned tasks, then of most members, then the smallest.
func reference(members []Member) string {
	type votes struct {
		fingerprint    string
		tasks, members int
	}
	var all []votes
	for _, m := range members {
		i := slices.IndexFunc(all, func(v votes) bool { return v.fingerprint == m.Claim.Fingerprint })
		if i < 0 {
			i = len(all)
			all = append(all, votes{fingerprint: m.Claim.Fingerprint})
		}
		all[i].tasks += len(m.Claim.Owned)
		all[i].members++
	}
	if len(all) == 0 {
		return ""
	}
	return slices.MinFunc(all, func(a, b votes) int {
		return cmp.Or(cmp.Compare(b.tasks, a.tasks), cmp.Compare(b.members, a.members), cmp.Compare(a.fingerprint, b.fingerprint))
	}).fingerprint
}

// owners returns who owns each task. Of two members that claim one, the claim of the later generation counts: the other was out of the group when the task moved.
func owners(members []Member) map[topology.TaskID]int {
	owner := make(map[topology.TaskID]int)
	for i, m := range members {
		for _, t := range m.Claim.Owned {
			if have, ok := owner[t]; ok && members[have].Claim.Generation >= m.Claim.Generation {
				continue
			}
			owner[t] = i
		}
	}
	return owner
}

// formerOwners merges what the members know about who owned the tasks before, the present owner first. The latest assignment knows best.
func formerOwners(members []Member, owner map[topology.TaskID]int) map[topology.TaskID][]string {
	former := make(map[topology.TaskID][]string)
	latest := int32(-1)
	for _, m := range members {
		if len(m.Claim.Former) > 0 && m.Claim.Generation > latest {
			latest = m.Claim.Generation
			clear(former)
			for t, ids := range m.Claim.Former {
				former[t] = slices.Clone(ids)
			}
		}
	}
	for t, i := range owner {
		former[t] = remember(former[t], members[i].Claim.TransactionalID)
	}
	return former
}

// remember puts id at the front.
func remember(ids []string, id string) []string {
	out := make([]string, 0, maxFormer)
	out = append(out, id)
	for _, have := range ids {
		if have != id && len(out) < maxFormer {
			out = append(out, have)
		}
	}
	return out
}

// spread shares out the tasks, sub-topology by sub-topology: each member gets the whole part of its share, and the remainder goes to those with the fewest tasks so far.
func spread(members []Member, tasks []topology.TaskID, owner map[topology.TaskID]int, former map[topology.TaskID][]string) map[topology.TaskID]int {
	target := make(map[topology.TaskID]int, len(tasks))
	if len(members) == 0 {
		return target
	}
	total := make([]int, len(members))
	for _, sub := range bySubtopology(tasks) {
		owned := make([]int, len(members))
		for _, t := range sub {
			if i, ok := owner[t]; ok {
				owned[i]++
			}
		}
		quota := quotas(len(sub), total, owned)
		for i, q := range quota {
			total[i] += q
		}
		place(sub, quota, members, owner, former, target)
	}
	return target
}

// quotas shares n tasks among members that have total tasks of other sub-topologies and own some of this one.
func quotas(n int, total, owned []int) []int {
	quota := make([]int, len(total))
	order := make([]int, len(total))
	for i := range quota {
		quota[i] = n / len(total)
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(total[a], total[b]), cmp.Compare(owned[b], owned[a]))
	})
	for _, i := range order[:n%len(total)] {
		quota[i]++
	}
	return quota
}

// place gives the tasks of one sub-topology to members within their quotas: to owners first, then to the processes that had them, then in order. An owner with too many gives
// up those that a process in the group had before.
func place(sub []topology.TaskID, quota []int, members []Member, owner map[topology.TaskID]int, former map[topology.TaskID][]string, target map[topology.TaskID]int) {
	var open []topology.TaskID
	for _, away := range []bool{false, true} {
		for _, t := range sub {
			i, owned := owner[t]
			switch {
			case owned && hadElsewhere(members, members[i].Claim.Process, former[t]) != away:
			case owned && quota[i] > 0:
				quota[i]--
				target[t] = i
			case owned || !away:
				open = append(open, t)
			}
		}
	}
	slices.SortFunc(open, CompareTasks)
	var rest []topology.TaskID
	for _, t := range open {
		if i := home(members, quota, former[t]); i >= 0 {
			quota[i]--
			target[t] = i
			continue
		}
		rest = append(rest, t)
	}
	i := 0
	for _, t := range rest {
		for quota[i] == 0 {
			i++
		}
		quota[i]--
		target[t] = i
	}
}

// hadElsewhere reports whether another process in the group had the task once.
func hadElsewhere(members []Member, process string, former []string) bool {
	return slices.ContainsFunc(former, func(id string) bool {
		had := ProcessOf(id)
		return had != process && slices.ContainsFunc(members, func(m Member) bool { return m.Claim.Process == had })
	})
}

// home returns a member with room whose process had the task, the last owner first; -1 when there is none.
func home(members []Member, quota []int, former []string) int {
	for _, id := range former {
		process := ProcessOf(id)
		best := -1
		for i, m := range members {
			if quota[i] == 0 || m.Claim.Process != process {
				continue
			}
			if m.Claim.TransactionalID == id {
				return i
			}
			if best < 0 {
				best = i
			}
		}
		if best >= 0 {
			return best
		}
	}
	return -1
}

// bySubtopology groups tasks, both in order.
func bySubtopology(tasks []topology.TaskID) [][]topology.TaskID {
	tasks = slices.Clone(tasks)
	slices.SortFunc(tasks, CompareTasks)
	var subs [][]topology.TaskID
	for i, t := range tasks {
		if i == 0 || t.Subtopology != tasks[i-1].Subtopology {
			subs = append(subs, nil)
		}
		subs[len(subs)-1] = append(subs[len(subs)-1], t)
	}
	return subs
}

// CompareTasks orders by sub-topology, then by partition.
func CompareTasks(a, b topology.TaskID) int {
	return cmp.Or(cmp.Compare(a.Subtopology, b.Subtopology), cmp.Compare(a.Partition, b.Partition))
}

func sortedTasks[V any](m map[topology.TaskID]V) []topology.TaskID {
	tasks := make([]topology.TaskID, 0, len(m))
	for t := range m {
		tasks = append(tasks, t)
	}
	slices.SortFunc(tasks, CompareTasks)
	return tasks
}
