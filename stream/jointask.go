package stream

import (
	"math"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// joinSide is one side of a join at work in one task: records of type A look for partners of type B. Times are in milliseconds.
type joinSide[K, A, B, O any] struct {
	*results[K, O]
	other         statestore.JoinWindowStore[K, B]
	before, after int64 // the other record's time may lie from before this one's to after it
	alone         bool  // a record that stays alone gives a result
	join          joinFunc[K, A, B, O]
	observed      *int64 // the highest time of both sides; kept with the committed offsets
	drop          func(topology.DropReason)
	otherNulls    *int64 // of other, see nullTime

	// Without records that wait these are nil.
	closed    func(now int64, headers []topology.Header) error
	wait      func(key K, timestamp int64, value A) error
	found     func(side statestore.Side, key K, timestamp, now int64) (bool, error)
	otherSide statestore.Side
}

func newJoinSide[K, A, B, L, R, O any](w *topology.Wiring, n *topology.Node, next topology.Sink[K, O], other string,
	j *joinPlan[K, L, R, O], alone *aloneRecords[K, L, R, O]) *joinSide[K, A, B, O] {
	s := &joinSide[K, A, B, O]{other: w.Store(other).(statestore.JoinWindowStore[K, B]), observed: w.Observed(j.observed), drop: w.Drop(n)}
	if j.inMemory {
		s.otherNulls = w.Observed(other + nullSuffix)
	}
	if alone == nil {
		s.results = newResults(w, n, next)
		return s
	}
	s.results, s.closed, s.found = alone.results, alone.emit, alone.store.Delete
	w.OnIdle(n, alone.pass)
	return s
}

func (s *joinSide[K, A, B, O]) process(r *topology.Record[K, A]) error {
	*s.observed = max(*s.observed, r.Timestamp)
	switch {
	case r.ValueNull:
		s.drop(topology.DropNullValue)
		return nil
	case r.KeyNull && s.alone:
		return s.single(r)
	case r.KeyNull:
		s.drop(topology.DropNullKey)
		return nil
	}
	if s.closed != nil && r.Timestamp == *s.observed {
		if err := s.closed(r.Timestamp, r.Headers); err != nil {
			return err
		}
	}
	if s.otherNulls != nil {
		s.other.Observe(*s.otherNulls)
	}
	latest := max(0, addTime(r.Timestamp, s.after))
	matched, err := s.match(r, max(0, addTime(r.Timestamp, -s.before)), latest)
	switch {
	case err != nil || matched || !s.alone:
		return err
	case latest < *s.observed:
		return s.single(r)
	}
	return s.wait(r.Key, r.Timestamp, r.Value)
}

// match joins a record with all partners in [earliest, latest].
func (s *joinSide[K, A, B, O]) match(r *topology.Record[K, A], earliest, latest int64) (matched bool, err error) {
	for e, err := range s.other.Fetch(r.Key, earliest, latest) {
		if err != nil {
			return matched, err
		}
		matched = true
		if s.found != nil {
			if _, err := s.found(s.otherSide, r.Key, e.Start, r.Timestamp); err != nil {
				return matched, err
			}
		}
		*s.at = s.id
		v, err := s.join(s.ctx, r.Key, r.Value, e.Value, BothSides)
		if err := s.give(r.Key, false, v, err, max(r.Timestamp, e.Start), r.Headers); err != nil {
			return matched, err
		}
	}
	return matched, nil
}

// single gives the result of a record that is alone.
func (s *joinSide[K, A, B, O]) single(r *topology.Record[K, A]) error {
	var none B
	*s.at = s.id
	v, err := s.join(s.ctx, r.Key, r.Value, none, LeftOnly)
	return s.give(r.Key, r.KeyNull, v, err, r.Timestamp, r.Headers)
}

// addTime adds a distance to a time without running over its end.
func addTime(t, by int64) int64 {
	if by > 0 && t > math.MaxInt64-by {
		return math.MaxInt64
	}
	return t + by
}

// aloneRecords are the records of a left or outer join that have met no partner so far, for one side of one task. Times are in milliseconds.
type aloneRecords[K, L, R, O any] struct {
	*results[K, O]
	store       statestore.UnmatchedStore[K, L, R]
	left, right int64 // how long after its time a record of this side stays open
	own         int64 // that of the side in question
	join        joinFunc[K, L, R, O]
	every       int64 // the least wall-clock time between two looks
	now         func() int64

	// Both sides have these in common; they are kept with the committed offsets.
	observed *int64 // the highest time of both sides
	// next is the time of the record that is to be looked at next: the earliest that came since the last look, or where that look ended. A side looks when a
	// record of its own with that time would be closed, which may be later than it could: that is when Kafka Streams looks.
	next     *int64
	nextLook *int64 // by the wall clock
}

// nothingWaits is the next time when there is no record to look at. It is the latest that can be kept.
const nothingWaits = math.MaxInt64 - 1

// newAlone returns what the sides of a join share in a task; for an inner join, nil.
func (j *joinPlan[K, L, R, O]) newAlone(w *topology.Wiring, n *topology.Node, next topology.Sink[K, O]) *aloneRecords[K, L, R, O] {
	if j.kind == innerJoin {
		return nil
	}
	grace := j.window.grace.Milliseconds()
	return &aloneRecords[K, L, R, O]{results: newResults(w, n, next), store: w.Store(j.unmatched).(statestore.UnmatchedStore[K, L, R]), join: j.join,
		left: j.window.after.Milliseconds() + grace, right: j.window.before.Milliseconds() + grace, observed: w.Observed(j.observed),
		next: w.Observed(j.unmatched), every: j.window.every.Milliseconds(), nextLook: w.Observed(j.unmatched + "-look"), now: w.Env().Now}
}

// addLeft lets a left record wait.
func (a *aloneRecords[K, L, R, O]) addLeft(key K, timestamp int64, value L) error {
	*a.next = min(a.waiting(), timestamp)
	return a.store.AddLeft(key, timestamp, value)
}

// addRight lets a right record wait.
func (a *aloneRecords[K, L, R, O]) addRight(key K, timestamp int64, value R) error {
	*a.next = min(a.waiting(), timestamp)
	return a.store.AddRight(key, timestamp, value)
}

// waiting is the time to be looked at next. What was kept may be older than what the store has.
func (a *aloneRecords[K, L, R, O]) waiting() int64 {
	if *a.next >= 0 && *a.next < nothingWaits {
		return *a.next
	}
	*a.next = nothingWaits
	if oldest, ok := a.store.OldestTime(); ok {
		*a.next = oldest
	}
	return *a.next
}

// open reports whether a record may still meet a partner.
func (a *aloneRecords[K, L, R, O]) open(time, length int64) bool {
	return addTime(time, length) >= *a.observed
}

// due reports whether to look for records that stayed alone. It counts as a look, also when there is nothing to look at.
func (a *aloneRecords[K, L, R, O]) due() bool {
	next := a.waiting()
	if next == nothingWaits && a.own <= 0 || next != nothingWaits && a.open(next, a.own) {
		return false
	}
	if a.every > 0 {
		now := a.now()
		if now < *a.nextLook && *a.nextLook <= now+a.every { // a time further ahead is of another clock
			return false
		}
		*a.nextLook = now + a.every
	}
	*a.next = nothingWaits
	_, ok := a.store.OldestTime()
	return ok
}

// emit gives the records that can meet no partner any more, and forgets each when it is given. now and headers are those of the record that ended their windows.
func (a *aloneRecords[K, L, R, O]) emit(now int64, headers []topology.Header) error {
	_, err := a.release(now, headers)
	return err
}

// release is emit that tells whether there were any.
func (a *aloneRecords[K, L, R, O]) release(now int64, headers []topology.Header) (some bool, err error) {
	if !a.due() {
		return false, nil
	}
	leftOpen, rightOpen := false, false
	for e, err := range a.store.Oldest() {
		if err != nil {
			return some, err
		}
		*a.next = e.Timestamp
		if leftOpen && rightOpen {
			return some, nil
		}
		if e.Side == statestore.Left && a.open(e.Timestamp, a.left) {
			leftOpen = true
			continue
		}
		if e.Side == statestore.Right && a.open(e.Timestamp, a.right) {
			rightOpen = true
			continue
		}
		some = true
		has := RightOnly
		if e.Side == statestore.Left {
			has = LeftOnly
		}
		*a.at = a.id
		v, err := a.join(a.ctx, e.Key, e.Left, e.Right, has)
		if err := a.give(e.Key, false, v, err, e.Timestamp, headers); err != nil {
			return some, err
		}
		// The first of several records of one key and time takes the others along; the walk has them already.
		if _, err := a.store.Delete(e.Side, e.Key, e.Timestamp, now); err != nil {
			return some, err
		}
	}
	return some, nil
}

// pass gives, in a silence, what can meet no partner any more at the time that was reached.
func (a *aloneRecords[K, L, R, O]) pass(now int64) (some bool, err error) {
	*a.observed = max(*a.observed, now)
	return a.release(now, nil)
}
