package topology

import (
	"math"
	"slices"
	"time"
)

// idling is how a task's time goes on while nothing comes.
//
//	records come ──(all inputs silent for their time-outs)──▶ idle: stream time = from + what has passed since ──(a record comes)──▶ records come
//
// The stream time that was reached without a record is kept with the committed offsets, as the operators' own times are: what was given out because a window closed
// stays closed after a crash.
type idling struct {
	hooks   []func(streamTime int64) (acted bool, err error) // of operators, in order of wiring: lower ones first
	on      bool
	from    int64  // stream time when the task became idle
	reached *int64 // the highest stream time that no record gave, -1: none; kept with the committed offsets
}

// idleName is the name of the time that was reached: no store has it.
const idleName = "/idle"

// OnIdle registers what a node does when stream time goes on without a record: it is to take the time as the highest that it has seen, and to give what is due by it. It tells whether
// there was anything. Upper nodes come before lower ones.
func (w *Wiring) OnIdle(n *Node, f func(streamTime int64) (acted bool, err error)) {
	t := w.task
	t.idle.hooks = append(t.idle.hooks, func(now int64) (acted bool, err error) {
		if t.policy != nil && t.policy.guards() {
			defer func() {
				if p := recover(); p != nil {
					acted, err = true, t.panicFault(p)
				}
				err = t.settle(err, n, now, nil)
			}()
		}
		t.at = int32(n.id)
		return f(now)
	})
}

// Idle tells the task that all its inputs have been silent for their time-outs, and for over, in milliseconds, beyond them. Stream time goes on by that from where it stood:
// windows and buffers give what is due, and stream-time punctuators fire. Before the first record there is no time to go on from. acted tells whether anything was done that is to be
// committed; a time that nothing was done by is only remembered.
func (t *Task) Idle(over int64) (acted bool, err error) {
	if t.streamTime < 0 || over <= 0 {
		return false, nil
	}
	if !t.idle.on {
		t.idle.on, t.idle.from = true, t.streamTime
	}
	to := t.idle.from + min(over, math.MaxInt64-1-t.idle.from) // the end of time cannot be kept
	if to <= t.streamTime {
		return false, nil
	}
	// What caches hold back came before the silence.
	if err := t.Flush(); err != nil {
		return true, err
	}
	defer t.recoverInto(&err)
	for _, hook := range slices.Backward(t.idle.hooks) {
		some, err := hook(to)
		if err != nil {
			return true, t.final(err)
		}
		acted = acted || some
		if some { // the operators below must know it before their time moves
			if err := t.Flush(); err != nil {
				return true, err
			}
		}
	}
	t.streamTime, *t.idle.reached = to, to
	if t.schedule.streamDue(to) {
		acted = true
		if err = t.schedule.fireStream(to); err != nil {
			return true, t.final(err)
		}
	}
	return acted, nil
}

// idleOf finds the time-outs of all sources: a repartition topic has the longest of what feeds it, and none when one of those has none.
func idleOf(g *Graph) map[*Node]time.Duration {
	all := map[*Node]time.Duration{}
	for _, n := range g.nodes {
		if n.kind == sourceNode && n.source.Idle > 0 {
			all[n] = n.source.Idle
		}
	}
	for range g.reparts { // each round gives the time-out of one topic or is of no use
		for _, r := range g.reparts {
			if d := idleAbove(r.sink, all, map[*Node]bool{}); d > 0 {
				all[r.source] = d
			}
		}
	}
	return all
}

// never is the time-out of what has none, while the longest is looked for.
const never = time.Duration(math.MaxInt64)

// idleAbove is the longest time-out of the sources above a node, 0 when one has none.
func idleAbove(n *Node, of map[*Node]time.Duration, seen map[*Node]bool) time.Duration {
	longest := time.Duration(0)
	var walk func(n *Node)
	walk = func(n *Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if n.kind == sourceNode {
			d, ok := of[n]
			if !ok {
				d = never
			}
			longest = max(longest, d)
		}
		for _, p := range n.parents {
			walk(p)
		}
	}
	walk(n)
	if longest == never {
		return 0
	}
	return longest
}
