// Package entry names what a pure coordinator and the log of its internal topic say to each other: records, the
// producer whose transaction they belong to, and the markers that end such a transaction.
//
// It holds data only. The pure packages (group, txn) import it, and so does the shell that runs them.
package entry
