package group

import (
	"bytes"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Sync asks for the member's assignment in the present generation; the leader's brings everybody's. The answer may come
// with a later step.
func (m *Machine) Sync(now time.Time, tok Token, r *SyncRequest) Result {
	m.begin(now)
	if g := m.groups[r.Group]; g != nil && g.consumer != nil {
		m.answerSync(tok, m.syncConsumer(g, r))
		return m.end(nil)
	}
	g, mb, err := m.checkSync(r)
	if err != nil {
		m.answerSync(tok, &SyncResponse{Err: err})
		return m.end(g)
	}
	m.displace(mb)
	mb.owesSync = false
	if g.state == Stable {
		m.extend(mb)
		m.answerSync(tok, g.synced(mb))
	} else {
		mb.sync = tok
		if mb.id == g.leader {
			m.assign(g, r.Assignments)
		}
	}
	g.checkAllSynced()
	return m.end(g)
}

func (m *Machine) checkSync(r *SyncRequest) (*group, *member, error) {
	if r.Group == "" {
		return nil, nil, kerr.InvalidGroupID
	}
	g := m.groups[r.Group]
	if g == nil {
		return nil, nil, kerr.UnknownMemberID
	}
	mb, err := g.check(r.MemberID, r.InstanceID)
	switch {
	case err != nil:
		return g, nil, err
	case r.Generation != g.generation:
		return g, nil, kerr.IllegalGeneration
	case differs(r.ProtocolType, g.protocolType) || differs(r.Protocol, g.protocol):
		return g, nil, kerr.InconsistentGroupProtocol
	case g.state == PreparingRebalance:
		return g, nil, kerr.RebalanceInProgress
	}
	return g, mb, nil
}

func differs(said *string, is string) bool { return said != nil && *said != is }

func (g *group) synced(mb *member) *SyncResponse {
	return &SyncResponse{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: mb.assignment}
}

// checkAllSynced ends the wait for SyncGroups when all have come.
func (g *group) checkAllSynced() {
	for _, mb := range g.order {
		if mb.owesSync {
			return
		}
	}
	g.syncDeadline = time.Time{}
}

// assign makes the group stable with the leader's assignments. Members that the leader forgot get nothing.
func (m *Machine) assign(g *group, assignments []Assignment) {
	given := make(map[string][]byte, len(assignments))
	for _, a := range assignments {
		given[a.MemberID] = a.Data
	}
	size, grown := g.recordBytes(), 0
	for _, mb := range g.order {
		size += len(given[mb.id])
		grown += len(given[mb.id]) - len(mb.assignment)
	}
	if size > m.cfg.MaxRecordBytes || m.full(grown) {
		m.refuseAssignments(g)
		return
	}
	g.bytes += grown
	for _, mb := range g.order {
		mb.assignment = bytes.Clone(given[mb.id])
	}
	g.since = m.now
	m.writeGroup(g)
	m.tally.ClassicRebalances++
	for _, mb := range g.order {
		if mb.sync != 0 {
			m.answerSync(mb.sync, g.synced(mb))
			mb.sync = 0
			m.extend(mb)
		}
	}
}

// refuseAssignments tells everybody that the leader's assignments are more than the log or the memory takes, and begins anew.
func (m *Machine) refuseAssignments(g *group) {
	for _, mb := range g.order {
		if mb.sync != 0 {
			m.answerSync(mb.sync, &SyncResponse{Err: kerr.UnknownServerError})
			mb.sync = 0
			m.extend(mb)
		}
	}
	m.rebalance(g)
}

// recordBytes is the size of the group's record without the assignments, a little more rather than less.
func (g *group) recordBytes() int {
	const perGroup, perMember = 128, 96
	n := perGroup + len(g.id) + len(g.protocolType) + len(g.protocol) + len(g.leader)
	for _, mb := range g.order {
		n += perMember + len(mb.id) + len(mb.clientID) + len(mb.clientHost) + len(mb.metadataFor(g.protocol))
		if mb.instanceID != nil {
			n += len(*mb.instanceID)
		}
	}
	return n
}
