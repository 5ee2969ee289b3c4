package txn

import (
	"slices"
	"time"
)

// Debt returns what a decided transaction owes until it is complete: its markers, and when there are none of them the
// completion alone, which a power loss may have torn off the decision. ok is false when nothing is owed. Markers may be
// written when the decision is committed, not before. The partitions are the caller's.
func (c *Coordinator) Debt(id string) (Markers, bool) {
	m, known := c.ids[id]
	if !known || !m.State.preparing() {
		return Markers{}, false
	}
	return Markers{
		TransactionalID: id,
		Identity:        m.Identity,
		Commit:          m.State == PrepareCommit,
		Protocol:        m.Protocol,
		Partitions:      slices.Clone(m.owed),
	}, true
}

// Debts returns all of them, in order of the ids: what a new leader finds, whose predecessor may have written some.
func (c *Coordinator) Debts() []Markers {
	var all []Markers
	for _, t := range c.All() {
		if d, ok := c.Debt(t.ID); ok {
			all = append(all, d)
		}
	}
	return all
}

// MarkersWritten takes partitions off the debt of the transaction that who ended; for any other one it changes nothing.
// A partition that exists no longer counts as written. With the last of them the transaction completes.
//
// Unlike the other steps it notes what it is told at once: this is not in the log, and who leads next writes all the
// markers again.
func (c *Coordinator) MarkersWritten(now time.Time, id string, who Identity, tps []TopicPartition) Step {
	m, known := c.ids[id]
	if !known || !m.State.preparing() || m.Identity != who {
		return Step{}
	}
	m.owed = slices.DeleteFunc(m.owed, func(tp TopicPartition) bool { return slices.Contains(tps, tp) })
	if len(m.owed) > 0 {
		return Step{}
	}
	return Step{Changes: []Change{completed(now, m.Transaction)}}
}
