package topology

import (
	"fmt"
	"slices"
	"strings"
)

// DOT draws the topology in Graphviz' language: a box of operators for each sub-topology, topics between them, stores as cylinders.
func (t *Topology) DOT() string {
	var b strings.Builder
	b.WriteString("digraph topology {\n  rankdir=LR;\n  node [shape=box];\n")
	for _, s := range t.subs {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%q;\n", s.id, fmt.Sprintf("Sub-topology %d", s.id))
		for _, n := range s.nodes {
			fmt.Fprintf(&b, "    %q;\n", n.name)
		}
		for _, d := range s.stores {
			fmt.Fprintf(&b, "    %q [shape=cylinder, label=%q];\n", "store "+d.Spec.StoreName(), d.Spec.StoreName())
		}
		b.WriteString("  }\n")
	}
	for _, ref := range t.drawnTopics() {
		fmt.Fprintf(&b, "  %q [shape=cds, label=%q];\n", "topic "+ref.Name, ref.Name)
	}
	t.drawEdges(func(from, to string) { fmt.Fprintf(&b, "  %q -> %q;\n", from, to) },
		func(node, store string) {
			fmt.Fprintf(&b, "  %q -> %q [dir=none, style=dashed];\n", node, "store "+store)
		})
	b.WriteString("}\n")
	return b.String()
}

// Mermaid draws the topology in Mermaid's flowchart language, which many documentation sites show as a picture.
func (t *Topology) Mermaid() string {
	ids := map[string]string{}
	id := func(name string) string {
		if ids[name] == "" {
			ids[name] = fmt.Sprintf("n%d", len(ids))
		}
		return ids[name]
	}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, s := range t.subs {
		fmt.Fprintf(&b, "  subgraph s%d [\"Sub-topology %d\"]\n", s.id, s.id)
		for _, n := range s.nodes {
			fmt.Fprintf(&b, "    %s[\"%s\"]\n", id(n.name), mermaidText(n.name))
		}
		for _, d := range s.stores {
			fmt.Fprintf(&b, "    %s[(\"%s\")]\n", id("store "+d.Spec.StoreName()), mermaidText(d.Spec.StoreName()))
		}
		b.WriteString("  end\n")
	}
	for _, ref := range t.drawnTopics() {
		fmt.Fprintf(&b, "  %s>\"%s\"]\n", id("topic "+ref.Name), mermaidText(ref.Name))
	}
	t.drawEdges(func(from, to string) { fmt.Fprintf(&b, "  %s --> %s\n", id(from), id(to)) },
		func(node, store string) { fmt.Fprintf(&b, "  %s -.- %s\n", id(node), id("store "+store)) })
	return b.String()
}

// mermaidText makes a name safe between double quotes.
func mermaidText(s string) string { return strings.ReplaceAll(s, `"`, "#quot;") }

// drawnTopics are the topics that are read or written, in order of their first use.
func (t *Topology) drawnTopics() (refs []TopicRef) {
	add := func(ref TopicRef) {
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	for _, n := range t.nodes {
		switch n.kind {
		case sourceNode:
			for _, ref := range n.drawnSources() {
				add(ref)
			}
		case sinkNode:
			if !n.dynamic {
				add(n.sink)
			}
		}
	}
	return refs
}

// drawnSources are the topics that a source reads; a pattern is drawn as one.
func (n *Node) drawnSources() []TopicRef {
	if n.isPattern() {
		return []TopicRef{{Name: n.source.shownPattern()}}
	}
	return n.source.Topics
}

// drawEdges calls edge for every way of a record and store for every use of a store.
func (t *Topology) drawEdges(edge, store func(from, to string)) {
	for _, n := range t.nodes {
		switch n.kind {
		case sourceNode:
			for _, ref := range n.drawnSources() {
				edge("topic "+ref.Name, n.name)
			}
		case sinkNode:
			if !n.dynamic {
				edge(n.name, "topic "+n.sink.Name)
			}
		}
		for _, c := range n.children {
			edge(n.name, c.name)
		}
		for _, u := range n.stores {
			store(n.name, u.spec.StoreName())
		}
	}
}
