package topology

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/millrace-io/millrace/statestore"
)

// Graph is a topology under construction. Faults stick to it: every method goes on with something usable, and [Graph.Build] returns all faults at once.
// A Graph belongs to one goroutine.
type Graph struct {
	nodes      []*Node // in order of creation: parents before children
	counter    int     // numbers node names, as Kafka Streams does
	stores     []*storeUse
	storeByRef map[string]*storeUse
	topics     map[TopicRef]*topicUse // who reads a topic
	reparts    []*repartition
	groups     []copartition
	globals    []*Global
	wrappers   []Wrapper
	faults     []error
	built      bool // Build has returned a topology: nothing can be added to it
}

type nodeKind int8

const (
	sourceNode nodeKind = iota
	processorNode
	sinkNode
)

// Node is one operator of the graph. Its fields do not change after Build.
type Node struct {
	graph    *Graph
	id       int
	name     string
	kind     nodeKind
	op       Op
	parents  []*Node
	children []*Node
	stores   []*storeUse // the stores that it reads or writes
	source   *SourceSpec // of a source
	sink     TopicRef    // of a sink
	dynamic  bool        // a sink that chooses its topics by record; sink is nothing then
	wire     func(w *Wiring, n *Node) any
	nullKeys bool         // it has a use for records without a key
	passes   recordOrigin // whose records go to the children
}

// Name is the operator's name in descriptions, metrics and faults.
func (n *Node) Name() string { return n.name }

// Graph returns the graph that the node belongs to.
func (n *Node) Graph() *Graph { return n.graph }

// Op returns the DSL call that added the node.
func (n *Node) Op() Op { return n.op }

type storeUse struct {
	spec    statestore.Spec
	op      Op
	global  *Global                                       // the global table that it holds, else nil
	shared  bool                                          // it belongs to the processors that use it, else to the operator at op
	source  *TopicRef                                     // the table's source topic when it is also the changelog
	accepts func(key, value []byte, timestamp int64) bool // of source
}

type topicUse struct {
	node   *Node
	table  bool
	global bool
}

// repartition is an internal topic between two nodes of the graph.
type repartition struct {
	ref        TopicRef
	op         Op
	partitions int32 // what the user asked for; 0: derived
	sink       *Node
	source     *Node
	handle     any // the typed edge behind it, for a second use from the same input
	input      *Node
}

// copartition says that records of all these nodes with one key must meet in one task.
type copartition struct {
	op    Op
	nodes []*Node
}

// NewGraph returns an empty graph.
func NewGraph() *Graph {
	return &Graph{storeByRef: map[string]*storeUse{}, topics: map[TopicRef]*topicUse{}}
}

// Fault records a mistake in the user's program; Build will return it.
func (g *Graph) Fault(op Op, format string, args ...any) {
	g.faults = append(g.faults, buildFault(op, format, args...))
}

func buildFault(op Op, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", op.Site, op.Name, fmt.Errorf(format, args...))
}

// NextName returns the next node name with the prefix: KSTREAM-MAP- gives KSTREAM-MAP-0000000007. Names are only for eyes; nothing durable is named by them.
func (g *Graph) NextName(prefix string) string {
	name := fmt.Sprintf("%s%010d", prefix, g.counter)
	g.counter++
	return name
}

func (g *Graph) add(n *Node) *Node {
	if g.built {
		g.Fault(n.op, "the topology is built already: nothing can be added to it")
		n.graph = g
		return n
	}
	n.graph, n.id = g, len(g.nodes)
	g.nodes = append(g.nodes, n)
	for _, p := range n.parents {
		if p.graph != g {
			g.Fault(n.op, "takes a stream of another Builder")
			continue
		}
		if !slices.Contains(p.children, n) { // a stream merged with itself is one input
			p.children = append(p.children, n)
		}
	}
	return n
}

// SourceSpec describes a source.
type SourceSpec struct {
	Topics []TopicRef
	// Pattern, if set, stands in place of Topics for all that match it; see [Pattern].
	Pattern *regexp.Regexp
	Reset   ResetPolicy
	Idle    time.Duration // after how long without a record the source counts as silent; 0: never
	Table   bool          // a table's source: no other source may read its topic
	// Timestamps makes the source's timestamp extractor for one task; nil means [RecordTime].
	Timestamps func(w *Wiring) TimestampFunc
}

// TimestampFunc finds the event time of a record, given the highest event time of its partition so far (-1: none). A negative result drops the record.
type TimestampFunc func(raw *RawRecord, partitionTime int64) (int64, error)

// Entry is how a record enters a task at a source.
type Entry func(raw *RawRecord, timestamp int64) error

// AddSource adds a source whose entry decodes records and hands them to next.
func AddSource[K, V any](g *Graph, op Op, name string, spec SourceSpec, wire func(w *Wiring, n *Node, next Sink[K, V]) Entry) *Node {
	n := g.add(&Node{name: name, kind: sourceNode, op: op, source: &spec,
		wire: func(w *Wiring, n *Node) any { return wire(w, n, Next[K, V](w, n)) }})
	for _, t := range spec.Topics {
		if err := checkTopicName(t.Name); err != nil {
			g.Fault(op, "%w", err)
			continue
		}
		switch was := g.topics[t]; {
		case was != nil && was.global:
			g.Fault(op, "topic %q is already read at %s: a global table's topic cannot be anything else", t.Name, was.node.op.Site)
		case was == nil:
			g.topics[t] = &topicUse{node: n, table: spec.Table}
		case was.table && spec.Table:
			g.Fault(op, "topic %q is already read as a table at %s: use that table", t.Name, was.node.op.Site)
		case was.table != spec.Table:
			g.Fault(op, "topic %q is read as a stream and as a table (the other is at %s): use ktable.ToStream or ktable.ToTable of one of them", t.Name, was.node.op.Site)
		default:
			g.Fault(op, "topic %q is already read by a source with other topics, types or options at %s", t.Name, was.node.op.Site)
		}
	}
	return n
}

