package stream

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
)

// Builder collects a topology. The zero value is ready. It belongs to one goroutine.
type Builder struct {
	g       *topology.Graph
	sources map[string]sourceUse
}

// Topology is what Build returns and an application runs. Immutable, safe for concurrent use. Its String is the description that Kafka Streams gives.
type Topology = topology.Topology

// NewBuilder returns an empty builder.
func NewBuilder() *Builder { return new(Builder) }

// Build returns the topology, or one error that holds every mistake that was made on the way, each with the line of the program that made it.
func (b *Builder) Build() (*Topology, error) { return b.Graph().Build() }

// Stream is a stream of records with keys of type K and values of type V. Operators are functions that take it and return another; a stream can be taken
// by several. A Stream is part of its Builder.
type Stream[K, V any] struct {
	edge     topology.Edge[K, V]
	children *children // of a stream straight from a processor, else nil
}

// Meta tells about the record in process and its task.
type Meta = topology.Meta

// MetaOf returns what the context of a Ctx function knows about the record in process; ok is false for any other context.
func MetaOf(ctx context.Context) (m Meta, ok bool) { return topology.MetaOf(ctx) }

// The following methods are for the packages of this module that add operators. Their types are internal: a program cannot name them and needs none of them.

// Graph is internal.
func (b *Builder) Graph() *topology.Graph {
	if b.g == nil {
		b.g = topology.NewGraph()
	}
	return b.g
}

// Edge is internal.
func (s *Stream[K, V]) Edge() topology.Edge[K, V] { return s.edge }

// OfEdge is internal.
func OfEdge[K, V any](e topology.Edge[K, V]) *Stream[K, V] { return &Stream[K, V]{edge: e} }

// graph returns what the stream is part of.
func (s *Stream[K, V]) graph() *topology.Graph { return s.edge.Node.Graph() }

// parents is the argument that makes a node a child of the stream's.
func (s *Stream[K, V]) parents() []*topology.Node { return []*topology.Node{s.edge.Node} }

// sameKey returns the stream behind a node that kept the keys of s.
func sameKey[K, V, W any](s *Stream[K, V], n *topology.Node) *Stream[K, W] {
	return OfEdge(topology.Edge[K, W]{Node: n, KeyChanged: s.edge.KeyChanged, Changed: s.edge.Changed})
}

// newKey returns the stream behind a node that may have changed keys.
func newKey[K, V any](op topology.Op, n *topology.Node) *Stream[K, V] {
	return OfEdge(topology.Edge[K, V]{Node: n, KeyChanged: true, Changed: op})
}

// requireFunc reports a function that is missing; the operator is added all the same, so that what follows can be checked too.
func requireFunc(g *topology.Graph, op topology.Op, missing bool) {
	if missing {
		g.Fault(op, "the function is nil")
	}
}
