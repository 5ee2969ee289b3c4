package topology

import (
	"cmp"
	"math"
	"slices"
)

// Clock is what a punctuator goes by.
type Clock int8

const (
	StreamTime Clock = iota // event time: fires while records arrive
	WallClock
)

// Punctuation is what is to be done again and again. Times are ms since 1970.
//
// By stream time it is due at 0 first, that is as soon as stream time is known; by the wall clock an interval after it was scheduled; with a start it is due
// there first. Slots that were missed collapse into one call, and the next is the next aligned one. Several that are due at once are called in the order in which they
// became due; among those of one time it is Kafka Streams' order, see due, which begins anew when a task moves or crashes.
type Punctuation struct {
	Clock    Clock
	Every    int64 // positive
	Start    int64
	HasStart bool
	Fire     func(time int64) error // gets the time of the clock, not the slot's
}

// schedule holds a task's punctuators.
type schedule struct{ stream, wall clockwork }

// clockwork holds the punctuators of one clock.
type clockwork struct {
	queue due           // in order of next, those that were stopped included
	added []*punctuator // since the last look, in no order
}

type punctuator struct {
	node     int // in order of the graph
	next     int64
	interval int64
	fire     func(time int64) error
	stopped  bool
}

// Schedule adds a punctuation of a node. It may be called while the task runs, also by a punctuation; what one adds is not due before the next look. cancel may be
// called at any time.
func (w *Wiring) Schedule(n *Node, p Punctuation) (cancel func()) {
	t, u := w.task, &punctuator{node: n.id, next: p.Start, interval: p.Every}
	u.fire = func(now int64) error { return t.punctuation(n, p.Fire, now) }
	if t.policy != nil && t.policy.guards() {
		u.fire = func(now int64) (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = t.panicFault(p)
				}
				err = t.settle(err, n, now, nil)
			}()
			return t.punctuation(n, p.Fire, now)
		}
	}
	switch {
	case p.Clock == StreamTime:
		t.schedule.stream.added = append(t.schedule.stream.added, u)
	default:
		if !p.HasStart {
			u.next = w.env.Now() + p.Every
		}
		t.schedule.wall.added = append(t.schedule.wall.added, u)
	}
	return func() { u.stopped = true }
}

// punctuation calls a user's function on behalf of a node.
func (t *Task) punctuation(n *Node, fire func(int64) error, now int64) error {
	t.at = int32(n.id)
	if err := fire(now); err != nil {
		return t.fault(FaultProcessing, n, err)
	}
	return nil
}

// resume takes a restored stream time: what was due until then was done before.
func (s *schedule) resume(streamTime int64) {
	c := &s.stream
	c.added = append(c.added, c.queue...)
	c.queue = nil
	for _, p := range c.added {
		if p.next <= streamTime {
			p.advance(streamTime)
		}
	}
}

func (s *schedule) streamDue(streamTime int64) bool {
	if streamTime < 0 {
		return false
	}
	next, ok := s.stream.first()
	return ok && next <= streamTime
}

func (s *schedule) fireStream(streamTime int64) error { return s.stream.fire(streamTime) }

func (s *schedule) fireWall(wall int64) error { return s.wall.fire(wall) }

func (s *schedule) nextWall() (next int64, ok bool) { return s.wall.first() }

// look takes in what was added since the last look.
func (c *clockwork) look() {
	if len(c.added) == 0 {
		return
	}
	slices.SortStableFunc(c.added, func(a, b *punctuator) int { return cmp.Compare(a.node, b.node) })
	for _, p := range c.added {
		c.queue.push(p)
	}
	clear(c.added)
	c.added = c.added[:0]
}

// first is when the next call is due.
func (c *clockwork) first() (next int64, ok bool) {
	c.look()
	for len(c.queue) > 0 {
		if top := c.queue[0]; !top.stopped {
			return top.next, true
		}
		c.queue.pop()
	}
	return 0, false
}

// fire calls what is due at now once each, in the order in which it became due.
func (c *clockwork) fire(now int64) error {
	c.look()
	for len(c.queue) > 0 && c.queue[0].next <= now {
		p := c.queue.pop()
		if p.stopped {
			continue
		}
		if err := p.fire(now); err != nil {
			return err
		}
		if p.advance(now); !p.stopped {
			c.queue.push(p)
		}
	}
	return nil
}

// advance moves to the first slot after now.
func (p *punctuator) advance(now int64) {
	slots := (now-p.next)/p.interval + 1
	if slots > (math.MaxInt64-p.next)/p.interval {
		p.stopped = true // time ends before
		return
	}
	p.next += slots * p.interval
}