// AddProcessor adds an operator: wire makes, for one task, the function that takes its input and calls next with its results.
func AddProcessor[KI, VI, KO, VO any](g *Graph, op Op, name string, parents []*Node, wire func(w *Wiring, n *Node, next Sink[KO, VO]) Sink[KI, VI]) *Node {
	return g.add(&Node{name: name, kind: processorNode, op: op, parents: parents,
		wire: func(w *Wiring, n *Node) any { return guard(w, n, wire(w, n, Next[KO, VO](w, n))) }})
}

// AddStore declares a store that node owns. A second store of the same name is a fault.
func (g *Graph) AddStore(op Op, n *Node, spec statestore.Spec) {
	name := spec.StoreName()
	if name == "" {
		g.Fault(op, "a store needs a name")
		return
	}
	if err := checkTopicName(name + ChangelogSuffix); err != nil {
		g.Fault(op, "store %q cannot name its changelog: %w", name, err)
	}
	if was := g.storeByRef[name]; was != nil {
		g.Fault(op, "store %q is already used at %s", name, was.op.Site)
		return
	}
	u := &storeUse{spec: spec, op: op}
	g.storeByRef[name] = u
	g.stores = append(g.stores, u)
	n.stores = append(n.stores, u)
}

// UseStore lets a processor use a store: one that other processors have under the same handle, or one that an operator owns, to read it, or a new one.
func (g *Graph) UseStore(op Op, n *Node, spec statestore.Spec) {
	if spec == nil {
		g.Fault(op, "a store is nil")
		return
	}
	was := g.storeByRef[spec.StoreName()]
	if was == nil {
		g.AddStore(op, n, spec)
		if was = g.storeByRef[spec.StoreName()]; was != nil {
			was.shared = true
		}
		return
	}
	if was.global != nil {
		g.Fault(op, "store %q holds the global table of %s: read it with stream.ReadGlobal, without naming it here", spec.StoreName(), was.op.Site)
		return
	}
	if was.spec != spec {
		g.Fault(op, "store %q is already used at %s under another handle", spec.StoreName(), was.op.Site)
		return
	}
	if !n.owns(was) {
		n.stores = append(n.stores, was)
	}
}

// Connect lets a node read stores that other nodes own: they then live in one sub-topology.
func (g *Graph) Connect(n *Node, stores ...string) {
	for _, name := range stores {
		if u := g.storeByRef[name]; u != nil && u.global == nil {
			n.stores = append(n.stores, u)
		}
	}
}

// Copartition says that records with equal keys from all these nodes must meet in one task, so that their source topics need equal partition counts.
func (g *Graph) Copartition(op Op, nodes ...*Node) {
	g.groups = append(g.groups, copartition{op: op, nodes: nodes})
}

// TakeNullKeys says that a node has a use for records without a key, so that repartition topics above it let them through.
func (g *Graph) TakeNullKeys(n *Node) { n.nullKeys = true }

// NullKeysWanted reports whether something below a node, through any number of repartition topics, has a use for records without a key.
func (g *Graph) NullKeysWanted(n *Node) bool {
	seen := map[*Node]bool{}
	var wanted func(n *Node) bool
	wanted = func(n *Node) bool {
		if n.nullKeys {
			return true
		}
		if seen[n] {
			return false
		}
		seen[n] = true
		for _, r := range g.reparts {
			if r.sink == n && wanted(r.source) {
				return true
			}
		}
		return slices.ContainsFunc(n.children, wanted)
	}
	return wanted(n)
}

// Repartition looks for a repartition topic of this name. When it is fed by the same input, its typed handle comes back for a second use; when something
// else feeds it, that is a fault.
func (g *Graph) Repartition(op Op, ref TopicRef, input *Node) (handle any, taken bool) {
	for _, r := range g.reparts {
		if r.ref != ref {
			continue
		}
		if r.input == input {
			return r.handle, true
		}
		g.Fault(op, "repartition topic %q is already used at %s", ref.Name, r.op.Site)
		return nil, true
	}
	return nil, false
}

// AddRepartition declares the internal topic between sink and source. handle is what a second use from the same input gets.
func (g *Graph) AddRepartition(op Op, ref TopicRef, partitions int32, input, sink, source *Node, handle any) {
	g.reparts = append(g.reparts, &repartition{ref: ref, op: op, partitions: partitions, sink: sink, source: source, input: input, handle: handle})
}

// Build checks the graph and returns the topology, or one error with every fault that was found.
func (g *Graph) Build() (*Topology, error) {
	faults := g.faults
	if len(g.nodes) == 0 {
		faults = append(faults[:len(faults):len(faults)], errors.New("stream.Build: the topology is empty: it reads no topic"))
	}
	t := cut(g)
	faults = append(faults[:len(faults):len(faults)], t.checkEnforcedCounts()...)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	g.built = true
	t.fingerprint = t.computeFingerprint()
	return t, nil
}
