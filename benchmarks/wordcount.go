package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

const (
	countLines      = 1_000_000
	countShort      = 10_000
	countPartitions = 4
	commitInterval  = 100 * time.Millisecond
)

// wordCount measures the framework with both guarantees and the loop written by hand, in turns, on one input.
func wordCount(ctx context.Context, b *bench) error {
	lines := b.size(countLines, countShort)
	in := b.cluster.name("lines")
	if err := b.cluster.create(ctx, in, countPartitions, "retention.ms", "-1"); err != nil {
		return err
	}
	defer b.cluster.drop(ctx, in)
	if _, err := loadLines(ctx, b.cluster, in, lines); err != nil {
		return err
	}
	rates, costs := map[string]float64{}, map[string]float64{}
	type system struct {
		name string
		run  func() (measure, error)
	}
	systems := []system{
		{"millrace, exactly-once", func() (measure, error) { return appCount(ctx, b.cluster, in, lines, runtime.ExactlyOnce) }},
		{"millrace, at-least-once", func() (measure, error) { return appCount(ctx, b.cluster, in, lines, runtime.AtLeastOnce) }},
		{"by hand, exactly-once, memory", func() (measure, error) { return byHand(ctx, b.cluster, in, lines, true, false) }},
		{"by hand, exactly-once, disk", func() (measure, error) { return byHand(ctx, b.cluster, in, lines, true, true) }},
		{"by hand, at-least-once, disk", func() (measure, error) { return byHand(ctx, b.cluster, in, lines, false, true) }},
	}
	// Each round begins with another system, so that none is always the first or the last.
	for i := range systems {
		system := systems[(i+b.round)%len(systems)]
		m, err := system.run()
		if err != nil {
			return fmt.Errorf("wordcount, %s: %w", system.name, err)
		}
		rates[system.name], costs[system.name] = m.rate(), m.perUnit()
		b.report.add("wordcount", system.name, "words", m)
	}
	// Rates suffer from whatever else the machine does, processor time hardly: both are compared.
	const exactly = "millrace, exactly-once"
	for _, other := range []struct{ name, short string }{
		{"millrace, at-least-once", "at-least-once"},
		{"by hand, exactly-once, memory", "by hand, memory"},
		{"by hand, exactly-once, disk", "by hand, disk"},
	} {
		b.report.addRatio("words/s, exactly-once / "+other.short, rates[exactly]/rates[other.name])
		b.report.addRatio("words per CPU second, exactly-once / "+other.short, costs[other.name]/costs[exactly])
	}
	return nil
}

// nothing is the value of a word on its way: the key says it all.
var nothing = []byte{}

func countTopology(in, out string) (*stream.Topology, error) {
	b := stream.NewBuilder()
	lines := stream.From(b, stream.NewTopic(in, serde.Bytes, serde.String))
	words := stream.FlatMap(lines, func(_ []byte, line string) iter.Seq2[string, []byte] {
		return func(yield func(string, []byte) bool) {
			for word := range strings.SplitSeq(line, " ") {
				if !yield(word, nothing) {
					return
				}
			}
		}
	})
	grouped := stream.GroupByKey(words, stream.NewTopic("words", serde.String, serde.Bytes))
	counts := ktable.Count(grouped, statestore.KeyValue("counts", serde.String, serde.Int64))
	stream.To(ktable.ToStream(counts), stream.NewTopic(out, serde.String, serde.Int64))
	return b.Build()
}

// appCount runs the topology over the whole input, with its stores on disk, and measures from the first records processed to the last ones committed.
func appCount(ctx context.Context, c *cluster, in string, lines int64, guarantee runtime.Guarantee) (measure, error) {
	app, out := c.name("app"), c.name("counts")
	if err := c.create(ctx, out, countPartitions, "retention.ms", "-1"); err != nil {
		return measure{}, err
	}
	defer c.drop(ctx, out, app+"-words-repartition", app+"-counts-changelog")
	dir, err := os.MkdirTemp("", "millrace-benchmarks-state-")
	if err != nil {
		return measure{}, err
	}
	defer os.RemoveAll(dir)
	built, err := countTopology(in, out)
	if err != nil {
		return measure{}, err
	}
	a, err := runtime.New(built, runtime.Config{
		AppID: app, Brokers: c.brokers, Dial: c.dial, Guarantee: guarantee, CommitInterval: commitInterval, StateDir: dir,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return measure{}, err
	}
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(work) }()
	m, err := watch(work, c, a, app, lines, ended)
	cancel()
	if err == nil {
		err = <-ended
	}
	return m, err
}

// watchInterval bounds how late the end of the work is seen.
const watchInterval = 2 * time.Millisecond

// watch measures from the first word counted to the commit of the last.
func watch(ctx context.Context, c *cluster, a *runtime.App, app string, lines int64, ended <-chan error) (m measure, err error) {
	words := lines * wordsPerLine
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
		split, counted, committed := int64(0), int64(0), a.Progress().Done()
		for _, task := range a.Progress().Tasks {
			if task.ID.Subtopology == 0 {
				split += task.Processed
			} else {
				counted += task.Processed
			}
		}
		if s == nil && split+counted > 0 {
			begin := start()
			s = &begin
		}
		if committed && counted >= words {
			return s.stop(words, 0), checkCount(ctx, c, app, counted, words)
		}
	}
}

// checkCount makes sure that every word was counted, by the offsets that the application has committed.
func checkCount(ctx context.Context, c *cluster, app string, counted, words int64) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	topic := app + "-words-repartition"
	committed, err := kadm.NewClient(cl).FetchOffsetsForTopics(ctx, app, topic)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, o := range committed[topic] {
		total += max(o.At, 0)
	}
	if total < words || counted != words {
		return fmt.Errorf("%d words processed, offsets up to %d committed, want %d", counted, total, words)
	}
	return nil
}

func byHand(ctx context.Context, c *cluster, in string, lines int64, exactly, disk bool) (measure, error) {
	h := &handCount{cluster: c, in: in, mid: c.name("words"), log: c.name("changelog"), out: c.name("counts"), exactly: exactly, disk: disk, interval: commitInterval}
	for _, topic := range []string{h.mid, h.out} {
		if err := c.create(ctx, topic, countPartitions, "retention.ms", "-1"); err != nil {
			return measure{}, err
		}
	}
	if err := c.create(ctx, h.log, countPartitions, "cleanup.policy", "compact"); err != nil {
		return measure{}, err
	}
	defer c.drop(ctx, h.mid, h.log, h.out)
	return h.run(ctx, lines)
}
