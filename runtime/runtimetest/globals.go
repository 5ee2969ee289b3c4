package runtimetest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// globalTable is the driver's copy of a global table.
type globalTable struct {
	d         *Driver
	table     *topology.Global
	engine    statestore.Engine
	partition statestore.Partition
	feed      *topology.Feed
	log       *topicLog
	next      []int // by partition of the topic: the offset that the copy is complete up to
	ready     bool  // what comes now is new: before, drops have been counted by whoever met them first
}

// openGlobals opens the copies and reads what their topics have.
func (d *Driver) openGlobals() error {
	for _, table := range d.topo.Globals() {
		g := &globalTable{d: d, table: table, engine: d.engine, log: d.log(table.Topic.Resolve(d.config.App))}
		if table.Spec.IsInMemory() {
			g.engine = d.memory
		}
		d.globals = append(d.globals, g)
		if err := g.open(); err != nil {
			return fmt.Errorf("runtimetest: store %q: %w", table.Spec.StoreName(), err)
		}
	}
	return nil
}

func (g *globalTable) open() (err error) {
	if g.partition, err = g.engine.Partition(g.table.Spec.StoreName(), topology.GlobalPartition); err != nil {
		return err
	}
	if g.feed, err = g.table.NewFeed(g.partition, g, &g.d.config.Faults); err != nil {
		return err
	}
	b, err := g.partition.Checkpoint()
	if err != nil {
		return err
	}
	g.next = make([]int, len(g.log.partitions))
	for i := range g.next {
		if (i+1)*checkpointBytes <= len(b) {
			g.next[i] = int(binary.BigEndian.Uint64(b[i*checkpointBytes:]))
		}
	}
	defer func() { g.ready = true }()
	return g.catchUp()
}

// catchUp takes in what the topic has and the copy has not.
func (g *globalTable) catchUp() (err error) {
	b := g.engine.NewBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	took := false
	for i, records := range g.log.partitions {
		for ; g.next[i] < len(records); g.next[i]++ {
			took = true
			if err := g.feed.Take(b, &records[g.next[i]]); err != nil {
				return err
			}
		}
	}
	if !took {
		return nil
	}
	if err := g.feed.Seal(b); err != nil {
		return err
	}
	var reached []byte
	for _, n := range g.next {
		reached = binary.BigEndian.AppendUint64(reached, uint64(n))
	}
	if err := b.SetCheckpoint(g.partition, reached); err != nil {
		return err
	}
	return b.Commit()
}

// Now and Dropped make a copy the environment of its feed.
func (g *globalTable) Now() int64 { return g.d.now }

// Dropped counts.
func (g *globalTable) Dropped(node string, reason topology.DropReason) {
	if g.ready {
		g.d.countDrop(node, reason)
	}
}

func (d *Driver) closeGlobals() error {
	var errs []error
	for _, g := range d.globals {
		if g.partition != nil {
			errs = append(errs, g.partition.Close())
		}
	}
	d.globals = nil
	return errors.Join(errs...)
}

// globalOf returns the copy of the global table that is fed by a topic, nil when none is.
func (d *Driver) globalOf(l *topicLog) *globalTable {
	for _, g := range d.globals {
		if g.log == l {
			return g
		}
	}
	return nil
}

// Global returns what holds a global table.
func (t *task) Global(store string) ([]statestore.Partition, error) {
	return t.d.partitionsOf(store), nil
}
