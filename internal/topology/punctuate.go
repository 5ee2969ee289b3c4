package topology

import (
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
// there first. Slots that were missed collapse into one call, and the next is the next aligned one.
type Punctuation struct {
	Clock    Clock
	Every    int64 // positive
	Start    int64
	HasStart bool
	Fire     func(time int64) error // gets the time of the clock, not the slot's
}

// schedule holds a task's punctuators.
type schedule struct{ stream, wall []*punctuator }

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
		t.schedule.stream = append(t.schedule.stream, u)
	default:
		if !p.HasStart {
			u.next = w.env.Now() + p.Every
		}
		t.schedule.wall = append(t.schedule.wall, u)
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
	for _, p := range s.stream {
		if p.next <= streamTime {
			p.advance(streamTime)
		}
	}
}

func (s *schedule) streamDue(streamTime int64) bool {
	return streamTime >= 0 && slices.ContainsFunc(s.stream, func(p *punctuator) bool { return p.next <= streamTime && !p.stopped })
}

func (s *schedule) fireStream(streamTime int64) error {
	err := fire(s.stream, streamTime)
	s.stream = slices.DeleteFunc(s.stream, func(p *punctuator) bool { return p.stopped })
	return err
}

func (s *schedule) fireWall(wall int64) error {
	err := fire(s.wall, wall)
	s.wall = slices.DeleteFunc(s.wall, func(p *punctuator) bool { return p.stopped })
	return err
}

func (s *schedule) nextWall() (next int64, ok bool) {
	for _, p := range s.wall {
		if !p.stopped && (!ok || p.next < next) {
			next, ok = p.next, true
		}
	}
	return next, ok
}

// fire calls what is due at now once each, in the order in which it became due, then in that of the graph.
func fire(all []*punctuator, now int64) error {
	for {
		var due *punctuator
		for _, p := range all {
			if !p.stopped && p.next <= now && (due == nil || p.next < due.next || p.next == due.next && p.node < due.node) {
				due = p
			}
		}
		if due == nil {
			return nil
		}
		due.advance(now)
		if err := due.fire(now); err != nil {
			return err
		}
	}
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
