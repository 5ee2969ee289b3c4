// Package groups is the group coordinator with its effects: the pure machine of broker/internal/group in the shards of
// __consumer_offsets, and whoever waits for it.
//
// Its promise: an answer that a method returns is backed by the log. A method that waits (a join for the other members, a
// sync for the leader) returns by itself: with the answer, with its context's error, or with kerr.NotCoordinator when the
// shard that held the request has forgotten it.
//
//	Join ──▶ step ──▶ records appended ──▶ answers handed out ──▶ whoever waits for them returns
//	           ▲
//	           └── Tick, at the machine's next deadline
//
// Heartbeats of the classic protocol are answered from memory: they promise nothing that a crash could break. Those of a consumer group
// tell what a member may own, and wait for the log.
//
// Lock order: a shard's lock ▶ Coordinator.mu, and neither is held while somebody is answered.
package groups
