package golden_test

import (
	"fmt"
	"time"

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
	// drops returns what was dropped so far.
	drops() []runtimetest.Drop
	// interrupt is called after each step: time for a crash.
	interrupt() error
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
	}
	panic(fmt.Sprintf("golden: a machine of type %T", m))
}

// driven is a case in the driver.
type driven struct {
	d       *runtimetest.Driver
	restart bool // crash after each step
	lose    bool // and lose the engine too
}

func (m *driven) pipe(topic string, key, value []byte, ts int64, headers []runtimetest.Header) error {
	return m.d.PipeRaw(topic, key, value, ts, headers...)
}

func (m *driven) advance(by time.Duration) error { return m.d.AdvanceWallClock(by) }

func (m *driven) written(topic string) ([]runtimetest.RawRecord, error) {
	return m.d.OutputRaw(topic), nil
}

func (m *driven) drops() []runtimetest.Drop { return m.d.Drops() }

func (m *driven) interrupt() error {
	if !m.restart {
		return nil
	}
	return m.d.Restart(m.lose)
}

// total counts drops.
func total(drops []runtimetest.Drop) (n int) {
	for _, d := range drops {
		n += d.Count
	}
	return n
}
