package stream

import (
	"time"

	"github.com/millrace-io/millrace/internal/topology"
)

// SessionWindows follow the activity of a key: records that are at most the inactivity gap apart are in one session (with the gap 0, those of one millisecond), from the time of its first record to that of its
// last, both inside. A record between two sessions makes them one.
type SessionWindows struct{ gap, grace time.Duration }

// Sessions makes sessions with an inactivity gap. There is no grace until Grace sets one.
func Sessions(gap time.Duration) SessionWindows { return SessionWindows{gap: gap} }

// Grace sets how much longer than the gap a session takes records that come late: as long as its end is not earlier than the highest time that the aggregation has
// seen minus gap and d. Later records are dropped and counted.
func (w SessionWindows) Grace(d time.Duration) SessionWindows {
	w.grace = d
	return w
}

// Gap is the longest time between neighbouring records of a session.
func (w SessionWindows) Gap() time.Duration { return w.gap }

// GracePeriod is what Grace set.
func (w SessionWindows) GracePeriod() time.Duration { return w.grace }

// Retention is internal: a session is needed until it is closed.
func (w SessionWindows) Retention() time.Duration { return max(w.gap+w.grace, time.Millisecond) }

// GroupedSessions are grouped records divided into sessions, ready for the session aggregations of package ktable.
type GroupedSessions[K, V any] struct {
	grouped *Grouped[K, V]
	windows SessionWindows
	emit    Emission
}

// SessionBy divides grouped records into sessions.
func SessionBy[K, V any](g *Grouped[K, V], windows SessionWindows) *GroupedSessions[K, V] {
	windows.Check(topology.Here("stream.SessionBy"), g.in.Node.Graph())
	return &GroupedSessions[K, V]{grouped: g, windows: windows}
}

// Check is internal: it reports sessions that cannot be.
func (w SessionWindows) Check(op topology.Op, g *topology.Graph) {
	if w.gap < 0 {
		g.Fault(op, "sessions with a gap of %v: it must not be negative", w.gap)
	}
	checkGrace(op, g, w.grace)
	checkMillis(op, g, w.gap, w.grace)
}

// EmitOnClose makes the aggregation give one result for each session, when it is closed; see [GroupedWindows.EmitOnClose].
func (g *GroupedSessions[K, V]) EmitOnClose() *GroupedSessions[K, V] {
	c := *g
	c.emit.OnClose = true
	return &c
}

// EmitOnCloseEvery is EmitOnClose at most once in an interval; see [GroupedWindows.EmitOnCloseEvery].
func (g *GroupedSessions[K, V]) EmitOnCloseEvery(interval time.Duration) *GroupedSessions[K, V] {
	c := *g
	c.emit = emitEvery(topology.Here("stream.EmitOnCloseEvery"), g.grouped.in.Node.Graph(), interval)
	return &c
}

// Windows is internal.
func (g *GroupedSessions[K, V]) Windows() SessionWindows { return g.windows }

// Emission is internal.
func (g *GroupedSessions[K, V]) Emission() Emission { return g.emit }

// Input is internal: it returns the edge to aggregate over, partitioned by key.
func (g *GroupedSessions[K, V]) Input(op topology.Op) topology.Edge[K, V] { return g.grouped.Input(op) }
