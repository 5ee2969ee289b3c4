// Package topicscan reads a topic up to an end that is known before: what a program does that loads a table, compares results, or wants to know whether a stretch of
// a log has anything in it.
//
// A consumer cannot tell that it has reached the end from the records that it is given. The last offsets before an end may have none: compaction has emptied their
// batch, they are a transaction's marker, or the transaction was aborted. So [Read] counts what the broker has answered for, not what came of it: it follows the
// position behind each batch, whatever is in the batch, and stops when the position has reached the end.
//
// It asks for one partition after the other, one request at a time, and it holds one answer in memory. It is for ends that are fixed; whoever follows a topic uses a
// consumer.
package topicscan
