// Package commitlog keeps one partition's log on a file system.
//
// Its promise: what [Log.Append] took and [Log.Flush] confirmed is there after any crash, with the same offsets and the same bytes, and what
// is read was written: no batch is invented, reordered, cut in the middle or served when its checksum does not hold. The log after a crash
// is a prefix of the log before it. Everything beside the batches (indexes, producer snapshots, the epoch checkpoint) can be lost or garbled
// and is built again from them; FORMAT.md describes the files.
//
// A log is a row of segments, ascending by base offset; the last one is active and takes the appends:
//
//	   log start                                                     recovery point        end (exclusive)
//	      │                                                                │                 │
//	┌─────┼──────────┐┌────────────────────┐┌────────────────────┐┌────────┼─────────────────┤
//	│ 0…0.log        ││ 0…4711.log         ││ 0…9000.log         ││ 0…12000.log (active)     │
//	└─────┼──────────┘└────────────────────┘└────────────────────┘└────────┼─────────────────┤
//	      └── served ──────────────────────────────────── flushed ────────┘── maybe lost ────┘
//
// The package starts no goroutine and reads no clock: whoever owns the log passes the time and decides when to flush, to delete, to clean
// and to expire. It knows nothing of replication: high watermark and last stable offset are arguments.
//
// Locks, always taken from left to right:
//
//	cleanMu ─▶ flushMu ─▶ mu ─▶ producers.mu
//	                        └─▶ rebuildMu ─▶ segment.mu
//
// mu serialises appends, rolls, truncations and deletions and is held over the write of a batch but never over a flush. Readers take none of
// the first three: they work on the segment list, the sizes and the end offset that the writer published, and hold a reference to the
// segment that they read, so that it may be deleted or replaced meanwhile.
//
// Used by broker/internal/replica, by the coordinators' tests and by the tools that look into a data directory.
package commitlog
