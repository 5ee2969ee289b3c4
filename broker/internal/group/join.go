package group

import (
	"bytes"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Join makes the caller a member of the group's next generation, or of the present one if nothing would change. The answer
// may come with a later step.
func (m *Machine) Join(now time.Time, tok Token, r *JoinRequest) Result {
	m.begin(now)
	if err := m.checkJoin(r); err != nil {
		m.refuseJoin(tok, r.MemberID, err)
		return m.end(nil)
	}
	g := m.groups[r.Group]
	if g == nil {
		if r.MemberID != "" {
			m.refuseJoin(tok, r.MemberID, kerr.UnknownMemberID)
			return m.end(nil)
		}
		g = m.obtain(r.Group)
	}
	if g.consumer != nil {
		if g.hasMembers() {
			m.joinConsumer(g, tok, r)
			return m.end(nil)
		}
		if r.MemberID != "" {
			m.refuseJoin(tok, r.MemberID, kerr.UnknownMemberID)
			return m.end(nil)
		}
		m.writeConsumerEnd(g) // nobody minds that it is a classic group from now on
		g = m.obtain(r.Group)
	}
	switch {
	case !m.accepts(g, r):
		m.turnAway(g, tok, r)
	case !g.supports(r.ProtocolType, r.Protocols):
		m.refuseJoin(tok, r.MemberID, kerr.InconsistentGroupProtocol)
	case r.MemberID == "":
		m.joinNew(g, tok, r)
	default:
		m.joinKnown(g, tok, r)
	}
	return m.end(g)
}

func (m *Machine) refuseJoin(tok Token, memberID string, err error) {
	m.answerJoin(tok, &JoinResponse{Err: err, MemberID: memberID})
}

func (m *Machine) checkJoin(r *JoinRequest) error {
	switch {
	case r.Group == "":
		return kerr.InvalidGroupID
	case r.SessionTimeout < m.cfg.MinSessionTimeout || r.SessionTimeout > m.cfg.MaxSessionTimeout:
		return kerr.InvalidSessionTimeout
	}
	return nil
}

// accepts says whether there is room for who asks.
func (m *Machine) accepts(g *group, r *JoinRequest) bool {
	known := g.members[r.MemberID]
	if known == nil && r.InstanceID != nil {
		known = g.static[*r.InstanceID]
	}
	size := g.bytes + memberBytes + len(r.ClientID) + protocolBytes(r.Protocols)
	if known != nil {
		size -= known.bytes() - len(known.assignment)
	}
	if size > m.cfg.MaxGroupBytes || m.full(size-g.bytes) {
		return false
	}
	switch g.state {
	case Empty:
		return true
	case PreparingRebalance:
		return known != nil && known.join != 0 || g.awaiting() < m.cfg.MaxMembers
	default:
		return known != nil || len(g.members) < m.cfg.MaxMembers
	}
}

// turnAway tells one who found no room, and takes back the place or the id that it may have had.
func (m *Machine) turnAway(g *group, tok Token, r *JoinRequest) {
	m.refuseJoin(tok, "", kerr.GroupMaxSizeReached)
	g.takeID(r.MemberID)
	if mb := g.members[r.MemberID]; mb != nil {
		m.expel(g, mb)
		return
	}
	m.maybeComplete(g)
}

func (m *Machine) joinNew(g *group, tok Token, r *JoinRequest) {
	switch {
	case r.InstanceID != nil:
		id := m.newID(*r.InstanceID)
		if old := g.static[*r.InstanceID]; old != nil {
			m.replaceStatic(g, old, id, tok, r)
			return
		}
		m.addMember(g, id, tok, r)
	case r.RequireKnownID:
		if len(g.pendingIDs) >= m.cfg.MaxMembers {
			m.refuseJoin(tok, "", kerr.GroupMaxSizeReached)
			return
		}
		id := m.newID(r.ClientID)
		g.giveID(id, m.now.Add(r.SessionTimeout))
		m.refuseJoin(tok, id, kerr.MemberIDRequired)
	default:
		m.addMember(g, m.newID(r.ClientID), tok, r)
	}
}

func (m *Machine) joinKnown(g *group, tok Token, r *JoinRequest) {
	if _, ok := g.pendingIDs[r.MemberID]; ok && r.InstanceID == nil {
		m.addMember(g, r.MemberID, tok, r)
		return
	}
	mb, err := g.check(r.MemberID, r.InstanceID)
	if err != nil {
		m.refuseJoin(tok, r.MemberID, err)
		return
	}
	switch unchanged := mb.matches(r.Protocols); {
	case g.state == CompletingRebalance && unchanged:
		// The answer of this generation's join did not reach the member.
		m.displace(mb)
		m.answerJoin(tok, m.joined(g, mb))
	case g.state == Stable && unchanged && mb.id != g.leader:
		m.displace(mb)
		m.answerJoin(tok, m.joined(g, mb))
	default:
		m.update(g, mb, tok, r)
		m.rebalance(g)
	}
	m.extend(mb)
}

// newID makes a member id that tells whose it is, as far as a string of a record has room for that.
func (m *Machine) newID(of string) string {
	const room = 1 << 14
	if len(of) > room {
		of = strings.ToValidUTF8(of[:room], "")
	}
	return of + "-" + m.cfg.NewID()
}

// joined is the answer to a member's join of the present generation.
func (m *Machine) joined(g *group, mb *member) *JoinResponse {
	r := &JoinResponse{
		Generation:   g.generation,
		ProtocolType: g.protocolType,
		Protocol:     g.protocol,
		Leader:       g.leader,
		MemberID:     mb.id,
	}
	if mb.id == g.leader {
		r.Members = g.roll()
	}
	return r
}

// roll is what the leader learns about the members.
func (g *group) roll() []JoinMember {
	all := make([]JoinMember, len(g.order))
	for i, mb := range g.order {
		all[i] = JoinMember{ID: mb.id, InstanceID: mb.instanceID, Metadata: mb.metadataFor(g.protocol)}
	}
	return all
}

func (m *Machine) addMember(g *group, id string, tok Token, r *JoinRequest) {
	g.takeID(id)
	mb := &member{
		id:         id,
		instanceID: r.InstanceID,
		clientID:   r.ClientID,
		clientHost: r.ClientHost,
		session:    r.SessionTimeout,
		rebalance:  r.RebalanceTimeout,
		protocols:  own(r.Protocols),
		join:       tok,
		isNew:      true,
		deadline:   m.now.Add(newMemberTimeout),
	}
	if len(g.members) == 0 {
		g.protocolType = r.ProtocolType
	}
	g.add(mb)
	if g.state == PreparingRebalance && g.initial {
		g.extended = true
	}
	m.rebalance(g)
}

// update takes over what a member says now; its JoinGroup waits.
func (m *Machine) update(g *group, mb *member, tok Token, r *JoinRequest) {
	m.displace(mb)
	g.bytes -= mb.bytes()
	mb.protocols = own(r.Protocols)
	g.bytes += mb.bytes()
	mb.session, mb.rebalance = r.SessionTimeout, r.RebalanceTimeout
	mb.join = tok
}

// displace answers what a member still waited for before it asked anew: nobody reads that answer, but somebody holds the
// token.
func (m *Machine) displace(mb *member) {
	m.failMember(mb, kerr.RebalanceInProgress)
}

// failMember answers whatever the member waits for with an error.
func (m *Machine) failMember(mb *member, err error) {
	if mb.join != 0 {
		m.refuseJoin(mb.join, mb.id, err)
		mb.join = 0
	}
	if mb.sync != 0 {
		m.answerSync(mb.sync, &SyncResponse{Err: err})
		mb.sync = 0
	}
}

// extend begins the member's session anew.
func (m *Machine) extend(mb *member) {
	timeout := mb.session
	if mb.isNew {
		timeout = newMemberTimeout
	}
	mb.deadline = m.now.Add(timeout)
}

func own(protocols []Protocol) []Protocol {
	all := make([]Protocol, len(protocols))
	for i, p := range protocols {
		all[i] = Protocol{Name: p.Name, Metadata: bytes.Clone(p.Metadata)}
	}
	return all
}
