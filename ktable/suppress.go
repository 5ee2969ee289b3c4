package ktable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// BufferLimit bounds what a suppressed table holds back. The zero value is no bound.
type BufferLimit struct {
	MaxRecords int   // keys that wait; 0: any number
	MaxBytes   int64 // what they take, counted as Kafka Streams counts it; 0: any number
	// EmitEarly lets the oldest changes go on when the limit is passed. Without it the task ends with [ErrBufferFull], also where [stream.Faults] skips what fails: the
	// change is in the buffer by then, so that to go on would be to have no limit, which is what Kafka Streams' handlers make of it.
	EmitEarly bool
}

// ErrBufferFull ends a task whose suppressed table holds back more than its limit allows.
var ErrBufferFull = errors.New("the buffer of a suppressed table is full")

// SuppressUntilClose holds back the results of windows until they are closed: each window gives its last result, once, and none when it has none any more. A window
// is closed when no record can enter it: at its end and grace, which come from the aggregation above, by the highest time of the changes; a session at its end, gap
// and grace, although a record of just that time could still enter it, as Kafka Streams does. Results that are due together come in the order of the windows' ends, then of
// their keys' bytes.
//
// Changes wait in the buffer, in memory, which is restored from its changelog. A limit cannot let results of open windows go: EmitEarly is refused.
func SuppressUntilClose[K, V any](t *Table[stream.Windowed[K], V], buffer *statestore.BufferSpec[stream.Windowed[K], V], limit BufferLimit) *Table[stream.Windowed[K], V] {
	op, g := topology.Here("ktable.SuppressUntilClose"), t.graph()
	if limit.EmitEarly {
		g.Fault(op, "EmitEarly would give results of windows that are open")
	}
	return suppressWindows(op, t, suppression{limit: limit}, buffer)
}

// SuppressFor holds back the changes of a table: the first change of a key waits until the highest time of the changes is wait later, and what the key has then goes
// on, once. A change that comes meanwhile replaces it and waits no longer. Changes wait in the buffer, in memory, which is restored from its changelog.
func SuppressFor[K, V any](t *Table[K, V], wait time.Duration, buffer *statestore.BufferSpec[K, V], limit BufferLimit) *Table[K, V] {
	op, g := topology.Here("ktable.SuppressFor"), t.graph()
	if wait < 0 || wait%time.Millisecond != 0 {
		g.Fault(op, "a wait of %v: it must be a whole number of milliseconds, and not negative", wait)
	}
	return suppress(op, t, suppression{limit: limit, waitMs: wait.Milliseconds()}, func(r *rows[K, V]) int64 { return r.Timestamp }, buffer)
}

// EarlyResults holds back the results of windows like [SuppressUntilClose], but lets those of open windows go at every interval of the wall clock: each window that
// has changed since its last result gives its result so far. When it is closed it gives its result once more, if that has changed. Each result replaces the
// window's former one, for what is aggregated or joined below too; a session that has become part of a longer one gives a tombstone if it had given a result.
//
// How many results come, and when, depends on the speed of the records; the last one of each window does not. Intervals begin anew when the task starts. With EmitEarly
// the limit lets the oldest changes go before the interval is over.
func EarlyResults[K, V any](t *Table[stream.Windowed[K], V], interval time.Duration, buffer *statestore.BufferSpec[stream.Windowed[K], V], limit BufferLimit) *Table[stream.Windowed[K], V] {
	op, g := topology.Here("ktable.EarlyResults"), t.graph()
	if interval < time.Millisecond || interval%time.Millisecond != 0 {
		g.Fault(op, "an interval of %v: it must be a whole number of milliseconds, 1 or more", interval)
	}
	return suppressWindows(op, t, suppression{limit: limit, earlyMs: interval.Milliseconds()}, buffer)
}

// suppressWindows holds back the results of windows until they are closed.
func suppressWindows[K, V any](op topology.Op, t *Table[stream.Windowed[K], V], s suppression, buffer *statestore.BufferSpec[stream.Windowed[K], V]) *Table[stream.Windowed[K], V] {
	s.dropNone = true
	if t.closes == nil {
		t.graph().Fault(op, "the table of %s does not come from an aggregation by windows, so that nothing tells when they close", t.node.Op().Site)
	} else {
		s.waitMs = t.closes.afterMs
	}
	return suppress(op, t, s, func(r *rows[stream.Windowed[K], V]) int64 { return r.Key.End }, buffer)
}

// closes says when the windows in a table's keys close. Immutable.
type closes struct {
	// afterMs is how much later than a window's end the time must be.
	afterMs int64
}

