package golden_test

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
)

// machine is what a case runs on: the driver of tests, or an application at a broker.
type machine interface {
	// pipe writes a record to an input topic and returns when all that comes of it is committed.
	pipe(topic string, key, value []byte, ts int64, headers []runtimetest.Header) error
	// advance moves the wall clock.
	advance(by time.Duration) error
	// written returns what the topology wrote to a topic since the last call.
	written(topic string) ([]runtimetest.RawRecord, error)
	// drops counts what was dropped so far, by operator and reason; ok is false when that is not known.
	drops() (all map[string]int, ok bool)
	// query asks a store what the step of this number asks.
	query(in *interpreter, step int) ([]storeEntry, error)
	// rows lists a store.
	rows(in *interpreter, store string) ([]storeEntry, error)
	// interrupt is called after each step: time for a crash.
	interrupt(step int) error
}

// query asks a store of a machine in this process.
func (in *interpreter) query(m machine, step int) ([]storeEntry, error) {
	s := &in.c.Steps[step]
	r, ok := in.stores[*s.Query]
	if !ok {
		return nil, fmt.Errorf("no store %q", *s.Query)
	}
	return r.query(m, s)
}

// rows lists a store of a machine in this process.
func (in *interpreter) rows(m machine, store string) ([]storeEntry, error) {
	r, ok := in.stores[store]
	if !ok {
		return nil, fmt.Errorf("no store %q", store)
	}
	return r.all(m)
}

// viewable is the handle of a store, with the type of its views.
type viewable[View any] interface {
	statestore.Spec
	View(partitions []statestore.Partition) View
}

// view looks into a store of a machine.
func view[View any](m machine, spec viewable[View]) (View, error) {
	switch m := m.(type) {
	case *driven:
		return runtimetest.Query(m.d, spec), nil
	case *application:
		return runtime.Query(m.app, spec)
	}
	panic(fmt.Sprintf("golden: a machine of type %T", m))
}

// driven is a case in the driver.
type driven struct {
	d     *runtimetest.Driver
	crash bool // after each step
	lose  bool // and the engine is lost too
}

func (m *driven) pipe(topic string, key, value []byte, ts int64, headers []runtimetest.Header) error {
	return m.d.PipeRaw(topic, key, value, ts, headers...)
}

func (m *driven) advance(by time.Duration) error { return m.d.AdvanceWallClock(by) }

func (m *driven) written(topic string) ([]runtimetest.RawRecord, error) {
	return m.d.OutputRaw(topic), nil
}

func (m *driven) drops() (map[string]int, bool) {
	all := map[string]int{}
	for _, d := range m.d.Drops() {
		all[d.Node+" "+d.Reason.String()] += d.Count
	}
	return all, true
}

func (m *driven) query(in *interpreter, step int) ([]storeEntry, error) { return in.query(m, step) }

func (m *driven) rows(in *interpreter, store string) ([]storeEntry, error) { return in.rows(m, store) }

func (m *driven) interrupt(int) error {
	if !m.crash {
		return nil
	}
	return m.d.Restart(m.lose)
}

// total counts drops.
func total(drops map[string]int) (n int) {
	for _, count := range drops {
		n += count
	}
	return n
}
