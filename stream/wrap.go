package stream

import "github.com/millrace-io/millrace/internal/topology"

// OperatorInfo says which operator of which task a [Wrapper] is asked about.
type OperatorInfo = topology.Operator

// RecordHead is what a [Wrapper] sees of a record. It is valid during the call.
type RecordHead = topology.RecordHead

// Around is called for each record that reaches an operator, in place of the operator. It calls process, which is the operator and all that follows from the record
// below it, and returns its error; when it does not call process, the record goes no further. An error of its own is the operator's fault. What an
// operator gives by itself, at a commit or in a punctuation, reaches only what is around the operators below it.
type Around = topology.Around

// Wrapper makes what goes around an operator in one task; nil is nothing. It is called when tasks are made, by several at once.
type Wrapper = topology.Wrapper

// Wrap puts a hook around every operator of the topology behind its sources, those that other functions add for themselves among them: for tracing, for measuring, for
// tests. The first wrapper is the outermost.
func (b *Builder) Wrap(w Wrapper) { b.Graph().Wrap(topology.Here("stream.Builder.Wrap"), w) }
