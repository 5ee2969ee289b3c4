package topology

// Edge is where a stream of the DSL stands in the graph: what packages stream and ktable exchange. Records with keys of type K and values of type V leave Node.
type Edge[K, V any] struct {
	Node *Node
	// KeyChanged says that an operator above may have changed keys since the records were last partitioned by them: before state is touched they must go
	// through a repartition topic.
	KeyChanged bool
	// Changed is the operator that did, for messages.
	Changed Op
}
