package topology

import "context"

// FaultHandler is what an [Env] may also implement: it decides whether a task goes on after a fault. Without it every fault ends the task.
type FaultHandler interface {
	// Handles tells, once, when the task is built, whether faults of this kind are passed to HandleFault at all. Operators are guarded one by one only
	// for the kinds that are; so that who skips nothing pays nothing.
	Handles(kind FaultKind) bool
	// HandleFault returns true to go on without what failed: the record at a source, or the operator's input at an operator, after which the operators
	// beside it still run. The drop is counted with [Env.Dropped] by the task.
	HandleFault(f *Fault) (skip bool)
}

// ContextEnv is what an [Env] may also implement: the context that functions of the ...Ctx form get. Without it they get the background context.
type ContextEnv interface{ Context() context.Context }
