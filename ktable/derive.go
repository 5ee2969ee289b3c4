package ktable

import (
	"context"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// derivation is how the rows of one table follow from those of another, key by key.
type derivation[K, V, W any] struct {
	// row returns the row that follows from one that is there; ok is false when none does.
	row func(ctx context.Context, key K, row V) (w W, ok bool, err error)
	// setup, if set, makes in place of row the function of one task, which is asked about rows that are gone too.
	setup func(w *topology.Wiring, n *topology.Node) transform[K, V, W]
	// quiet leaves out changes from no row to no row where that can be known, that is when old values are sent.
	quiet bool
}

// transform returns the row that follows from one, which may be gone; ok is false when none does.
type transform[K, V, W any] func(key K, row V, found bool) (w W, ok bool, err error)

// derive adds a table that follows from another row by row: kept in a store when one is given, else computed on the fly.
func derive[K, V, W any](op topology.Op, prefix string, t *Table[K, V], d derivation[K, V, W], store []statestore.TableSpec[K, W], uses ...statestore.Spec) *Table[K, W] {
	g := t.graph()
	kept := checkOptional(g, op, store)
	old := &oldValues{}
	if !kept {
		old.above = []*oldValues{t.old}
	}
	if d.quiet {
		// With old values the filter can tell a row that goes from one that never was, and says nothing about the latter.
		old.asked = t.old.ask()
	}
	if t.asOf != nil {
		d.quiet = false // what is no change now may be one of the past
	}
	n := topology.AddProcessor(g, op, g.NextName(prefix), t.parents(), func(w *topology.Wiring, n *topology.Node, next rowSink[K, W]) rowSink[K, V] {
		dv := newDeriver(w, n, d, old)
		if !kept {
			dv.next = next
			return dv.compute
		}
		dv.store = openRows(w, n, store[0], old, next)
		return dv.keep
	})
	for _, spec := range uses {
		g.UseStore(op, n, spec)
	}
	if kept {
		g.AddStore(op, n, store[0])
		out := keptTable(n, store[0], old)
		out.closes = t.closes
		return out
	}
	out := &Table[K, W]{node: n, stores: t.stores, old: old, closes: t.closes, history: t.history}
	if t.asOf != nil {
		out.asOf = func(w *topology.Wiring) asOf[K, W] {
			dv, above := newDeriver(w, n, d, old), t.asOf(w)
			return func(key K, at int64) (none W, timestamp int64, ok bool, err error) {
				v, timestamp, found, err := above(key, at)
				if err != nil {
					return none, 0, false, err
				}
				row, ok, err := dv.row(key, v, found)
				return row, timeOfRow(timestamp, found), ok, err
			}
		}
	}
	if t.lookup == nil {
		return out
	}
	out.lookup = func(w *topology.Wiring) lookup[K, W] {
		dv, above := newDeriver(w, n, d, old), t.lookup(w)
		return func(key K) (none W, timestamp int64, ok bool, err error) {
			v, timestamp, found, err := above(key)
			if err != nil {
				return none, 0, false, err
			}
			row, ok, err := dv.row(key, v, found)
			return row, timeOfRow(timestamp, found), ok, err
		}
	}
	return out
}

// timeOfRow is the time of a row that follows from one of a time, or from none, which has no time whatever was there and did not become a row.
func timeOfRow(timestamp int64, found bool) int64 {
	if !found {
		return noTime
	}
	return timestamp
}

// noTime is earlier than any time.
const noTime = -1

// deriver is a derived table at work in one task.
type deriver[K, V, W any] struct {
	d       derivation[K, V, W]
	made    transform[K, V, W] // where the derivation has a setup
	withOld bool
	out     rows[K, W]
	next    rowSink[K, W]  // without a store
	store   rowStore[K, W] // else
	ctx     context.Context
	fail    func(error) error
	at      *int32
	id      int32
}

func newDeriver[K, V, W any](w *topology.Wiring, n *topology.Node, d derivation[K, V, W], old *oldValues) *deriver[K, V, W] {
	dv := &deriver[K, V, W]{d: d, withOld: old.asked, ctx: w.Context(), fail: w.Failure(n, topology.FaultProcessing)}
	dv.at, dv.id = w.At(n)
	if d.setup != nil {
		dv.made = d.setup(w, n)
	}
	return dv
}

// row derives one row, none from none.
func (dv *deriver[K, V, W]) row(key K, row V, has bool) (none W, ok bool, err error) {
	if !has && dv.made == nil {
		return none, false, nil
	}
	*dv.at = dv.id
	w := none
	if dv.made != nil {
		w, ok, err = dv.made(key, row, has)
	} else {
		w, ok, err = dv.d.row(dv.ctx, key, row)
	}
	if err != nil {
		return none, false, dv.fail(err)
	}
	if !ok {
		return none, false, nil
	}
	return w, true, nil
}

// compute derives a change and passes it on.
func (dv *deriver[K, V, W]) compute(r *rows[K, V]) (err error) {
	c := &dv.out.Value
	if c.New, c.HasNew, err = dv.row(r.Key, r.Value.New, r.Value.HasNew); err != nil {
		return err
	}
	if dv.withOld {
		if c.Old, c.HasOld, err = dv.row(r.Key, r.Value.Old, r.Value.HasOld); err != nil {
			return err
		}
		if dv.d.quiet && !c.HasNew && !c.HasOld {
			return nil
		}
	}
	c.Late = r.Value.Late
	dv.out.Key, dv.out.Timestamp, dv.out.Headers = r.Key, r.Timestamp, r.Headers
	return dv.next(&dv.out)
}

// keep derives the new row and keeps it. What the key had comes from the store.
func (dv *deriver[K, V, W]) keep(r *rows[K, V]) (err error) {
	var c topology.Change[W]
	if c.New, c.HasNew, err = dv.row(r.Key, r.Value.New, r.Value.HasNew); err != nil {
		return err
	}
	quiet := dv.withOld && dv.d.quiet && !c.HasNew
	if quiet || dv.store.readsOld() {
		if c.Old, _, c.HasOld, err = dv.store.get(r.Key); err != nil || quiet && !c.HasOld {
			return err
		}
	}
	return dv.store.keep(r.Key, c, r.Timestamp, r.Timestamp, r.Headers)
}
