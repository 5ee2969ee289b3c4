package stream

import (
	"time"

	"github.com/millrace-io/millrace/internal/topology"
)

// UnlimitedWindows are one window for each key, from a time on and without an end. Records before that time are in no window: they are left out and not counted as
// dropped.
type UnlimitedWindows struct{ start time.Time }

// Unlimited makes the window that begins at start. Its store never forgets it.
func Unlimited(start time.Time) UnlimitedWindows { return UnlimitedWindows{start} }

// Start is when the window begins.
func (w UnlimitedWindows) Start() time.Time { return w.start }

// GracePeriod is zero: the window never ends.
func (w UnlimitedWindows) GracePeriod() time.Duration { return 0 }

// Retention is internal: longer than anything runs, and short enough to be added to.
func (w UnlimitedWindows) Retention() time.Duration { return 200 * 365 * 24 * time.Hour }

func (w UnlimitedWindows) check(op topology.Op, g *topology.Graph) {
	if w.start.UnixMilli() < 0 {
		g.Fault(op, "an unlimited window from %v: it must start in 1970 or later", w.start)
	}
}
