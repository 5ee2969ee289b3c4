// Package faulttest fails the log server's calls into the file system, one after the other, while a client works through a script, and holds what comes of it against
// what the client was promised. The server is the real one, on a file system in memory.
//
//	start ─▶ topics, batches, offsets, transactions, deletions, a compaction ─▶ clean stop ─▶ start ─▶ more of it ─▶ kill ─▶ start on what is left
//	└──────────────────────────── one of these calls fails, or all from one on ─────────────────────────────────────┘
//
// The calls are those of everything that the server keeps: logs with their indexes and snapshots, the checkpoint, the metadata's log and snapshots, the coordinators' topics,
// and the files of the directory itself. There are three ways to fail:
//
//	once     one call fails with an error of input and output, and all others work (L8, L10)
//	for good all calls from one on fail so, until the last start
//	full     from one call on there is no room for anything new, for a while; then there is, and the same server goes on (L11)
//
// Whatever fails, the client is told nothing but errors that it may try again; the last start succeeds; every record, transaction, offset and topic that was acknowledged is
// there, nothing that was aborted or deleted is visible, and the server works.
//
// A second test takes the power away instead, at every third call that makes something durable.
//
// MILLRACE_FAULT_STRIDE says that every so manieth call is failed, in each of the ways (7 unless set; 1 is all of them, which .ci/full plays). There is no code here but tests.
package faulttest
