package group

import (
	"container/heap"
	"slices"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// Machine is the state of one partition of __consumer_offsets. It is not safe for concurrent use.
type Machine struct {
	cfg       Config
	groups    map[string]*group
	deadlines deadlines
	bytes     int                // what the groups keep, as of their last step
	expiry    time.Time          // next look for expired offsets
	txns      map[int64]*openTxn // by producer id: transactional offsets whose marker has not come
	applied   uint64             // numbers the offsets applied, in log order

	// The running step.
	now     time.Time
	records []entry.Record
	answers []Answer
	tally   Tally
	enc     encoder
}

// New makes an empty Machine.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg.withDefaults(), groups: map[string]*group{}, txns: map[int64]*openTxn{}}
}

// begin starts a step.
func (m *Machine) begin(now time.Time) {
	m.now, m.tally = now, Tally{}
	clear(m.records)
	clear(m.answers)
	m.records, m.answers = m.records[:0], m.answers[:0]
	m.enc.reset()
}

// end finishes a step that touched g, which may be nil.
func (m *Machine) end(g *group) Result {
	if g != nil {
		m.settle(g)
	}
	return Result{Records: m.records, Answers: m.answers, Tally: m.tally}
}

// settle drops a group that came to nothing, and sees to it that the others are looked at in time.
func (m *Machine) settle(g *group) {
	if m.groups[g.id] != g {
		return // deleted
	}
	m.account(g)
	if g.removable() && !g.written {
		m.drop(g)
		return
	}
	m.wakeAt(g, m.next(g))
}

// account brings the machine's sum up to what the group keeps now.
func (m *Machine) account(g *group) {
	m.bytes += g.bytes - g.accounted
	g.accounted = g.bytes
}

// full says whether there is no room for a group to keep that much more. Who keeps less than before always finds room.
func (m *Machine) full(more int) bool { return more > 0 && m.bytes+more > m.cfg.MaxBytes }

func (m *Machine) drop(g *group) {
	m.bytes -= g.accounted
	g.accounted = 0
	m.forget(g)
	delete(m.groups, g.id)
}

func (m *Machine) obtain(id string) *group {
	g := m.groups[id]
	if g == nil {
		g = newGroup(id)
		m.groups[id] = g
	}
	return g
}

// write applies a record and has it written.
func (m *Machine) write(r entry.Record, p entry.Producer) {
	m.records = append(m.records, r)
	m.Apply(r, p)
}

func (m *Machine) answerJoin(tok Token, r *JoinResponse) {
	if r.Err != nil {
		r.Generation = -1
	}
	m.answers = append(m.answers, Answer{Token: tok, Join: r})
}

func (m *Machine) answerSync(tok Token, r *SyncResponse) {
	m.answers = append(m.answers, Answer{Token: tok, Sync: r})
}

// Loaded says that the log is replayed: from now on the members' sessions run.
func (m *Machine) Loaded(now time.Time) {
	m.begin(now)
	for _, g := range m.groups {
		for _, mb := range g.order {
			m.extend(mb)
		}
		if g.consumer != nil {
			m.beginSessions(g)
		}
		m.account(g)
		m.wakeAt(g, m.next(g))
	}
	m.expiry = now.Add(m.cfg.ExpiryInterval)
}

// NextDeadline is when the next Tick is due; zero when there is nothing to wait for.
func (m *Machine) NextDeadline() time.Time {
	var at time.Time
	if len(m.groups) > 0 {
		at = m.expiry
	}
	if len(m.deadlines) > 0 && (at.IsZero() || m.deadlines[0].wake.Before(at)) {
		at = m.deadlines[0].wake
	}
	return at
}

// Tick does what is due.
func (m *Machine) Tick(now time.Time) Result {
	m.begin(now)
	for len(m.deadlines) > 0 && !m.deadlines[0].wake.After(now) {
		g := heap.Pop(&m.deadlines).(*group)
		m.tick(g)
		m.settle(g)
	}
	if !m.expiry.After(now) {
		m.expire()
		m.expiry = now.Add(m.cfg.ExpiryInterval)
	}
	return m.end(nil)
}

// tick does what is due in one group.
func (m *Machine) tick(g *group) {
	if g.consumer != nil {
		m.tickConsumer(g)
		return
	}
	for id, expires := range g.pendingIDs {
		if !expires.After(m.now) {
			g.takeID(id)
		}
	}
	m.maybeComplete(g) // it may have waited for one of those ids only
	for _, mb := range slices.Clone(g.order) {
		if m.expired(mb) {
			m.expel(g, mb)
		}
	}
	if due(g.joinDeadline, m.now) {
		m.joinTimeUp(g)
	}
	if due(g.syncDeadline, m.now) {
		m.syncTimeUp(g)
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

func (m *Machine) expired(mb *member) bool { return mb.mayExpire() && !mb.deadline.After(m.now) }
