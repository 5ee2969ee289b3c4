package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/stream"
)

// appWorks measures each operator with state as an application at the cluster, exactly-once, with stores on disk; counting also as the loop written by hand.
func appWorks(ctx context.Context, b *bench) error {
	for _, w := range streamWorks() {
		name := "app-" + w.name
		if !b.wants(name) {
			continue
		}
		if b.short {
			w = w.limited(shortRecords)
		}
		if err := appWork(ctx, b, name, w); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func appWork(ctx context.Context, b *bench, name string, w streamWork) error {
	in := make([]string, len(w.inputs))
	for i, input := range w.inputs {
		in[i] = b.cluster.name(name)
		if err := input.load(ctx, b.cluster, in[i]); err != nil {
			return err
		}
	}
	defer b.cluster.drop(ctx, in...)
	measures := map[string]measure{}
	type system struct {
		name string
		run  func() (measure, error)
	}
	const framework, loop = "millrace, exactly-once, disk", "by hand, exactly-once, disk"
	systems := []system{{framework, func() (measure, error) {
		return b.profiled(name, func() (measure, error) { return runWork(ctx, b.cluster, w, in) })
	}}}
	if w.name == "count" {
		systems = append(systems, system{loop, func() (measure, error) { return countByHand(ctx, b.cluster, in[0], w.records()) }})
	}
	for i := range systems {
		system := systems[(i+b.round)%len(systems)]
		m, err := system.run()
		if err != nil {
			return fmt.Errorf("%s: %w", system.name, err)
		}
		measures[system.name] = m
		b.report.add(name, system.name, "records", m)
	}
	own := measures[framework].perUnit()
	b.report.addRatio(name+", CPU / its budget of "+w.budget.String(), own/float64(w.budget))
	if w.kafka > 0 {
		b.report.addRatio(name+", CPU of Kafka Streams, quoted, / CPU", float64(w.kafka)/own)
	}
	if byHand, ok := measures[loop]; ok {
		b.report.addRatio(name+", CPU / by hand", own/byHand.perUnit())
	}
	return nil
}

// runWork runs a topology over its whole input and measures from the first records processed to the last commit.
func runWork(ctx context.Context, c *cluster, w streamWork, in []string) (m measure, err error) {
	app, out := c.name("app"), c.name("out")
	if err := c.create(ctx, out, countPartitions, "retention.ms", "-1"); err != nil {
		return m, err
	}
	defer c.dropOwn(ctx, app, out)
	dir, err := os.MkdirTemp("", "millrace-benchmarks-state-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(dir)
	builder := stream.NewBuilder()
	w.build(builder, in, out)
	built, err := builder.Build()
	if err != nil {
		return m, err
	}
	a, err := runtime.New(built, runtime.Config{
		AppID: app, Brokers: c.brokers, Dial: c.dial, CommitInterval: commitInterval, StateDir: dir, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return m, err
	}
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(work) }()
	m, err = watchWork(work, a, w.records(), ended)
	cancel()
	if err != nil {
		return m, err
	}
	return m, errors.Join(<-ended, c.hasRecords(ctx, out))
}

// watchWork measures until n records are processed and committed.
func watchWork(ctx context.Context, a *runtime.App, n int64, ended <-chan error) (m measure, err error) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var s *stretch
	for {
		select {
		case err := <-ended:
			return m, errors.Join(errors.New("the application ended early"), err)
		case <-ctx.Done():
			return m, ctx.Err()
		case <-tick.C:
		}
		p := a.Progress()
		begun, done := false, p.Done() && p.Processed >= n
		for _, task := range p.Tasks {
			for _, in := range task.Inputs {
				begun = begun || in.Position > 0
			}
		}
		if s == nil && begun {
			at := start()
			s = &at
		}
		if !done {
			continue
		}
		if p.Processed != n {
			return m, fmt.Errorf("%d records processed of %d", p.Processed, n)
		}
		return s.stop(n, 0), nil
	}
}

// countByHand counts with the loop of a Go programmer, as [handCount] does the second half of counting words.
func countByHand(ctx context.Context, c *cluster, in string, n int64) (m measure, err error) {
	h := &handCount{cluster: c, in: in, log: c.name("changelog"), out: c.name("counts"), exactly: true, disk: true, interval: commitInterval}
	if err := c.create(ctx, h.out, countPartitions, "retention.ms", "-1"); err != nil {
		return m, err
	}
	if err := c.create(ctx, h.log, countPartitions, "cleanup.policy", "compact"); err != nil {
		return m, err
	}
	defer c.drop(ctx, h.log, h.out)
	count, err := h.counter()
	if err != nil {
		return m, err
	}
	defer count.close()
	var s stretch
	if err := h.loop(ctx, in, n, func() { s = start() }, count.add, count.write); err != nil {
		return m, err
	}
	return s.stop(n, 0), nil
}

// hasRecords makes sure that something was written to a topic.
func (c *cluster) hasRecords(ctx context.Context, topic string) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	total := int64(0)
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	if total == 0 {
		return fmt.Errorf("nothing came out: topic %s is empty", topic)
	}
	return nil
}

// dropOwn deletes an application's internal topics and more; what fails only costs space.
func (c *cluster) dropOwn(ctx context.Context, app string, more ...string) {
	cl, err := c.client()
	if err != nil {
		return
	}
	defer cl.Close()
	topics, err := kadm.NewClient(cl).ListTopics(ctx)
	if err != nil {
		return
	}
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, app+"-") {
			more = append(more, name)
		}
	}
	c.drop(ctx, more...)
}
