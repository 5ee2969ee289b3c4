package ktable

import (
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// slidingAggregation is an aggregation by sliding windows.
//
// A window's time in the store is that of its latest record, which tells what is in a window without a list of its records. A record at t meets up to four kinds of
// windows of its key, here from the latest start to the earliest:
//
//	   t-difference        t
//	        │              │
//	        │              ├[t+1 ────────── right      the record's right window; it begins with what the next kind holds behind t
//	        │          [───┼─────────]      spanning   windows that hold t: they get the record
//	        [──────────────]│               left       the record's left window
//	[──────────────]        │               before     the last window that ends before t: what the new left window begins with
//
// The record before t, if it is less than difference away, may lack its right window: t is then the first record there.
type slidingAggregation[K, V, A any] struct {
	*windowing[K, V, A]
	difference int64
	spanning   []statestore.WindowEntry[K, A] // scratch: the windows that hold the record's time
}

// neighbours are what a record finds around it, besides the windows that hold its time.
type neighbours[K, A any] struct {
	before   statestore.WindowEntry[K, A] // the last window that ends before the record, if there is a previous record
	previous int64                        // the latest record before this one, -1 when there is none in sight
	old      A                            // the value of before, read again, when changes tell what was
	hasOld   bool
	left     bool // the left window is there, hence among those that hold the record's time
	right    bool // the right window is there
	twin     bool // a record of the same time was here before, so that all windows are there
}

func (a *slidingAggregation[K, V, A]) process(r *topology.Record[K, V]) error {
	if r.ValueNull && !r.KeyNull { // what is dropped does not move the time
		a.drop(topology.DropNullValue)
		return nil
	}
	closed, ok := a.take(r)
	if !ok {
		return nil
	}
	// Not even the right window of a record at this time would be open.
	if later(r.Timestamp, a.difference) < closed {
		a.drop(topology.DropLate)
		return nil
	}
	defer a.forget()
	if r.Timestamp < a.difference { // it closes no window: the first ends at the difference
		return a.early(r, closed)
	}
	if err := a.emit(r, closed); err != nil {
		return err
	}
	return a.slide(r, closed)
}

// forget lets go of the values of the windows that were in sight.
func (a *slidingAggregation[K, V, A]) forget() { clear(a.spanning) }

// slide takes a record whose left window does not reach back before time 0.
func (a *slidingAggregation[K, V, A]) slide(r *topology.Record[K, V], closed int64) error {
	n, err := a.look(r.Key, r.Timestamp)
	if err != nil {
		return err
	}
	makeRight, right := false, statestore.WindowEntry[K, A]{}
	if !n.right && len(a.spanning) > 0 {
		// What the right window begins with is read before the record gets into it.
		if makeRight, right, err = a.behind(r, a.spanning[0].Start); err != nil {
			return err
		}
	}
	for i := range a.spanning {
		if err := a.extend(r, &a.spanning[i], closed); err != nil {
			return err
		}
	}
	if n.twin {
		return nil
	}
	if !n.left && n.previous >= r.Timestamp-a.difference && a.tellsOld() {
		// Read before the previous record's right window moves the store's time, which may be past this one.
		if n.old, n.hasOld, err = a.store.Fetch(r.Key, n.before.Start); err != nil {
			return err
		}
	}
	if err := a.follow(r, n.previous, closed); err != nil {
		return err
	}
	if !n.left {
		if err := a.beginLeft(r, &n, closed); err != nil {
			return err
		}
	}
	if makeRight {
		return a.beginRight(r, &right)
	}
	return nil
}

// look gathers the windows around a time, from the latest to the earliest.
func (a *slidingAggregation[K, V, A]) look(key K, t int64) (n neighbours[K, A], err error) {
	n.previous, a.spanning = -1, a.spanning[:0]
	for e, err := range a.store.FetchRangeBackwards(key, max(0, t-2*a.difference), later(t, 2)) {
		if err != nil {
			return n, err
		}
		switch end := later(e.Start, a.difference); {
		case e.Start > t:
			n.right = true
		case end > t:
			a.spanning = append(a.spanning, e)
		case end == t:
			n.left = true
			a.spanning = append(a.spanning, e)
			if n.twin = e.Timestamp >= t; n.twin {
				return n, nil
			}
			n.previous = e.Timestamp
		default:
			n.before, n.previous = e, e.Timestamp
			return n, nil
		}
	}
	return n, nil
}

// early takes a record whose left window would reach back before time 0: it is in the window that begins there instead, with all other early records.
func (a *slidingAggregation[K, V, A]) early(r *topology.Record[K, V], closed int64) error {
	t := r.Timestamp
	a.spanning = a.spanning[:0]
	var first statestore.WindowEntry[K, A]
	var hasFirst, hasRight bool
	for e, err := range a.store.FetchRange(r.Key, 0, later(t, 2)) {
		switch {
		case err != nil:
			return err
		case e.Start == 0:
			first, hasFirst = e, true
		case e.Start > t:
			hasRight = true
		default:
			a.spanning = append(a.spanning, e)
		}
	}
	makeRight, right := false, statestore.WindowEntry[K, A]{}
	if from := int64(0); !hasRight && (hasFirst || len(a.spanning) > 0) {
		if n := len(a.spanning); n > 0 {
			from = a.spanning[n-1].Start
		}
		var err error
		if makeRight, right, err = a.behind(r, from); err != nil {
			return err
		}
	}
	for i := range a.spanning {
		if err := a.extend(r, &a.spanning[i], closed); err != nil {
			return err
		}
	}
	if makeRight {
		if err := a.beginRight(r, &right); err != nil {
			return err
		}
	}
	if hasFirst && first.Timestamp < t {
		if err := a.follow(r, first.Timestamp, closed); err != nil {
			return err
		}
	}
	if hasFirst {
		return a.extend(r, &first, closed)
	}
	return a.open(r, 0, closed)
}

// behind reads the latest window that holds a record's time, and reports whether it has records behind it: the record's right window then holds just these.
func (a *slidingAggregation[K, V, A]) behind(r *topology.Record[K, V], start int64) (some bool, e statestore.WindowEntry[K, A], err error) {
	e.Value, e.Timestamp, _, err = a.store.FetchWithTime(r.Key, start)
	return err == nil && e.Timestamp > r.Timestamp, e, err
}

// isClosed reports whether a window takes no records any more, and counts the one that comes too late for it.
func (a *slidingAggregation[K, V, A]) isClosed(start, closed int64) bool {
	if later(start, a.difference) >= closed {
		return false
	}
	a.drop(topology.DropLate)
	return true
}

// extend adds a record to a window that is there.
func (a *slidingAggregation[K, V, A]) extend(r *topology.Record[K, V], e *statestore.WindowEntry[K, A], closed int64) error {
	if a.isClosed(e.Start, closed) {
		return nil
	}
	return a.add(r, e.Start, e.Value, e.Timestamp)
}

// open adds a record to a window that was empty.
func (a *slidingAggregation[K, V, A]) open(r *topology.Record[K, V], start, closed int64) error {
	if a.isClosed(start, closed) {
		return nil
	}
	return a.begin(r, start)
}

// follow begins the right window of the previous record, if this one is the first there.
func (a *slidingAggregation[K, V, A]) follow(r *topology.Record[K, V], previous, closed int64) error {
	start := previous + 1
	if previous < 0 || later(start, a.difference) < r.Timestamp {
		return nil
	}
	for i := range a.spanning {
		if a.spanning[i].Start == start {
			return nil
		}
	}
	return a.open(r, start, closed)
}

// beginLeft begins the left window of a record, with the records of the window before it when they are all inside.
func (a *slidingAggregation[K, V, A]) beginLeft(r *topology.Record[K, V], n *neighbours[K, A], closed int64) error {
	start := r.Timestamp - a.difference
	if n.previous < start {
		return a.open(r, start, closed)
	}
	if a.isClosed(start, closed) {
		return nil
	}
	c, err := a.combine(r, n.before.Value)
	if err != nil {
		return err
	}
	c.Old, c.HasOld = n.old, n.hasOld
	if c.HasNew {
		a.owe(r.Key, start)
	}
	return a.put(r, start, c, max(n.before.Timestamp, r.Timestamp))
}

// beginRight begins the right window of a record with the records that lie there already. It cannot be closed, or the record would have been late.
func (a *slidingAggregation[K, V, A]) beginRight(r *topology.Record[K, V], e *statestore.WindowEntry[K, A]) error {
	a.owe(r.Key, r.Timestamp+1)
	return a.put(r, r.Timestamp+1, topology.Change[A]{New: e.Value, HasNew: true}, e.Timestamp)
}
