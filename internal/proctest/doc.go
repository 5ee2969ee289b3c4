// Package proctest lets tests run this module's programs as processes: build them once, start them, watch what they write, stop or kill them, and say what went wrong
// when they end otherwise than they should. It is for tests that judge the programs from outside, as a user sees them.
package proctest
