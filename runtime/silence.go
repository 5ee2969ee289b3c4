package runtime

import "time"

// silentAt is when the input counts as silent if nothing comes, ok is false for one that never does.
func (in *input) silentAt() (at time.Time, ok bool) {
	return in.last.Add(in.idle), in.idle > 0
}

// silentFor is for how long the input has been silent beyond its time-out, as of when the broker was asked last: while it cannot be asked, no silence grows.
func (in *input) silentFor() time.Duration {
	at, ok := in.silentAt()
	if !ok || in.has || in.cursor.Behind() {
		return 0
	}
	_, asked := in.cursor.End()
	return max(0, asked.Sub(at))
}

// silentFor is for how long all inputs of the task have been silent beyond their time-outs, 0 when one is not.
func (t *task) silentFor() time.Duration {
	if len(t.inputs) == 0 {
		return 0
	}
	over := t.inputs[0].silentFor()
	for _, in := range t.inputs[1:] {
		over = min(over, in.silentFor())
	}
	return over
}

// passTime lets the task's stream time go on while its inputs are silent.
func (t *task) passTime() error {
	over := t.silentFor()
	if over <= 0 {
		return nil
	}
	acted, err := t.topo.Idle(over.Milliseconds())
	t.dirty = t.dirty || acted
	return err
}

// heard makes the end of a slice of work the time of the records that were taken in it: the time that the task took for them is no silence.
func (t *task) heard(begin, end time.Time) {
	for _, in := range t.inputs {
		if in.last.Equal(begin) {
			in.last = end
		}
	}
}

// silenceAt is when the next input becomes silent that is not, zero when there is none.
func (t *task) silenceAt(now time.Time) (next time.Time) {
	for _, in := range t.inputs {
		if at, ok := in.silentAt(); ok && at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}
