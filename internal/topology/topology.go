package topology

import (
	"maps"
	"time"

	"github.com/millrace-io/millrace/statestore"
)

// Topology is a checked graph cut into sub-topologies. Immutable, safe for concurrent use.
type Topology struct {
	nodes       []*Node
	subs        []*Subtopology
	internal    []InternalTopic
	stores      []StoreDecl
	reparts     []*repartition
	groups      []copartition
	globals     []*Global
	wrappers    []Wrapper
	fingerprint string
	matched     map[*Node][]TopicRef // what patterns stand for, nil before Match
}

// Subtopology is a part of a topology whose operators exchange records in memory: between sub-topologies, records travel through repartition topics. Each
// partition of its source topics is one task.
type Subtopology struct {
	topo    *Topology
	id      int
	nodes   []*Node // in order of creation
	sources []*Source
	stores  []StoreDecl
	sinks   []TopicRef
}

// Source is where records enter a sub-topology.
type Source struct {
	Node   string
	Topics []TopicRef
	Reset  ResetPolicy
	Idle   time.Duration // after how long without a record a partition counts as silent; 0: never. Repartition topics have it from what feeds them
	Site   Site
	node   *Node
}

// StoreDecl is a store of a topology.
type StoreDecl struct {
	Spec      statestore.Spec
	Changelog TopicRef  // its changelog topic, which exists when Spec.Changelog().Enabled
	Source    *TopicRef // the table's source topic when that is reused as the changelog, else nil
	Site      Site
	// Accepts tells, where Source is set, whether the table has taken a record of it: those with a null key, a negative time, or what cannot be decoded it has not.
	Accepts func(key, value []byte, timestamp int64) bool
}

// InternalKind says what an internal topic is for.
type InternalKind int8

const (
	Repartition InternalKind = iota
	ChangelogKind
)

func (k InternalKind) String() string {
	if k == Repartition {
		return "repartition"
	}
	return "changelog"
}

// InternalTopic is a topic that the runtime creates for a topology.
type InternalTopic struct {
	Ref         TopicRef
	Kind        InternalKind
	Partitions  int32             // what the user asked for; 0: derived by Plan
	Config      map[string]string // by Kafka's names
	Store       string            // of a changelog
	Subtopology int               // that reads it
	Site        Site
}

// Subtopologies returns the parts of the topology, ordered by id from 0.
func (t *Topology) Subtopologies() []*Subtopology { return t.subs }

// Internal returns the repartition and changelog topics.
func (t *Topology) Internal() []InternalTopic { return t.internal }

// Stores returns all stores in order of declaration.
func (t *Topology) Stores() []StoreDecl { return t.stores }

// Globals returns the tables of which every instance has a whole copy.
func (t *Topology) Globals() []*Global { return t.globals }

// Fingerprint is a stable hash of the structure and of all durable names: two instances of one application must agree on it.
func (t *Topology) Fingerprint() string { return t.fingerprint }

// ID is the number before the underscore in a task's id.
func (s *Subtopology) ID() int { return s.id }

// Sources returns where records enter. The index of a source is what [Task.Process] takes.
func (s *Subtopology) Sources() []*Source { return s.sources }

// Stores returns the stores of the sub-topology in order of declaration.
func (s *Subtopology) Stores() []StoreDecl { return s.stores }

// SinkTopics returns the topics that the sub-topology writes to, without its changelogs and those that a function chooses.
func (s *Subtopology) SinkTopics() []TopicRef { return s.sinks }

// repartitionConfig is Kafka Streams' own: nothing is ever lost by retention, records are deleted once they are committed, and small segments let that
// happen soon.
var repartitionConfig = map[string]string{
	"cleanup.policy":         "delete",
	"retention.ms":           "-1",
	"segment.bytes":          "52428800",
	"message.timestamp.type": "CreateTime",
}

// ChangelogSuffix and RepartitionSuffix end the names of internal topics, as in Kafka Streams.
const (
	ChangelogSuffix   = "-changelog"
	RepartitionSuffix = "-repartition"
)

func (u *storeUse) decl() StoreDecl {
	return StoreDecl{
		Spec:      u.spec,
		Changelog: TopicRef{Name: u.spec.StoreName() + ChangelogSuffix, Internal: true},
		Source:    u.source,
		Accepts:   u.accepts,
		Site:      u.op.Site,
	}
}

// cut divides the graph: nodes that are connected by edges or share a store are one sub-topology. Ids follow the order in which sources were added,
// which is topological, since what feeds a repartition topic is added before what reads it.
func cut(g *Graph) *Topology {
	t := &Topology{nodes: g.nodes, reparts: g.reparts, groups: g.groups, globals: g.globals, wrappers: g.wrappers}
	for _, u := range g.stores {
		t.stores = append(t.stores, u.decl())
	}
	root := unite(g)
	byRoot := map[int]*Subtopology{}
	for _, n := range g.nodes {
		r := root(n.id)
		s := byRoot[r]
		if s == nil {
			s = &Subtopology{topo: t, id: len(t.subs)}
			byRoot[r] = s
			t.subs = append(t.subs, s)
		}
		s.take(n)
	}
	for _, u := range g.stores {
		for _, n := range g.nodes {
			if len(n.stores) > 0 && n.owns(u) {
				s := byRoot[root(n.id)]
				s.stores = append(s.stores, u.decl())
				break
			}
		}
	}
	idle := idleOf(g)
	for _, s := range t.subs {
		for _, src := range s.sources {
			src.Idle = idle[src.node]
		}
	}
	t.internal = internalTopics(g, t, func(n *Node) int { return byRoot[root(n.id)].id })
	return t
}

func (n *Node) owns(u *storeUse) bool {
	for _, have := range n.stores {
		if have == u {
			return true
		}
	}
	return false
}

// unite returns the function that finds the representative of a node's sub-topology.
func unite(g *Graph) func(id int) int {
	parent := make([]int, len(g.nodes))
	for i := range parent {
		parent[i] = i
	}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	join := func(a, b int) { parent[find(b)] = find(a) }
	owner := map[*storeUse]int{}
	for _, n := range g.nodes {
		for _, c := range n.children {
			join(n.id, c.id)
		}
		for _, u := range n.stores {
			if first, ok := owner[u]; ok {
				join(first, n.id)
			} else {
				owner[u] = n.id
			}
		}
	}
	return find
}

func (s *Subtopology) take(n *Node) {
	s.nodes = append(s.nodes, n)
	switch n.kind {
	case sourceNode:
		s.sources = append(s.sources, &Source{Node: n.name, Topics: n.source.Topics, Reset: n.source.Reset, Site: n.op.Site, node: n})
	case sinkNode:
		if n.dynamic {
			return
		}
		for _, have := range s.sinks {
			if have == n.sink {
				return
			}
		}
		s.sinks = append(s.sinks, n.sink)
	}
}

func internalTopics(g *Graph, t *Topology, subOf func(*Node) int) []InternalTopic {
	var all []InternalTopic
	for _, r := range g.reparts {
		all = append(all, InternalTopic{Ref: r.ref, Kind: Repartition, Partitions: r.partitions, Config: maps.Clone(repartitionConfig),
			Subtopology: subOf(r.source), Site: r.op.Site})
	}
	for _, s := range t.subs {
		for _, d := range s.stores {
			if c := d.Spec.Changelog(); c.Enabled && d.Source == nil {
				all = append(all, InternalTopic{Ref: d.Changelog, Kind: ChangelogKind, Config: maps.Clone(c.Config), Store: d.Spec.StoreName(),
					Subtopology: s.id, Site: d.Site})
			}
		}
	}
	return all
}
