package topology

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Plan is a topology with the partition counts of a cluster: which tasks there are, and which internal topics must exist.
type Plan struct {
	Tasks  []TaskID // ordered by sub-topology and partition
	Topics []PlannedTopic
}

// PlannedTopic is an internal topic with its real name and final partition count.
type PlannedTopic struct {
	Ref        TopicRef
	Name       string
	Partitions int32
	Config     map[string]string
	Kind       InternalKind
}

// planner resolves counts. Topics without a count yet are not in known.
type planner struct {
	topo     *Topology
	known    map[TopicRef]int32
	enforced map[TopicRef]bool // user topics, and repartition topics whose count the user or a join fixed
	faults   []error
}

// Plan resolves all partition counts. partitions answers for topics by real name, the user's and internal ones that exist already; app is the application's id.
// The error holds every topic that is missing and every set of topics that must have equal counts and has not, each with the user's line.
func (t *Topology) Plan(app string, partitions func(topic string) (int32, bool)) (*Plan, error) {
	p := &planner{topo: t, known: map[TopicRef]int32{}, enforced: map[TopicRef]bool{}}
	p.userTopics(app, partitions)
	if len(p.faults) == 0 {
		p.settle()
	}
	if len(p.faults) > 0 {
		return nil, errors.Join(p.faults...)
	}
	plan := p.plan(app)
	for _, topic := range plan.Topics {
		if have, ok := partitions(topic.Name); ok && have != topic.Partitions {
			p.faults = append(p.faults, fmt.Errorf(
				"topology: internal topic %s has %d partitions but the topology needs %d: the inputs' partition counts or the topology have changed; reset the application or give it another id",
				topic.Name, have, topic.Partitions))
		}
	}
	return plan, errors.Join(p.faults...)
}

func (p *planner) userTopics(app string, partitions func(string) (int32, bool)) {
	for _, s := range p.topo.subs {
		for _, src := range s.sources {
			for _, ref := range src.Topics {
				if ref.Internal {
					continue
				}
				n, ok := partitions(ref.Resolve(app))
				if !ok || n <= 0 {
					p.faults = append(p.faults, buildFault(src.node.op, "topic %q does not exist: create it first", ref.Name))
					continue
				}
				p.known[ref], p.enforced[ref] = n, true
			}
		}
	}
	for _, g := range p.topo.globals {
		if n, ok := partitions(g.Topic.Resolve(app)); !ok || n <= 0 {
			p.faults = append(p.faults, buildFault(g.op, "topic %q does not exist: create it first", g.Topic.Name))
		}
	}
	for _, r := range p.topo.reparts {
		if r.partitions > 0 {
			p.known[r.ref], p.enforced[r.ref] = r.partitions, true
		}
	}
}

// settle derives the counts of repartition topics to a fixpoint: each has as many partitions as the widest source of the sub-topology that writes it, unless
// a join with other topics fixes it. Every round fixes a topic or is the last; joins are looked at after each.
func (p *planner) settle() {
	for range len(p.topo.reparts) + 1 {
		for p.derive() {
		}
		if !p.coerce() {
			break
		}
		for ref := range p.known { // what was derived from counts that have changed is derived again
			if !p.enforced[ref] {
				delete(p.known, ref)
			}
		}
	}
	for _, r := range p.topo.reparts {
		if p.known[r.ref] == 0 && len(p.faults) == 0 {
			p.faults = append(p.faults, buildFault(r.op,
				"the partition count of repartition topic %q cannot be derived: it is fed only by itself; give it one with Partitions", r.ref.Name))
		}
	}
}

// derive widens repartition topics to what their writers' sources are known to have, and reports whether there was one to widen. Topics that feed each other in a
// circle become as wide as what comes in from outside.
func (p *planner) derive() (changed bool) {
	for _, r := range p.topo.reparts {
		if p.enforced[r.ref] {
			continue
		}
		if n := p.width(p.topo.subOf(r.sink)); n > p.known[r.ref] {
			p.known[r.ref] = n
			changed = true
		}
	}
	return changed
}

// width is the highest count among a sub-topology's sources that are known, 0 when none is.
func (p *planner) width(s *Subtopology) (n int32) {
	for _, src := range s.sources {
		for _, ref := range src.Topics {
			n = max(n, p.known[ref])
		}
	}
	return n
}

