package topology

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String describes the topology in the form of Kafka Streams' Topology.describe, so that its viewers can draw it.
func (t *Topology) String() string {
	var b strings.Builder
	b.WriteString("Topologies:\n ")
	for _, s := range t.subs {
		fmt.Fprintf(&b, "  Sub-topology: %d\n", s.id)
		size := map[*Node]int{}
		nodes := slices.Clone(s.nodes)
		slices.SortFunc(nodes, func(x, y *Node) int {
			return cmp.Or(cmp.Compare(weight(y, size), weight(x, size)), cmp.Compare(x.name, y.name))
		})
		for _, n := range nodes {
			b.WriteString("    ")
			n.describe(&b)
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	for i, g := range t.globals {
		fmt.Fprintf(&b, "  Sub-topology: %d for global store (will not generate tasks)\n", len(t.subs)+i)
		fmt.Fprintf(&b, "    Source: %s (topics: [%s])\n      --> %s\n", g.source, g.Topic.display(), g.table)
		fmt.Fprintf(&b, "    Processor: %s (stores: [%s])\n      --> none\n      <-- %s\n", g.table, g.Spec.StoreName(), g.source)
	}
	return b.String()
}

// weight is the number of paths down from a node, itself included: it puts upper nodes first.
func weight(n *Node, memo map[*Node]int) int {
	if w, ok := memo[n]; ok {
		return w
	}
	w := 1
	for _, c := range n.children {
		w += weight(c, memo)
	}
	memo[n] = w
	return w
}

func (n *Node) describe(b *strings.Builder) {
	switch n.kind {
	case sourceNode:
		if n.isPattern() {
			fmt.Fprintf(b, "Source: %s (topics: %s)\n      --> %s", n.name, n.source.shownPattern(), neighbours(n.children))
			return
		}
		names := make([]string, len(n.source.Topics))
		for i, ref := range n.source.Topics {
			names[i] = ref.display()
		}
		slices.Sort(names)
		fmt.Fprintf(b, "Source: %s (topics: [%s])\n      --> %s", n.name, strings.Join(names, ", "), neighbours(n.children))
	case processorNode:
		names := make([]string, len(n.stores))
		for i, u := range n.stores {
			names[i] = u.spec.StoreName()
		}
		slices.Sort(names)
		fmt.Fprintf(b, "Processor: %s (stores: [%s])\n      --> %s\n      <-- %s", n.name, strings.Join(names, ", "),
			neighbours(n.children), neighbours(n.parents))
	case sinkNode:
		if n.dynamic {
			fmt.Fprintf(b, "Sink: %s (extractor class: %s)\n      <-- %s", n.name, n.op.Name, neighbours(n.parents))
			return
		}
		fmt.Fprintf(b, "Sink: %s (topic: %s)\n      <-- %s", n.name, n.sink.display(), neighbours(n.parents))
	}
}

// display is the topic's name without the application's id, which a topology does not know.
func (t TopicRef) display() string { return t.Name }

func neighbours(nodes []*Node) string {
	if len(nodes) == 0 {
		return "none"
	}
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.name
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// computeFingerprint hashes the description and what it does not show: how internal topics are kept.
func (t *Topology) computeFingerprint() string {
	h := sha256.New()
	fmt.Fprint(h, t.String())
	for _, i := range t.internal {
		fmt.Fprintf(h, "%s %d %d %s %d", i.Ref.Name, i.Kind, i.Partitions, i.Store, i.Subtopology)
		for _, k := range slices.Sorted(maps.Keys(i.Config)) {
			fmt.Fprintf(h, " %s=%s", k, i.Config[k])
		}
		fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil)[:fingerprintBytes])
}

// fingerprintBytes is enough that two topologies never meet by chance, and short in a log line.
const fingerprintBytes = 12
