// Package memstore is the state engine in memory: nothing to set up, nothing left behind. It serves tests, stores that the user wants in memory, and applications
// without a state directory; after a restart everything comes back from the changelogs.
//
// Each partition is a copy-on-write B+ tree whose leaves are pages of bytes, so that a million entries are some ten thousand objects to the garbage
// collector. A reader takes the root and is done with locks: it sees one committed state for as long as it likes, whatever is committed meanwhile. A batch
// copies the pages that it changes, once, and publishes the new roots of all its partitions together.
package memstore