// closesOf tells when windows close, nil when they never do. A sliding window takes records at its end, so that it closes a millisecond later.
func closesOf(windows stream.Windows) *closes {
	switch w := windows.(type) {
	case stream.TimeWindows:
		return &closes{afterMs: w.GracePeriod().Milliseconds()}
	case stream.CalendarWindows:
		return &closes{afterMs: w.GracePeriod().Milliseconds()}
	case stream.SlidingWindows:
		return &closes{afterMs: w.GracePeriod().Milliseconds() + 1}
	}
	return nil
}

// sessionCloses tells when sessions close. Kafka Streams gives the result a millisecond before the last record could come, and so do we.
func sessionCloses(w stream.SessionWindows) *closes {
	return &closes{afterMs: (w.Gap() + w.GracePeriod()).Milliseconds()}
}

// latestClose is that of a table made of two.
func latestClose(a, b *closes) *closes {
	if a == nil || b != nil && b.afterMs > a.afterMs {
		return b
	}
	return a
}

// suppression is how a table is held back.
type suppression struct {
	limit    BufferLimit
	waitMs   int64
	earlyMs  int64 // what waits goes on at every such interval of the wall clock too; 0: it does not
	dropNone bool  // no row is no result, unless one was given before
}

// suppress adds a table that holds back the changes of another. timeOf tells from when on a change waits.
func suppress[K, V any](op topology.Op, t *Table[K, V], s suppression, timeOf func(*rows[K, V]) int64, buffer *statestore.BufferSpec[K, V]) *Table[K, V] {
	g := t.graph()
	if s.limit.MaxRecords < 0 || s.limit.MaxBytes < 0 {
		g.Fault(op, "a limit of %d records and %d bytes: it must not be negative", s.limit.MaxRecords, s.limit.MaxBytes)
	}
	if t.asOf != nil {
		g.Fault(op, "the table of %s is versioned: its past may change, which no buffer can hold back", t.node.Op().Site)
	}
	if buffer == nil {
		g.Fault(op, "the buffer is nil")
	} else {
		checkSerdes(g, op, buffer.StoreName(), buffer.KeySerde(), buffer.ValueSerde())
	}
	// What a key had before its first change waits is what the operators below know of it.
	old := &oldValues{asked: t.old.ask()}
	old.never = !old.asked
	n := topology.AddProcessor(g, op, g.NextName("KTABLE-SUPPRESS-"), t.parents(), func(w *topology.Wiring, n *topology.Node, next rowSink[K, V]) rowSink[K, V] {
		name := buffer.StoreName()
		p := &suppressor[K, V]{suppression: s, name: name, buffer: w.Store(name).(statestore.BufferStore[K, V]), timeOf: timeOf,
			observed: w.Observed(name), origin: w.Origin(), ctx: w.Context(), next: next}
		p.leaving = leavingOf[K, V](w, name)
		p.leaving.keys = buffer.KeySerde()
		p.at, p.id = w.At(n)
		w.OnIdle(n, p.pass)
		if s.earlyMs > 0 {
			w.Schedule(n, topology.Punctuation{Clock: topology.WallClock, Every: s.earlyMs, Fire: p.releaseAll})
		}
		return p.process
	})
	out := &Table[K, V]{node: n, old: old, closes: t.closes}
	if buffer == nil {
		return out
	}
	g.AddStore(op, n, buffer)
	if t.lookup != nil {
		g.Connect(n, t.stores...)
		out.stores = append([]string{buffer.StoreName()}, t.stores...)
		out.lookup = suppressedLookup(buffer.StoreName(), t.lookup)
	}
	return out
}

// suppressedLookup reads what the operators below know of a key: the row above, or what it was before a change that waits.
func suppressedLookup[K, V any](buffer string, above func(*topology.Wiring) lookup[K, V]) func(*topology.Wiring) lookup[K, V] {
	return func(w *topology.Wiring) lookup[K, V] {
		b, above, leaving := w.Store(buffer).(statestore.BufferStore[K, V]), above(w), leavingOf[K, V](w, buffer)
		keys := [2][]byte{}
		return func(key K) (V, int64, bool, error) {
			if leaving.some {
				same, err := leaving.is(key, &keys)
				if err != nil || same {
					return leaving.entry.Prior, -1, err == nil && leaving.entry.HasPrior, err
				}
			}
			prior, has, waits, err := b.Prior(key)
			if err != nil || waits {
				return prior, -1, has && err == nil, err
			}
			return above(key)
		}
	}
}

// leaving is the change that is being handed on: until the operators below are done with it, they know of what was before.
type leaving[K, V any] struct {
	keys  serde.Serde[K]
	entry *statestore.BufferEntry[K, V]
	some  bool
}

