package txn

import (
	"container/heap"
	"time"
)

// NextDeadline is when Tick has something to do at the earliest; zero: never. It may be early, since a member's place in
// the agenda moves forward only when it comes up.
func (c *Coordinator) NextDeadline() time.Time {
	if len(c.due) == 0 {
		return time.Time{}
	}
	return c.due[0].when
}

// Tick aborts transactions that are older than their timeout and forgets ids that nobody used for long. When an abort
// needs a producer id and there is none, it is tried again after idRetry.
func (c *Coordinator) Tick(now time.Time) Step {
	var step Step
	var taken []*member // off the agenda for the loop
	for len(c.due) > 0 && !c.due[0].when.After(now) && len(step.Changes) < maxPerTick {
		m := c.due[0]
		at := c.deadline(m.Transaction)
		if at.IsZero() {
			c.due.remove(m)
			continue
		}
		if at.After(now) {
			m.when = at
			heap.Fix(&c.due, 0)
			continue
		}
		c.due.remove(m)
		taken = append(taken, m)
		changes, err := c.overdue(now, m.Transaction)
		if err != nil {
			m.when = now.Add(idRetry)
		}
		step.Changes = append(step.Changes, changes...)
	}
	// Applying the changes moves them away; until then they are due.
	for _, m := range taken {
		c.due.move(m, m.when)
	}
	return step
}

func (c *Coordinator) overdue(now time.Time, t *Transaction) ([]Change, error) {
	if t.State != Ongoing {
		return []Change{{t.ID, nil}}, nil
	}
	next, err := c.fence(now, t, true)
	if err != nil {
		return nil, err
	}
	next.TimedOut = true
	return prepared(now, next), nil
}

// deadline is when something happens to t by itself; zero: nothing does.
func (c *Coordinator) deadline(t *Transaction) time.Time {
	switch {
	case t.State == Ongoing:
		return atLook(t.Start.Add(t.Timeout), c.cfg.AbortInterval)
	case t.State.idle() && c.cfg.IDExpiration > 0:
		return atLook(t.Updated.Add(c.cfg.IDExpiration), c.cfg.ExpireInterval)
	}
	return time.Time{}
}

// atLook is the first look at t or after it. Looks are at multiples of their interval, so that a replay has them at the same times.
func atLook(t time.Time, interval time.Duration) time.Time {
	if interval <= 0 {
		return t
	}
	// Adding keeps the reading of a clock that does not jump, where t has one.
	if since := t.Sub(t.Truncate(interval)); since > 0 {
		return t.Add(interval - since)
	}
	return t
}

// agenda is a heap of members by when. A member's when is never after its deadline, but may be before: a producer that
// commits a thousand times a second moves it once per timeout, not twice per transaction.
type agenda []*member

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].when.Before(a[j].when) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i]; a[i].slot, a[j].slot = i, j }

func (a *agenda) Push(x any) {
	m := x.(*member)
	m.slot = len(*a)
	*a = append(*a, m)
}

func (a *agenda) Pop() any {
	old := *a
	m := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	m.slot = -1
	return m
}

// move puts m where it comes up at the latest at the given time; zero leaves it where it is.
func (a *agenda) move(m *member, at time.Time) {
	switch {
	case at.IsZero():
	case m.slot < 0:
		m.when = at
		heap.Push(a, m)
	case at.Before(m.when):
		m.when = at
		heap.Fix(a, m.slot)
	}
}

func (a *agenda) remove(m *member) {
	if m.slot >= 0 {
		heap.Remove(a, m.slot)
	}
}
