// Package topology is the graph that the DSL packages build and the runtime runs: nodes, edges, stores and topics, cut into sub-topologies, and the task that
// one partition of a sub-topology becomes.
//
// The graph is erased (nodes know names, not types); the path of a record is typed: every operator is a closure over its own types that calls the next one, so
// that a record crosses an edge without boxing and without an allocation.
//
// The package is pure: it reads no clock, opens no file or connection and starts no goroutine. What a task needs from outside comes through [Env].
package topology
