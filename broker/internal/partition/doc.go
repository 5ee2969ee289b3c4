// Package partition is what a replica knows about the offsets of its partition: the pure part of replication.
//
//	log start ──────── last stable offset ──────── high watermark ──────── log end
//	   first offset      readers of committed        readers and acks=all     the next append
//	   still kept        transactions stop here      stop here
//
// All four are exclusive ends, and LogStart ≤ LastStable ≤ HighWatermark ≤ End always holds (design decision 15): every step of a State keeps it,
// and whoever asks a State for them has it checked.
//
// A leader's high watermark is the smallest persisted end among the replicas in sync. "Persisted" is what the flush mode makes of it: what is synced to
// disk with flush=always, what is written otherwise. It never falls, and it does not rise while fewer replicas are in sync than min.insync.replicas asks
// for (KIP-966).
//
// The package is pure: no clock, no file, no network, no goroutine. A State is not safe for concurrent use; its owner has a lock.
package partition
