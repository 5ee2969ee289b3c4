package stream

import (
	"time"

	"github.com/millrace-io/millrace/internal/topology"
)

// Emission is internal: when a windowed aggregation gives its results.
type Emission struct {
	OnClose  bool          // once, when a window is closed
	Interval time.Duration // of the wall clock, at least, between two looks for closed windows
}

// EmitOnClose makes the aggregation give one result for each window, when the window is closed: when the highest time seen lets no record enter it any more. Every
// window gives its result, however far the time jumps; windows that close together come in the order of their ends, then starts, then encoded keys. What an
// application looks up in the table is the result so far. When no more records come, the last windows stay open.
func (g *GroupedWindows[K, V]) EmitOnClose() *GroupedWindows[K, V] {
	c := *g
	c.emit.OnClose = true
	return &c
}

// EmitOnCloseEvery is EmitOnClose for streams with many windows that close soon after each other: closed windows are looked for at most once in an interval of the
// wall clock, or earlier when the store would forget one.
func (g *GroupedWindows[K, V]) EmitOnCloseEvery(interval time.Duration) *GroupedWindows[K, V] {
	c := *g
	c.emit = emitEvery(topology.Here("stream.EmitOnCloseEvery"), g.grouped.in.Node.Graph(), interval)
	return &c
}

func emitEvery(op topology.Op, g *topology.Graph, interval time.Duration) Emission {
	if interval < 0 {
		g.Fault(op, "an interval of %v: it must not be negative", interval)
	}
	checkMillis(op, g, interval)
	return Emission{OnClose: true, Interval: interval}
}

// Emission is internal.
func (g *GroupedWindows[K, V]) Emission() Emission { return g.emit }
