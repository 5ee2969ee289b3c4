// Package invariant states what must always hold, and stops the program when it does not.
//
// A failed invariant is a bug of ours: never a bad input, a full disk or a late peer, which are errors and are returned as such. So the
// answer to a failed one is a panic with a sentence. Two strengths exist:
//
//   - [Always] costs a comparison and is on in production. It guards what would corrupt data if it went on: the order of the offsets of a
//     log, a position past the end of a segment.
//   - [Check] takes a function and runs it only in tests and in race builds, so it may walk a whole structure.
//
// Any package may import this one; it imports nothing of the module.
package invariant

import (
	"fmt"
	"testing"
)

// Always panics with the formatted sentence when ok is false. It is on in every build, so its arguments should be values at hand: they are
// evaluated even when ok is true.
func Always(ok bool, format string, args ...any) {
	if !ok {
		panic("invariant violated: " + fmt.Sprintf(format, args...))
	}
}

// Enabled tells whether [Check] looks: in tests and in race builds.
func Enabled() bool { return raceEnabled || testing.Testing() }

// Check calls f in tests and race builds, and panics with the error that it returns.
func Check(f func() error) {
	if !Enabled() {
		return
	}
	if err := f(); err != nil {
		panic("invariant violated: " + err.Error())
	}
}