// leavingOf is what the operators of one task share of a buffer.
func leavingOf[K, V any](w *topology.Wiring, buffer string) *leaving[K, V] {
	return w.Shared(buffer, func() any { return &leaving[K, V]{} }).(*leaving[K, V])
}

// is reports whether a key is that of the change.
func (l *leaving[K, V]) is(key K, scratch *[2][]byte) (same bool, err error) {
	for i, k := range [...]K{key, l.entry.Key} {
		if scratch[i], err = l.keys.Append(scratch[i][:0], k); err != nil {
			return false, err
		}
	}
	return bytes.Equal(scratch[0], scratch[1]), nil
}

// suppressor is a suppressed table at work in one task.
type suppressor[K, V any] struct {
	suppression
	name     string
	buffer   statestore.BufferStore[K, V]
	timeOf   func(*rows[K, V]) int64
	leaving  *leaving[K, V]
	observed *int64 // the highest time that came in; kept with the committed offsets
	from     statestore.RecordContext
	origin   *topology.Origin
	out      rows[K, V]
	next     rowSink[K, V]
	ctx      context.Context
	at       *int32
	id       int32
}

func (s *suppressor[K, V]) process(r *rows[K, V]) error {
	*s.at = s.id
	*s.observed = max(*s.observed, r.Timestamp)
	s.describe(r)
	c := statestore.Buffered[V]{New: r.Value.New, HasNew: r.Value.HasNew, Old: r.Value.Old, HasOld: r.Value.HasOld}
	if err := s.buffer.Put(s.timeOf(r), r.Key, c, &s.from); err != nil {
		return err
	}
	if _, err := s.releaseDue(r.Timestamp); err != nil {
		return err
	}
	for s.full() && s.buffer.Len() > 0 {
		if !s.limit.EmitEarly {
			return fmt.Errorf("ktable: suppression %q: %d records of %d bytes wait, more than the limit of %d records or %d bytes: %w",
				s.name, s.buffer.Len(), s.buffer.Bytes(), s.limit.MaxRecords, s.limit.MaxBytes, ErrBufferFull)
		}
		if err := s.release(r.Timestamp); err != nil {
			return err
		}
	}
	return nil
}

// pass moves the operator's time on in a silence.
func (s *suppressor[K, V]) pass(now int64) (some bool, err error) {
	*s.observed = max(*s.observed, now)
	return s.releaseDue(now)
}

// releaseDue hands on what has waited long enough.
func (s *suppressor[K, V]) releaseDue(now int64) (some bool, err error) {
	for {
		oldest, ok := s.buffer.OldestTime()
		if !ok || oldest > *s.observed-s.waitMs {
			return some, nil
		}
		some = true
		if err := s.release(now); err != nil {
			return some, err
		}
	}
}

func (s *suppressor[K, V]) full() bool {
	return s.limit.MaxRecords > 0 && s.buffer.Len() > s.limit.MaxRecords || s.limit.MaxBytes > 0 && s.buffer.Bytes() > s.limit.MaxBytes
}

// describe fills in where a record came from.
func (s *suppressor[K, V]) describe(r *rows[K, V]) {
	s.from.Timestamp = r.Timestamp
	if m, ok := topology.MetaOf(s.ctx); ok {
		s.from.Topic, s.from.Partition, s.from.Offset = m.Topic, m.Partition, m.Offset
	}
	s.from.Headers = s.from.Headers[:0]
	for _, h := range r.Headers {
		s.from.Headers = append(s.from.Headers, statestore.Header(h))
	}
}

// releaseAll hands on all that waits.
func (s *suppressor[K, V]) releaseAll(int64) error {
	for s.buffer.Len() > 0 {
		if err := s.release(*s.observed); err != nil {
			return err
		}
	}
	return nil
}

// release hands the oldest change on, with its own time and headers. What it was before is what the operators below saw last, not what it was meanwhile.
func (s *suppressor[K, V]) release(now int64) error {
	e, ok, err := s.buffer.Pop(now)
	if err != nil || !ok || s.dropNone && !e.Change.HasNew && (s.earlyMs == 0 || !e.HasPrior) {
		return err
	}
	s.out.Key, s.out.Timestamp = e.Key, e.Context.Timestamp
	s.out.Value = topology.Change[V]{New: e.Change.New, HasNew: e.Change.HasNew, Old: e.Prior, HasOld: e.HasPrior}
	s.out.Headers = nil
	for _, h := range e.Context.Headers {
		s.out.Headers = append(s.out.Headers, topology.Header(h))
	}
	s.leaving.entry, s.leaving.some = &e, true
	was := s.origin.Enter(&e.Context)
	if err = s.next(&s.out); err == nil {
		s.origin.Leave(was)
	}
	s.leaving.entry, s.leaving.some = nil, false
	return err
}
