package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Heartbeat extends the member's session. It writes nothing, and its answer binds nobody.
func (m *Machine) Heartbeat(now time.Time, r *HeartbeatRequest) error {
	if r.Group == "" {
		return kerr.InvalidGroupID
	}
	g := m.groups[r.Group]
	if g == nil {
		return kerr.UnknownMemberID
	}
	if g.consumer != nil {
		m.now = now
		return m.heartbeatConsumer(g, r)
	}
	mb, err := g.check(r.MemberID, r.InstanceID)
	if err != nil {
		return err
	}
	if r.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	m.now = now
	m.extend(mb)
	if g.state == PreparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// Leave removes members and sets their Err. The error is the group's.
func (m *Machine) Leave(now time.Time, groupID string, leavers []LeaveMember) (Result, error) {
	m.begin(now)
	if groupID == "" {
		return m.end(nil), kerr.InvalidGroupID
	}
	g := m.groups[groupID]
	if g == nil {
		for i := range leavers {
			leavers[i].Err = kerr.UnknownMemberID
		}
		return m.end(nil), nil
	}
	if g.consumer != nil {
		m.leaveByAdmin(g, leavers)
		return m.end(m.groups[groupID]), nil
	}
	var left bool
	for i := range leavers {
		l := &leavers[i]
		if l.InstanceID == nil && g.takeID(l.MemberID) {
			m.maybeComplete(g)
			continue
		}
		l.Err = m.leave(g, l)
		left = left || l.Err == nil
	}
	if left {
		m.afterRemoval(g)
	}
	return m.end(g), nil
}

func (m *Machine) leave(g *group, l *LeaveMember) error {
	var mb *member
	if l.MemberID == "" && l.InstanceID != nil {
		if mb = g.static[*l.InstanceID]; mb == nil {
			return kerr.UnknownMemberID
		}
	} else {
		var err error
		if mb, err = g.check(l.MemberID, l.InstanceID); err != nil {
			return err
		}
	}
	m.failMember(mb, kerr.UnknownMemberID)
	g.remove(mb)
	return nil
}
