package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// Clock is what a punctuation goes by.
type Clock = topology.Clock

const (
	// StreamTime is the highest event time that the task has taken: it stands still while no records arrive.
	StreamTime = topology.StreamTime
	// WallClock is the time of day.
	WallClock = topology.WallClock
)

// DropReason says why a record goes no further.
type DropReason = topology.DropReason

// The reasons that a processor may have.
const (
	DropLate      = topology.DropLate      // it is too late for what the processor keeps
	DropNullKey   = topology.DropNullKey   // the processor needs a key
	DropNullValue = topology.DropNullValue // the processor needs a value
	DropFailed    = topology.DropFailed    // anything else
)

// Header is one header of a record.
type Header = topology.Header

// Record is a record as processors see it. A processor must not change the one that it is given, nor keep the pointer or the headers after it returns; it may keep
// the key and the value.
type Record[K, V any] = topology.Record[K, V]

// With is a record with another value: key, time and headers stay.
func With[K, V, W any](r *Record[K, V], value W) Record[K, W] {
	return Record[K, W]{Key: r.Key, KeyNull: r.KeyNull, Value: value, Timestamp: r.Timestamp, Headers: r.Headers}
}

// Operator is what every kind of processor has at hand in one task. It belongs to the task's goroutine: its methods may be called by the processor's setup, while
// it processes a record, and in a punctuation.
type Operator struct {
	w  *topology.Wiring
	n  *topology.Node
	op topology.Op

	busy   bool  // a record is in process
	broken error // a result that went on and failed: whatever the processor makes of the error, the task must not commit
}

// NewOperator is internal: it is what the processors of other packages have at hand.
func NewOperator(w *topology.Wiring, n *topology.Node, op topology.Op) *Operator {
	return &Operator{w: w, n: n, op: op}
}

// Context is the task's: it ends when the task must, and [MetaOf] reads it.
func (o *Operator) Context() context.Context { return o.w.Context() }

// Meta tells about the record in process and the task. In a punctuation no record is in process, and Topic is empty.
func (o *Operator) Meta() Meta {
	m, _ := topology.MetaOf(o.w.Context())
	return m
}

// StreamTime is the highest event time that the task has taken, in milliseconds since 1970; -1 before any.
func (o *Operator) StreamTime() int64 { return o.Meta().StreamTime }

// Now is the wall clock in milliseconds since 1970.
func (o *Operator) Now() int64 { return o.w.Env().Now() }

// Commit asks for a commit as soon as the record in process is done.
func (o *Operator) Commit() { o.w.Env().RequestCommit() }

// Drop counts a record that goes no further here, beside those that the operators count.
func (o *Operator) Drop(reason DropReason) { o.w.Drop(o.n)(reason) }

// OnClose registers what is done when the task ends here, however it ends.
func (o *Operator) OnClose(f func() error) { o.w.OnClose(f) }

// Every calls f again and again with the clock's time, in milliseconds since 1970: by the wall clock an interval from now first, by stream time as soon as a record has
// given one, and then once in each interval that begins at a multiple of it. Intervals in which nothing could be done are made up for by one call. What f forwards
// has no headers unless f gives it some. cancel ends it. An interval of less than a millisecond is a panic.
//
// A task that starts again does not repeat stream-time calls that are committed; its wall-clock intervals begin anew.
func (o *Operator) Every(clock Clock, interval time.Duration, f func(now int64) error) (cancel func()) {
	return o.schedule(topology.Punctuation{Clock: clock}, interval, f)
}

// EveryFrom is Every whose first call is due at start, and the others at multiples of the interval from there.
func (o *Operator) EveryFrom(start time.Time, clock Clock, interval time.Duration, f func(now int64) error) (cancel func()) {
	return o.schedule(topology.Punctuation{Clock: clock, Start: start.UnixMilli(), HasStart: true}, interval, f)
}

func (o *Operator) schedule(p topology.Punctuation, interval time.Duration, f func(now int64) error) (cancel func()) {
	if interval < time.Millisecond {
		panic(fmt.Sprintf("%s at %s: an interval of %v is less than a millisecond", o.op.Name, o.op.Site, interval))
	}
	p.Every = interval.Milliseconds()
	p.Fire = func(now int64) error {
		o.begin(false)
		return o.outcome(f(now))
	}
	return o.w.Schedule(o.n, p)
}

// begin forgets what a call that panicked has left.
func (o *Operator) begin(busy bool) { o.busy, o.broken = busy, nil }

// outcome is what a call of the processor amounts to: a result that could not go on is not forgotten.
func (o *Operator) outcome(err error) error {
	o.busy = false
	if o.broken != nil {
		return o.broken
	}
	return err
}

// storeOf makes every kind of processor an owner of stores.
func (o *Operator) storeOf(spec statestore.Spec, write bool) statestore.Store {
	return o.w.StoreFor(o.n, spec, write)
}

// globalOf makes every kind of processor a reader of global tables.
func (o *Operator) globalOf(spec statestore.Spec) []statestore.Partition {
	return o.w.Global(o.n, spec)
}

// StoreUser is a processor that was given stores.
type StoreUser interface {
	storeOf(spec statestore.Spec, write bool) statestore.Store
	globalOf(spec statestore.Spec) []statestore.Partition
}

// Store returns the task's part of a store, by its handle. To be called by a processor's setup; a store that the processor was not given, or that belongs to an
// operator, as a table's does, keeps the application from starting.
func Store[S any](p StoreUser, handle interface {
	statestore.Spec
	Of(statestore.Store) S
}) S {
	return handle.Of(p.storeOf(handle, true))
}

// ReadStore returns the reading side of the task's part of a store, by its handle: also of one that belongs to an operator. To be called by a processor's setup.
func ReadStore[S any](p StoreUser, handle interface {
	statestore.Spec
	Reader(statestore.Store) S
}) S {
	return handle.Reader(p.storeOf(handle, false))
}

// ReadGlobal returns a view of a global table, by the handle of its store. To be called by a processor's setup; the table need not be named among the processor's stores.
func ReadGlobal[View any](p StoreUser, handle interface {
	statestore.Spec
	View(partitions []statestore.Partition) View
}) View {
	return handle.View(p.globalOf(handle))
}
