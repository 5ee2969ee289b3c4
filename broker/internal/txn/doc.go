// Package txn is the transaction coordinator as a pure state machine.
//
// Its promise: a decision is taken once. What a producer is told about the end of a transaction has been decided by one
// record in the log, every partition of the transaction gets the marker that the record decided, and no request that is
// late, repeated or out of order changes another transaction than the one it was sent for, as far as its protocol lets us
// tell them apart.
//
// One Coordinator holds what one partition of __transaction_state says. A request is a method: it looks at the state and
// returns a Step, which says what to write and what to answer once that is committed. It changes nothing. ApplyChange (or
// Apply, from the bytes of the log) changes the state, for the leader that just took the step and for a replay alike.
//
//	                                  commit
//	 Init   ┌───────┐ AddPartitions ┌─────────┐ EndTxn  ┌───────────────┐ every marker  ┌────────────────┐
//	───────▶│ Empty │──────────────▶│ Ongoing │────────▶│ PrepareCommit │──────────────▶│ CompleteCommit │
//	        └───────┘               └─────────┘         └───────────────┘  is written   └────────────────┘
//	            │ EndTxn(abort)     abort │ timeout, Init
//	            │ of protocol 2           ▼
//	            │                 ┌──────────────┐ every marker  ┌───────────────┐
//	            └────────────────▶│ PrepareAbort │──────────────▶│ CompleteAbort │
//	                              └──────────────┘  is written   └───────────────┘
//
// From either Complete the id goes where it can go from Empty, and back to Empty by Init.
//
// Between Prepare and Complete the markers are a debt: a marker that could not be written is owed until it is, also after
// a crash, and only then the transaction completes. A marker written twice does no harm.
//
// Protocol 2 (KIP-890) gives each transaction a name of its own: its end bumps the epoch, so (producer id, epoch) never
// speaks of two transactions. Protocol 1 cannot tell a late EndTxn from the next one; its requests are checked as strictly
// as it allows.
//
// The package imports no net and no os, starts no goroutine, reads no clock and no randomness. Producer ids come from a
// function in the Config.
package txn
