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

// Race tells whether this is a race build.
func Race() bool { return raceEnabled }

// Check calls f in tests and race builds, and panics with the error that it returns.
func Check(f func() error) {
	if !Enabled() {
		return
	}
	if err := f(); err != nil {
		panic("invariant violated: " + err.Error())
	}
}