// coerce applies the co-partitioning rules and reports whether it fixed a count that was derived before.
func (p *planner) coerce() (changed bool) {
	for _, g := range p.topo.groups {
		topics := g.topics(p.topo)
		want, from, ok := p.agreed(g.op, topics)
		if !ok {
			continue
		}
		for _, ref := range topics {
			if ref == from || p.enforced[ref] {
				continue
			}
			if p.known[ref] != want {
				p.known[ref], changed = want, true
			}
			if p.enforced[from] {
				p.enforced[ref] = true
			}
		}
		if changed {
			for _, ref := range topics {
				p.enforced[ref] = true
			}
		}
	}
	return changed
}

// agreed returns the count that all topics of a group must have: that of the fixed ones, which must be equal, else the highest.
func (p *planner) agreed(op Op, topics []TopicRef) (want int32, from TopicRef, ok bool) {
	var fixed []TopicRef
	for _, ref := range topics {
		if p.enforced[ref] {
			fixed = append(fixed, ref)
		}
	}
	if len(fixed) == 0 {
		for _, ref := range topics {
			if n := p.known[ref]; n > want {
				want, from = n, ref
			}
		}
		return want, from, want > 0
	}
	for _, ref := range fixed[1:] {
		if p.known[ref] != p.known[fixed[0]] {
			p.conflict(op, fixed)
			return 0, TopicRef{}, false
		}
	}
	return p.known[fixed[0]], fixed[0], true
}

func (p *planner) conflict(op Op, topics []TopicRef) {
	err := buildFault(op, "not co-partitioned: %s", counts(topics, p.known))
	if !slices.ContainsFunc(p.faults, func(f error) bool { return f.Error() == err.Error() }) {
		p.faults = append(p.faults, err)
	}
}

// counts spells "orders has 6 partitions, customers has 4".
func counts(topics []TopicRef, known map[TopicRef]int32) string {
	var b strings.Builder
	for i, ref := range topics {
		switch {
		case i == 0:
			fmt.Fprintf(&b, "%s has %d partitions", ref.Name, known[ref])
		default:
			fmt.Fprintf(&b, ", %s has %d", ref.Name, known[ref])
		}
	}
	return b.String()
}

func (p *planner) plan(app string) *Plan {
	plan := &Plan{}
	tasks := make([]int32, len(p.topo.subs))
	for i, s := range p.topo.subs {
		tasks[i] = p.width(s)
		for n := range tasks[i] {
			plan.Tasks = append(plan.Tasks, TaskID{Subtopology: i, Partition: n})
		}
	}
	for _, t := range p.topo.internal {
		n := p.known[t.Ref]
		if t.Kind == ChangelogKind {
			n = tasks[t.Subtopology]
		}
		plan.Topics = append(plan.Topics, PlannedTopic{Ref: t.Ref, Name: t.Ref.Resolve(app), Partitions: n, Config: maps.Clone(t.Config), Kind: t.Kind})
	}
	return plan
}

func (t *Topology) subOf(n *Node) *Subtopology {
	for _, s := range t.subs {
		if slices.Contains(s.nodes, n) {
			return s
		}
	}
	return nil
}

// topics are the source topics above the nodes of a group, in order of declaration.
func (g copartition) topics(t *Topology) []TopicRef {
	var refs []TopicRef
	seen := map[*Node]bool{}
	var up func(n *Node)
	up = func(n *Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if n.kind == sourceNode {
			for _, ref := range t.topicsOf(n) {
				if !slices.Contains(refs, ref) {
					refs = append(refs, ref)
				}
			}
		}
		for _, p := range n.parents {
			up(p)
		}
	}
	for _, n := range g.nodes {
		up(n)
	}
	return refs
}

// checkEnforcedCounts finds, at build time, the groups that can never be co-partitioned: repartition topics to which the user gave different counts.
func (t *Topology) checkEnforcedCounts() (faults []error) {
	asked := map[TopicRef]int32{}
	for _, r := range t.reparts {
		if r.partitions > 0 {
			asked[r.ref] = r.partitions
		}
	}
	for _, g := range t.groups {
		var fixed []TopicRef
		for _, ref := range g.topics(t) {
			if asked[ref] > 0 {
				fixed = append(fixed, ref)
			}
		}
		for _, ref := range fixed {
			if asked[ref] != asked[fixed[0]] {
				faults = append(faults, buildFault(g.op, "not co-partitioned: %s", counts(fixed, asked)))
				break
			}
		}
	}
	return faults
}
