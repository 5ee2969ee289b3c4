// Package memnet is a network in memory: listeners with names, and connections between them that behave like TCP's where programs can tell.
//
// Writes are buffered up to a bound and then wait for the reader; deadlines, half-read messages, close by either side and writes to a closed peer do
// what net.Conn says. Nothing is lost, reordered or delayed. All waiting is on channels and condition variables of the process, so that it works
// inside a testing/synctest bubble.
package memnet
