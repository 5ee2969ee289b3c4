package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// rebalance starts a new generation, or goes on with the one that is being prepared.
func (m *Machine) rebalance(g *group) {
	if g.state == PreparingRebalance {
		m.maybeComplete(g)
		return
	}
	if g.state == CompletingRebalance {
		for _, mb := range g.order {
			g.bytes -= len(mb.assignment) // of the generation before the one that gives up here
			mb.assignment = nil
			if mb.sync != 0 {
				m.answerSync(mb.sync, &SyncResponse{Err: kerr.RebalanceInProgress})
				mb.sync = 0
				m.extend(mb)
			}
		}
	}
	for _, mb := range g.order {
		mb.owesSync = false
	}
	g.syncDeadline = time.Time{}
	g.initial, g.extended = g.state == Empty, false
	g.state = PreparingRebalance
	g.since = m.now
	timeout := g.rebalanceTimeout()
	switch delay := m.cfg.InitialRebalanceDelay; {
	case g.initial && delay > 0:
		g.joinDeadline = m.now.Add(delay)
		g.remaining = max(timeout-delay, 0)
	case g.initial:
		m.complete(g)
	default:
		g.joinDeadline = m.now.Add(timeout)
		m.maybeComplete(g)
	}
}

// maybeComplete ends the preparation when nobody is missing. The first generation waits for its time in any case.
func (m *Machine) maybeComplete(g *group) {
	if g.state == PreparingRebalance && !g.initial && g.allJoined() {
		m.complete(g)
	}
}

func (m *Machine) joinTimeUp(g *group) {
	if g.initial && g.extended && g.remaining > 0 {
		delay := min(m.cfg.InitialRebalanceDelay, g.remaining)
		g.extended = false
		g.joinDeadline = m.now.Add(delay)
		g.remaining -= delay
		return
	}
	m.complete(g)
}

// complete ends the preparation: who has not joined is out, unless it is a static member, which keeps its place until its
// session ends.
func (m *Machine) complete(g *group) {
	g.joinDeadline = time.Time{}
	for _, mb := range slices.Clone(g.order) {
		if mb.join == 0 && mb.instanceID == nil {
			g.remove(mb)
		}
	}
	if !g.electJoined() {
		// Only static members are left and none of them is here: wait for one to come or for their sessions to end.
		g.joinDeadline = m.now.Add(max(g.rebalanceTimeout(), minPostponed))
		return
	}
	g.initial, g.extended = false, false
	g.generation++
	g.since = m.now
	if len(g.members) == 0 {
		g.state = Empty
		g.protocol, g.leader = "", ""
		m.writeGroup(g)
		return
	}
	g.state = CompletingRebalance
	g.protocol = g.choose()
	g.subscribe()
	for _, mb := range g.order {
		mb.owesSync = true
		if mb.join == 0 {
			continue
		}
		m.answerJoin(mb.join, m.joined(g, mb))
		mb.join, mb.isNew = 0, false
		m.extend(mb)
	}
	g.syncDeadline = m.now.Add(g.rebalanceTimeout())
}

// electJoined makes sure that the leader is one who has joined; it says no if nobody has.
func (g *group) electJoined() bool {
	if leader := g.members[g.leader]; len(g.order) == 0 || leader != nil && leader.join != 0 {
		return true
	}
	for _, mb := range g.order {
		if mb.join != 0 {
			g.leader = mb.id
			return true
		}
	}
	return false
}

// syncTimeUp removes who got an answer to its join but has not asked for its assignment.
func (m *Machine) syncTimeUp(g *group) {
	g.syncDeadline = time.Time{}
	if g.state != CompletingRebalance && g.state != Stable {
		return
	}
	var late bool
	for _, mb := range slices.Clone(g.order) {
		if mb.owesSync {
			late = true
			m.failMember(mb, kerr.UnknownMemberID)
			g.remove(mb)
		}
	}
	if late {
		m.rebalance(g)
	}
}

// expel removes a member, and what it waits for is answered.
func (m *Machine) expel(g *group, mb *member) {
	if g.members[mb.id] != mb {
		return
	}
	m.failMember(mb, kerr.UnknownMemberID)
	g.remove(mb)
	m.afterRemoval(g)
}

// afterRemoval goes on without members that were removed.
func (m *Machine) afterRemoval(g *group) {
	switch g.state {
	case Stable, CompletingRebalance:
		m.rebalance(g)
	case PreparingRebalance:
		m.maybeComplete(g)
	}
}
