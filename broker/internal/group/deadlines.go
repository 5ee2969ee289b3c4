package group

import (
	"container/heap"
	"time"
)

// deadlines is a heap of groups by the time at which somebody has to look at them. A group's time may be too early, since
// heartbeats move a member's deadline without touching the heap; it is never too late.
type deadlines []*group

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].wake.Before(d[j].wake) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].slot, d[j].slot = i, j
}

func (d *deadlines) Push(x any) {
	g := x.(*group)
	g.slot = len(*d)
	*d = append(*d, g)
}

func (d *deadlines) Pop() any {
	old := *d
	g := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	g.slot = -1
	return g
}

// wakeAt makes sure that g is looked at by the time given.
func (m *Machine) wakeAt(g *group, at time.Time) {
	switch {
	case at.IsZero():
	case g.slot < 0:
		g.wake = at
		heap.Push(&m.deadlines, g)
	case at.Before(g.wake):
		g.wake = at
		heap.Fix(&m.deadlines, g.slot)
	}
}

// forget takes g out of the heap.
func (m *Machine) forget(g *group) {
	if g.slot >= 0 {
		heap.Remove(&m.deadlines, g.slot)
	}
}

// next is the earliest time at which something of g is due; zero when nothing is.
func (m *Machine) next(g *group) time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, expires := range g.pendingIDs {
		sooner(expires)
	}
	for _, mb := range g.order {
		if mb.mayExpire() {
			sooner(mb.deadline)
		}
	}
	if g.consumer != nil {
		sooner(m.targetDue(g))
		for _, mb := range g.consumer.members {
			sooner(mb.deadline)
			sooner(mb.revokeBy)
			sooner(mb.joinBy)
			sooner(mb.syncBy)
		}
	}
	sooner(g.joinDeadline)
	sooner(g.syncDeadline)
	return at
}

// mayExpire says whether the member's session runs: while it waits for an answer of ours it cannot send heartbeats,
// unless it is new; then it may be gone without a trace.
func (mb *member) mayExpire() bool {
	return mb.isNew || mb.join == 0 && mb.sync == 0
}
