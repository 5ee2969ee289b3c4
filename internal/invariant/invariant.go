package invariant

import "fmt"

// Always panics with the formatted sentence when ok is false. It is on in every build, so its arguments should be values at hand: they are
// evaluated even when ok is true.
func Always(ok bool, format string, args ...any) {
	if !ok {
		panic("invariant violated: " + fmt.Sprintf(format, args...))
	}
}

// Race tells whether this is a race build.
func Race() bool { return raceEnabled }
