package stream

import (
	"time"

	"github.com/millrace-io/millrace/internal/topology"
)

// Windows say how records are divided by time: [TimeWindows], [CalendarWindows], [SlidingWindows] or [UnlimitedWindows].
type Windows interface {
	// GracePeriod is how long after its end a window takes late records.
	GracePeriod() time.Duration
	// Retention is internal: how long an aggregation needs its windows.
	Retention() time.Duration
	check(op topology.Op, g *topology.Graph)
}

// TimeWindows cut time into windows of one size, half-open: [start, end). Times are counted in milliseconds from 1970, to which windows are aligned.
type TimeWindows struct {
	size, advance, grace time.Duration
}

// Tumbling windows follow each other without a gap: every record is in one. There is no grace until Grace sets one.
func Tumbling(size time.Duration) TimeWindows { return TimeWindows{size: size, advance: size} }

// Hopping windows start every advance, so that a record is in several.
func Hopping(size, advance time.Duration) TimeWindows {
	return TimeWindows{size: size, advance: advance}
}

// Grace sets how long after its end a window takes records that come late: as long as the end is later than the highest time that the aggregation has seen
// minus d. Later records are dropped and counted.
func (w TimeWindows) Grace(d time.Duration) TimeWindows {
	w.grace = d
	return w
}

// Size is the length of each window.
func (w TimeWindows) Size() time.Duration { return w.size }

// Advance is the time from the start of one window to that of the next.
func (w TimeWindows) Advance() time.Duration { return w.advance }

// GracePeriod is what Grace set.
func (w TimeWindows) GracePeriod() time.Duration { return w.grace }

// Retention is internal: a window is needed until it is closed.
func (w TimeWindows) Retention() time.Duration { return w.size + w.grace }

// GroupedWindows are grouped records divided by time, ready for the windowed aggregations of package ktable.
type GroupedWindows[K, V any] struct {
	grouped *Grouped[K, V]
	windows Windows
	emit    Emission
}

// WindowBy divides grouped records by their time.
func WindowBy[K, V any](g *Grouped[K, V], windows Windows) *GroupedWindows[K, V] {
	windows.check(topology.Here("stream.WindowBy"), g.in.Node.Graph())
	return &GroupedWindows[K, V]{grouped: g, windows: windows}
}

// check reports windows that cannot be. Times below a millisecond do not exist in records.
func (w TimeWindows) check(op topology.Op, g *topology.Graph) {
	if w.size < time.Millisecond {
		g.Fault(op, "a window of %v: the size must be 1ms or more", w.size)
	}
	if w.advance < time.Millisecond || w.advance > w.size {
		g.Fault(op, "windows of %v that advance by %v: the advance must be from 1ms up to the size", w.size, w.advance)
	}
	checkGrace(op, g, w.grace)
	checkMillis(op, g, w.size, w.advance, w.grace)
}

func checkGrace(op topology.Op, g *topology.Graph, grace time.Duration) {
	if grace < 0 {
		g.Fault(op, "a grace of %v: it must not be negative", grace)
	}
}

func checkMillis(op topology.Op, g *topology.Graph, all ...time.Duration) {
	for _, d := range all {
		if d%time.Millisecond != 0 {
			g.Fault(op, "%v is no whole number of milliseconds, which is what records' times are counted in", d)
		}
	}
}

// Windows is internal.
func (g *GroupedWindows[K, V]) Windows() Windows { return g.windows }

// Input is internal: it returns the edge to aggregate over, partitioned by key.
func (g *GroupedWindows[K, V]) Input(op topology.Op) topology.Edge[K, V] { return g.grouped.Input(op) }

// CheckWindows is internal: it reports windows that cannot be.
func CheckWindows(op topology.Op, g *topology.Graph, windows Windows) { windows.check(op, g) }
