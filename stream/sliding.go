package stream

import (
	"time"

	"github.com/millrace-io/millrace/internal/topology"
)

// SlidingWindows follow the records: there is one window for every set of records of a key that lie within a time difference of each other. A window holds the
// records at its start, at its end and between, where end = start + difference.
//
// Each record ends a window, [t - difference, t], and begins one after it, [t + 1, t + 1 + difference], once that has a record. Records earlier than the
// difference share the window that starts at 0.
type SlidingWindows struct {
	difference, grace time.Duration
}

// Sliding makes windows of records at most a difference apart. With the difference 0 a window holds the records of one millisecond. There is no grace until Grace
// sets one.
func Sliding(difference time.Duration) SlidingWindows { return SlidingWindows{difference: difference} }

// Grace sets how long after its end a window takes records that come late: as long as the end is not earlier than the highest time that the aggregation has
// seen minus d. Later records are dropped and counted, window by window.
func (w SlidingWindows) Grace(d time.Duration) SlidingWindows {
	w.grace = d
	return w
}

// Difference is the time from the first record that a window can hold to the last.
func (w SlidingWindows) Difference() time.Duration { return w.difference }

// Size is the time from the start of a window to its end, which is the difference.
func (w SlidingWindows) Size() time.Duration { return w.difference }

// GracePeriod is what Grace set.
func (w SlidingWindows) GracePeriod() time.Duration { return w.grace }

// Retention is internal: a record must find the windows that end before its own begins, and a window that ends at the close time is open still.
func (w SlidingWindows) Retention() time.Duration {
	return w.difference + w.grace + max(w.difference, time.Millisecond)
}

func (w SlidingWindows) check(op topology.Op, g *topology.Graph) {
	if w.difference < 0 {
		g.Fault(op, "sliding windows with a difference of %v: it must not be negative", w.difference)
	}
	checkGrace(op, g, w.grace)
	checkMillis(op, g, w.difference, w.grace)
}
