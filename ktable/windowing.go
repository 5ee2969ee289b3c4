package ktable

import (
	"context"
	"math"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// windowing is what the windowed aggregations of every kind have in common, at work in one task. Times are in milliseconds.
type windowing[K, V, A any] struct {
	store    statestore.WindowStore[K, A]
	missed   func(start, observed int64) bool // whether a window that is open still but too old to keep counts as dropped
	agg      aggregator[K, V, A]
	forward  *forwarder[stream.Windowed[K], A]
	closing  *closing[K, A] // nil: results are given as they come
	end      func(start int64) int64
	grace    int64
	observed *int64 // the highest time that came in; kept with the committed offsets
	ctx      context.Context
	fail     func(error) error
	drop     func(topology.DropReason)
	at       *int32
	id       int32
}

func newWindowing[K, V, A any](w *topology.Wiring, n *topology.Node, store *statestore.WindowSpec[K, A], observed *int64, windows stream.Windows,
	agg aggregator[K, V, A]) *windowing[K, V, A] {
	a := &windowing[K, V, A]{store: w.Store(store.StoreName()).(statestore.WindowStore[K, A]), missed: misses(store.IsInMemory(), store.Retention()), agg: agg, ctx: w.Context(),
		fail: w.Failure(n, topology.FaultProcessing), drop: w.Drop(n),
		end: windowEnds(windows), grace: windows.GracePeriod().Milliseconds(), observed: observed}
	a.at, a.id = w.At(n)
	w.OnIdle(n, a.pass)
	return a
}

// misses returns the rule of what counts as dropped when a store finds it too old: in memory everything, as in Kafka Streams, and on disk what has no segment.
func misses(inMemory bool, retention time.Duration) func(time, observed int64) bool {
	keep := retention.Milliseconds()
	return func(time, observed int64) bool { return inMemory || topology.BeyondSegments(time, observed, keep) }
}

// windowEnds returns the function that finds the end of a window by its start. A window at the end of time is shorter.
func windowEnds(windows stream.Windows) func(start int64) int64 {
	var size time.Duration
	switch w := windows.(type) {
	case stream.TimeWindows:
		size = w.Size()
	case stream.SlidingWindows:
		size = w.Size()
	case stream.CalendarWindows:
		last, end := int64(-1), int64(0) // of the window that was asked for last: a calendar takes its time
		return func(start int64) int64 {
			if start != last {
				last, end = start, w.End(start)
			}
			return end
		}
	default: // one window without end
		return func(int64) int64 { return math.MaxInt64 }
	}
	sizeMs := size.Milliseconds()
	return func(start int64) int64 { return later(start, sizeMs) }
}

// later is t + d, or the end of time.
func later(t, d int64) int64 {
	if t > math.MaxInt64-d {
		return math.MaxInt64
	}
	return t + d
}

// processor is the function that takes records into windows of the given kind.
func (a *windowing[K, V, A]) processor(windows stream.Windows) topology.Sink[K, V] {
	switch w := windows.(type) {
	case stream.SlidingWindows:
		return (&slidingAggregation[K, V, A]{windowing: a, difference: w.Difference().Milliseconds()}).process
	case stream.UnlimitedWindows:
		start := w.Start().UnixMilli()
		return func(r *topology.Record[K, V]) error { return a.processUnlimited(r, start) }
	case stream.CalendarWindows:
		return (&calendarAggregation[K, V, A]{windowing: a, calendar: w}).process
	case stream.TimeWindows:
		t := &timeAggregation[K, V, A]{windowing: a, size: w.Size().Milliseconds(), advance: w.Advance().Milliseconds()}
		if s, ok := a.store.(windowWarmer[K]); ok && t.size > t.advance {
			t.warm = s.Warm
		}
		return t.process
	}
	panic("ktable: windows of an unknown kind")
}

// take moves the operator's time to a record's and returns the time before which windows are closed. ok is false for a record that no window takes.
func (a *windowing[K, V, A]) take(r *topology.Record[K, V]) (closed int64, ok bool) {
	*a.at = a.id
	if r.KeyNull {
		a.drop(topology.DropNullKey)
		return 0, false
	}
	*a.observed = max(*a.observed, r.Timestamp)
	return *a.observed - a.grace, true
}

// emit gives the results of the windows that are closed now, when that is how they are given.
func (a *windowing[K, V, A]) emit(r *topology.Record[K, V], closed int64) error {
	if a.closing == nil {
		return nil
	}
	return a.closing.emit(closed, *a.observed, r.Headers)
}

// pass moves the operator's time on in a silence.
func (a *windowing[K, V, A]) pass(now int64) (some bool, err error) {
	*a.observed = max(*a.observed, now)
	return a.closing.pass(*a.observed-a.grace, *a.observed)
}

// owe notes a new window whose result is to be given when it is closed.
func (a *windowing[K, V, A]) owe(key K, start int64) {
	if a.closing != nil {
		a.closing.add(key, start, a.end(start))
	}
}

// timeAggregation is an aggregation by tumbling or hopping windows.
type timeAggregation[K, V, A any] struct {
	*windowing[K, V, A]
	size, advance int64
	warm          func(key K, first, last, step int64) // of the store, when windows overlap and it has it
}

// windowWarmer is a window store that can be told what is asked for next.
type windowWarmer[K any] interface {
	Warm(key K, first, last, step int64)
}

func (a *timeAggregation[K, V, A]) process(r *topology.Record[K, V]) error {
	closed, ok := a.take(r)
	if !ok {
		return nil
	}
	if err := a.emit(r, closed); err != nil {
		return err
	}
	// The earliest window that holds the time starts at the first multiple of advance after time - size.
	first := max(0, r.Timestamp-a.size+a.advance) / a.advance * a.advance
	if a.warm != nil {
		a.warm(r.Key, first, r.Timestamp, a.advance)
	}
	for start := first; start <= r.Timestamp; start += a.advance {
		if later(start, a.size) <= closed {
			a.drop(topology.DropLate)
		} else if err := a.update(r, start); err != nil {
			return err
		}
		if start > math.MaxInt64-a.advance {
			break
		}
	}
	return nil
}

// calendarAggregation is an aggregation by the windows of a calendar.
type calendarAggregation[K, V, A any] struct {
	*windowing[K, V, A]
	calendar   stream.CalendarWindows
	start, end int64 // the window of the last record
}

func (a *calendarAggregation[K, V, A]) process(r *topology.Record[K, V]) error {
	closed, ok := a.take(r)
	if !ok {
		return nil
	}
	if err := a.emit(r, closed); err != nil {
		return err
	}
	if r.Timestamp < a.start || r.Timestamp >= a.end {
		a.start, a.end = a.calendar.Span(r.Timestamp)
	}
	if a.end <= closed {
		a.drop(topology.DropLate)
		return nil
	}
	return a.update(r, a.start)
}

// processUnlimited takes a record into the one window that there is; earlier ones are in none.
func (a *windowing[K, V, A]) processUnlimited(r *topology.Record[K, V], start int64) error {
	if _, ok := a.take(r); !ok || r.Timestamp < start {
		return nil
	}
	return a.update(r, start)
}

// update adds a record to a window, which may be new.
func (a *windowing[K, V, A]) update(r *topology.Record[K, V], start int64) error {
	was, time, found, err := a.store.FetchWithTime(r.Key, start)
	if err != nil {
		return err
	}
	if !found {
		return a.begin(r, start)
	}
	return a.add(r, start, was, time)
}

// begin adds a record to a new window.
func (a *windowing[K, V, A]) begin(r *topology.Record[K, V], start int64) error {
	*a.at = a.id
	was, has := a.agg.init()
	c := topology.Change[A]{}
	var err error
	if c.New, c.HasNew, err = a.agg.add(a.ctx, r, was, has); err != nil {
		return a.fail(err)
	}
	if a.tellsOld() {
		c.Old, c.HasOld = a.agg.init() // made again: the function may have changed its argument in place
	}
	if c.HasNew {
		a.owe(r.Key, start)
	}
	return a.put(r, start, c, r.Timestamp)
}

// tellsOld reports whether changes carry what a window had before.
func (a *windowing[K, V, A]) tellsOld() bool { return a.forward.withOld && !a.forward.held }

// add adds a record to the aggregate of a window.
func (a *windowing[K, V, A]) add(r *topology.Record[K, V], start int64, was A, time int64) error {
	c, err := a.combine(r, was)
	if err != nil {
		return err
	}
	// The function may have changed its argument in place: the old value is read again.
	if a.tellsOld() {
		if c.Old, c.HasOld, err = a.store.Fetch(r.Key, start); err != nil {
			return err
		}
	}
	return a.put(r, start, c, max(time, r.Timestamp))
}

// combine makes the aggregate of what was and a record.
func (a *windowing[K, V, A]) combine(r *topology.Record[K, V], was A) (c topology.Change[A], err error) {
	*a.at = a.id
	if c.New, c.HasNew, err = a.agg.add(a.ctx, r, was, true); err != nil {
		err = a.fail(err)
	}
	return c, err
}

// put makes a change's new value that of a window, and hands the change on.
func (a *windowing[K, V, A]) put(r *topology.Record[K, V], start int64, c topology.Change[A], time int64) (err error) {
	stored := true
	if c.HasNew {
		stored, err = a.store.Put(r.Key, start, c.New, time)
	} else {
		stored, err = a.store.Delete(r.Key, start, r.Timestamp)
	}
	if err != nil {
		return err
	}
	if !stored && !a.forward.ignores(c) && a.missed(start, a.store.ObservedTime()) {
		a.drop(topology.DropLate)
	}
	key := stream.Windowed[K]{Key: r.Key, Start: start, End: a.end(start)}
	if !stored {
		return a.forward.unkept(key, c, time, r.Headers)
	}
	return a.forward.forward(key, c, time, r.Headers)
}
