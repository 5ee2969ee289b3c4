package topology

// Clock is what a punctuator goes by.
type Clock int8

const (
	StreamTime Clock = iota // event time: fires while records arrive
	WallClock
)

// schedule holds a task's punctuators. Times are ms since 1970.
//
// A stream-time punctuator is aligned to 0 and fires as soon as stream time is known; a wall-clock one first fires an interval after it was made. Slots that
// were missed collapse into one call, and the next is the next aligned one.
type schedule struct {
	stream, wall []*punctuator
}

type punctuator struct {
	next     int64
	interval int64
	fire     func(time int64) error
	stopped  bool
}

// Schedule adds a punctuator; interval must be positive. fire gets the time of its clock, not the slot's. cancel may be called at any time.
func (w *Wiring) Schedule(clock Clock, interval int64, fire func(time int64) error) (cancel func()) {
	p := &punctuator{interval: interval, fire: fire}
	s := &w.task.schedule
	if clock == WallClock {
		p.next = w.env.Now() + interval
		s.wall = append(s.wall, p)
	} else {
		s.stream = append(s.stream, p)
	}
	return func() { p.stopped = true }
}

func (s *schedule) streamDue(streamTime int64) bool {
	return len(s.stream) > 0 && streamTime >= 0
}

func (s *schedule) fireStream(streamTime int64) (err error) {
	s.stream, err = fire(s.stream, streamTime)
	return err
}

func (s *schedule) fireWall(wall int64) (err error) {
	s.wall, err = fire(s.wall, wall)
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

// fire calls what is due at now once each and returns the punctuators that go on, among them those that were added by the calls.
func fire(all []*punctuator, now int64) ([]*punctuator, error) {
	live := all[:0]
	for _, p := range all {
		if p.stopped {
			continue
		}
		if p.next <= now {
			if err := p.fire(now); err != nil {
				return all, err
			}
			p.next += ((now-p.next)/p.interval + 1) * p.interval
		}
		if !p.stopped {
			live = append(live, p)
		}
	}
	return live, nil
}
