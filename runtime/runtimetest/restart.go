package runtimetest

import (
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore/memstore"
)

// Restart crashes the application and starts it again: what was not committed is undone and processed anew. With lose, the engine is lost too and the stores
// come back from their changelogs alone; stores that are kept in memory always do. What is processed again happens before Restart returns.
func (d *Driver) Restart(lose bool) error {
	if d.closed {
		return d.failed
	}
	committed := map[topology.TaskID]position{}
	for _, t := range d.tasks {
		committed[t.id] = t.saved
		for _, s := range t.task.Stores() {
			s.Discard()
		}
	}
	d.pending, d.commitNow, d.failed = nil, false, nil
	for _, l := range d.logs {
		l.readers = nil
	}
	err := errors.Join(d.closeTasks(), d.memory.Close())
	d.memory = memstore.New()
	if err == nil && lose {
		if err = d.engine.Close(); err == nil {
			d.engine, err = d.config.Open()
		}
	}
	if err == nil {
		err = d.start(committed)
	}
	if err != nil {
		return d.fail(fmt.Errorf("runtimetest: restart: %w", err))
	}
	return d.run()
}
