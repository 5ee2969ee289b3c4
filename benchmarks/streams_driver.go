package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/millrace-io/millrace/runtime/runtimetest"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/diskstore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream"
)

const (
	driverRecords = 200_000 // of each input
	driverShort   = 5_000
	driverCommit  = 20_000 // records between two commits
	driverCache   = 64 << 20
)

// driverWorks measures each operator with state in a driver, that is without a log: what a record costs in the task and its stores, commits included. The driver's own
// copies of inputs, outputs and changelogs are part of it; the work "source" has these and nothing else.
func driverWorks(_ context.Context, b *bench) error {
	for _, w := range append([]streamWork{sourceWork()}, streamWorks()...) {
		name := "driver-" + w.name
		if !b.wants(name) {
			continue
		}
		w = w.limited(b.size(driverRecords, driverShort))
		records := w.interleaved()
		for i := range 2 {
			medium := []string{"memory", "disk"}[(i+b.round)%2]
			m, err := b.profiled(name+"-"+medium, func() (measure, error) { return driveWork(b, w, records, medium == "disk") })
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, medium, err)
			}
			b.report.add(name, medium, "records", m)
		}
	}
	return nil
}

// sourceWork reads records and does nothing with them.
func sourceWork() streamWork {
	return streamWork{name: "source", inputs: []inputSpec{drawnInput(driverRecords, streamKeys)}, build: func(b *stream.Builder, in []string, _ string) {
		stream.ForEach(stream.From(b, rawTopic(in[0])), func(_, _ []byte) {})
	}}
}

// driverRecord is a record of one of a work's inputs.
type driverRecord struct {
	input int
	inputRecord
}

// interleaved is the records of all inputs by time; of equal times, those of the first input come first.
func (w streamWork) interleaved() (all []driverRecord) {
	inputs := make([][]driverRecord, len(w.inputs))
	for i, in := range w.inputs {
		for _, r := range in.each {
			inputs[i] = append(inputs[i], driverRecord{i, inputRecord{bytes.Clone(r.key), bytes.Clone(r.value), r.timestamp}})
		}
	}
	for range w.records() {
		next := -1
		for i, rest := range inputs {
			if len(rest) > 0 && (next < 0 || rest[0].timestamp < inputs[next][0].timestamp) {
				next = i
			}
		}
		all, inputs[next] = append(all, inputs[next][0]), inputs[next][1:]
	}
	return all
}

// driveWork takes records through a topology and commits as often as an application would at 200,000 of them a second.
func driveWork(b *bench, w streamWork, records []driverRecord, disk bool) (m measure, err error) {
	in := []string{"in-0", "in-1"}[:len(w.inputs)]
	builder := stream.NewBuilder()
	w.build(builder, in, "out")
	topo, err := builder.Build()
	if err != nil {
		return m, err
	}
	open := func() (statestore.Engine, error) { return memstore.New(), nil }
	if disk {
		dir, err := os.MkdirTemp("", "millrace-benchmarks-state-")
		if err != nil {
			return m, err
		}
		defer os.RemoveAll(dir)
		open = func() (statestore.Engine, error) {
			return diskstore.Open(filepath.Join(dir, "state"), diskstore.Options{})
		}
	}
	d, err := runtimetest.New(topo, runtimetest.Config{CommitEvery: commitInterval, WriteBack: true, CacheBytes: driverCache, Open: open})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	s := start().countingAllocs()
	for i := range records {
		r := &records[i]
		if err := d.PipeRaw(in[r.input], r.key, r.value, r.timestamp); err != nil {
			return m, err
		}
		if i%driverCommit == driverCommit-1 {
			if err := d.AdvanceWallClock(commitInterval); err != nil {
				return m, err
			}
		}
	}
	if err := d.Commit(); err != nil {
		return m, err
	}
	m = s.stop(int64(len(records)), 0)
	if len(d.OutputRaw("out")) == 0 && w.name != sourceWork().name {
		return m, errors.New("nothing came out")
	}
	return m, nil
}
