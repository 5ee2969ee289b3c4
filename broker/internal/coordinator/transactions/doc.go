// Package transactions is the transaction coordinator with its effects: the pure machine of broker/internal/txn in the
// shards of __transaction_state, the markers it owes, and the producer ids it gives out.
//
// Its promise: an answer to EndTxn means that the decision is in the log; the markers follow until every partition has
// one, through failures of single partitions, reloads and restarts. A request that comes in between waits on the server
// and is woken by the last marker, instead of being sent into a client's back-off.
//
//	EndTxn ──▶ Prepare appended ──▶ answer
//	                     │
//	                     └─▶ settle: marker to every partition ──▶ Complete ──▶ whoever waits goes on
//	                            ▲               │ some failed
//	                            └── back-off ◀──┘
//
// Complete is appended with whatever is appended next, or a few milliseconds later. No answer tells of it before it is in the log, since an answer waits for all that
// was written before it; and a crash that loses it leaves the debt, whose markers do no harm when they are written again.
//
// Settling is done by whoever gave the answer to EndTxn, right after it, or by one goroutine per transaction that ends. It
// belongs to one incarnation of the machine: when the shard reloads or resigns, it stops, and the next incarnation finds the
// debt in its log.
//
// Lock order: a shard's lock ▶ Coordinator.mu. Markers are written under neither.
package transactions
