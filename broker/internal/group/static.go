package group

import "github.com/twmb/franz-go/pkg/kerr"

// replaceStatic gives the place of a static member to the same instance that came back under a new id (KIP-345). The old
// id is fenced from now on. A stable group goes on in its generation if its protocol would stay the same.
func (m *Machine) replaceStatic(g *group, mb *member, id string, tok Token, r *JoinRequest) {
	oldID, wasLeader := mb.id, g.leader == mb.id
	m.failMember(mb, kerr.FencedInstanceID)
	g.bytes -= mb.bytes()
	delete(g.members, oldID)
	mb.id = id
	g.members[id] = mb
	if wasLeader {
		g.leader = id
	}
	mb.clientID, mb.clientHost = r.ClientID, r.ClientHost
	g.bytes += mb.bytes()
	mb.owesSync = false
	g.checkAllSynced()
	m.update(g, mb, tok, r)
	m.extend(mb)
	if g.state != Stable || g.choose() != g.protocol {
		m.rebalance(g)
		return
	}
	mb.join = 0
	m.writeGroup(g)
	resp := m.joined(g, mb)
	if wasLeader {
		if r.CanSkip {
			resp.SkipAssignment = true
		} else {
			// Under the old id the member does not take itself for the leader: a new assignment of its making would
			// never reach a group that is stable.
			resp.Leader, resp.Members = oldID, nil
		}
	}
	m.answerJoin(tok, resp)
}
