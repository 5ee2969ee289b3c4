// Package coordinator runs pure coordinators over the partitions of an internal topic.
//
// Its promise: whoever gets an answer from a shard can rely on it after any crash. A step of the machine changes the
// state in memory and says what to write; what it answers is handed out only when all that was written before it is
// committed in the log. When the log refuses, the state in memory is dropped, everybody who waits is told so, and the
// shard loads itself from the log again, so that memory and log never disagree for longer than one append.
//
//	           Lead                    loaded
//	(none) ───────────▶ loading ─────────────────▶ active
//	                     ▲  │ Resign                │  │
//	                     │  ▼                       │  │ Resign
//	                     │ closed ◀─────────────────┼──┘
//	                     └──────────────────────────┘
//	                             append failed
//
// One mutex guards a shard's machine; it is never held over an append. Steps that meet an append in progress gather in
// the next one (one write, one flush for all of them), so that the cost of a flush is shared by whoever waits for it.
// The caller that finds the log idle writes itself: a lone request never changes goroutines. What nobody waits for (Leave)
// goes with the next append, and has no append of its own unless none comes.
//
// Time comes from the machine: it names its next deadline and the shard sets one timer for it. Nothing polls.
//
// The package knows neither groups nor transactions. broker/internal/coordinator/groups puts the group machine into it,
// the transaction coordinator does the same with its own.
package coordinator
