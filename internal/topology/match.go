package topology

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// systemPrefix begins the names of a cluster's own topics, which no pattern means.
const systemPrefix = "__"

// HasPatterns tells whether a source reads the topics whose names match a pattern, so that the topology must be given those that exist ([Topology.Match]).
func (t *Topology) HasPatterns() bool {
	return slices.ContainsFunc(t.nodes, func(n *Node) bool { return n.isPattern() })
}

func (n *Node) isPattern() bool { return n.kind == sourceNode && n.source.Pattern != nil }

// Match returns the topology with the topics that its patterns match, of those that exist. Internal topics of the application, app, and the cluster's own are left
// out. The error holds every pattern that matches nothing, and every topic that is read twice, each with the user's line.
func (t *Topology) Match(app string, topics []string) (*Topology, error) {
	if !t.HasPatterns() {
		return t, nil
	}
	c := *t
	c.matched = map[*Node][]TopicRef{}
	taken := t.readers()
	var faults []error
	for _, n := range t.nodes {
		if !n.isPattern() {
			continue
		}
		for _, name := range slices.Sorted(slices.Values(topics)) {
			ref := TopicRef{Name: name}
			if strings.HasPrefix(name, systemPrefix) || t.isInternal(app, name) || !n.source.matches(name) {
				continue
			}
			if was := taken[ref]; was != nil {
				faults = append(faults, buildFault(n.op, "topic %q matches the pattern %q and is already read at %s", name, n.source.shownPattern(), was.op.Site))
				continue
			}
			taken[ref] = n
			c.matched[n] = append(c.matched[n], ref)
		}
		if len(c.matched[n]) == 0 {
			faults = append(faults, buildFault(n.op, "no topic matches the pattern %q: create one first", n.source.shownPattern()))
		}
	}
	c.subs = make([]*Subtopology, len(t.subs))
	for i, s := range t.subs {
		sub := *s
		sub.topo, sub.sources = &c, make([]*Source, len(s.sources))
		for j, src := range s.sources {
			matched := *src
			matched.Topics = c.topicsOf(src.node)
			sub.sources[j] = &matched
		}
		c.subs[i] = &sub
	}
	return &c, errors.Join(faults...)
}

// matches tells whether a topic's whole name matches the pattern.
func (s *SourceSpec) matches(name string) bool { return s.Pattern.MatchString(name) }

// Pattern compiles the pattern of a source: names must match as a whole.
func Pattern(expr string) (*regexp.Regexp, error) { return regexp.Compile("^(?:" + expr + ")$") }

// shownPattern is the pattern as the user wrote it.
func (s *SourceSpec) shownPattern() string {
	return strings.TrimSuffix(strings.TrimPrefix(s.Pattern.String(), "^(?:"), ")$")
}

// readers are the sources of topics that are named, by topic.
func (t *Topology) readers() map[TopicRef]*Node {
	taken := map[TopicRef]*Node{}
	for _, n := range t.nodes {
		if n.kind == sourceNode {
			for _, ref := range n.source.Topics {
				taken[ref] = n
			}
		}
	}
	for _, g := range t.globals {
		taken[g.Topic] = &Node{op: g.op}
	}
	return taken
}

// isInternal tells whether a topic is one that the application makes for itself.
func (t *Topology) isInternal(app, name string) bool {
	return slices.ContainsFunc(t.internal, func(i InternalTopic) bool { return i.Ref.Resolve(app) == name })
}

// topicsOf returns the topics that a source reads.
func (t *Topology) topicsOf(n *Node) []TopicRef {
	if refs, ok := t.matched[n]; ok {
		return refs
	}
	return n.source.Topics
}
