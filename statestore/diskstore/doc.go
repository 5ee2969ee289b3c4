// Package diskstore is the state engine on disk: one Pebble database for all stores of an application instance, in one directory that one process uses at a time.
//
//	directory/FORMAT   ┌───────────────────┐  the version of this layout in text; a newer one is refused
//	                   │ millrace-state 1\n│
//	                   └───────────────────┘
//	directory/DAMAGED  there since damage was found on disk: the next opening empties the database
//	directory/…        Pebble's files
//
// Keys begin with a number of four bytes, big-endian. Each partition of each store has one, given at its first use and never used again; number 0 holds what
// the engine knows of itself:
//
//	┌──────────┬─────┐
//	│ number 4 │ key │ ─▶ value                                              number > 0: an entry of a partition
//	├──────────┼─────┼─────────────┬───────┐
//	│        0 │ 'n' │ partition 4 │ store │ ─▶ number 4                      the table of numbers
//	├──────────┼─────┼──────────┬──┴───────┘
//	│        0 │ 'c' │ number 4 │ ─▶ checkpoint                               of the partition with that number
//	└──────────┴─────┴──────────┘
//
// There is no write-ahead log, for the changelog topics are one: a commit is done when it is in memory, and becomes durable when Pebble flushes its memtables. It does
// so in order and a batch as a whole, so that after a crash the directory holds exactly the first n committed batches, checkpoints included, for some n; the
// rest comes back from the changelogs. So does everything when the files themselves are damaged: an opening that finds that, or finds that it was found before, begins with an
// empty database, and says so. What is committed is flushed at Close, when a memtable is full, and every FlushInterval while commits go on.
package diskstore
