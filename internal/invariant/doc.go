// Package invariant states what must always hold, and stops the program when it does not.
//
// A failed invariant is a bug of ours: never a bad input, a full disk or a late peer, which are errors and are returned as such. So the
// answer to a failed one is a panic with a sentence. A check costs a comparison and is on in production: it guards what would corrupt data if
// it went on, such as the order of the offsets of a log or a position past the end of a segment.
//
// Any package may import this one; it imports nothing of the module.
package invariant
