// Package replica is the effects around package partition: it owns the logs of a broker's partitions, appends, reads, flushes, wakes whoever waits, and
// keeps the logs in order in the background.
//
// Its promise: Commit returns nil only when what was appended is persisted as the flush mode says and lies below the high watermark; a reader is never
// given bytes above the high watermark; and what cannot be trusted any more is not used. Damage of a log's own (a batch that does not hold, a file that is gone) takes its
// partition offline. A write or flush that failed takes the whole directory: after an error the operating system may call pages clean that it could not write, of whichever
// file, so that all partitions refuse reads and writes until a restart has read every byte and written again what was not flushed before. So does a directory that is
// not where it was. What the operating system refused outright (no room, no file handles, a file system that is read-only) is told to who asked, and passes.
//
//	Append ─▶ commitlog (one write) ─▶ [flush, shared by all that wait] ─▶ high watermark ─▶ Commit returns, waiting fetches wake
//
// There is no goroutine per partition: appends and flushes run on the goroutines of those who ask, and one goroutine each does the periodic flushing,
// the cleaning and the rest of the housekeeping for all partitions.
//
// Lock order: Manager.mu ─▶ Partition.flushMu ─▶ Partition.mu ─▶ the log's own. Partition.mu is never held over I/O.
package replica
