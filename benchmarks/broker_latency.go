package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	latencyFor        = 8 * time.Second
	latencyForShort   = 300 * time.Millisecond
	latencyWarm       = 2 * time.Second
	latencyWarmShort  = 100 * time.Millisecond
	latencyPartitions = 4
)

// brokerLatency measures from the time at which a record was due to be written to the time at which a consumer has it. Records keep their times when the
// system is late, so that a pause counts for all that should have been written in it.
func brokerLatency(ctx context.Context, b *bench) error {
	all, err := b.systems(ctx)
	if err != nil {
		return err
	}
	for _, rate := range []int{1_000, 10_000} {
		var own []time.Duration
		for i, s := range all {
			took, err := b.latency(ctx, s.cluster(b), rate)
			if err != nil {
				return fmt.Errorf("broker-latency on %s: %w", s.name, err)
			}
			for _, p := range []int{50, 99} {
				name := fmt.Sprintf("broker-latency, %d/s, p%d", rate, p)
				b.report.addFact(name+", "+s.name, "us", float64(percentile(took, p).Nanoseconds())/1e3)
				if i > 0 {
					b.report.addRatio(fmt.Sprintf("%s, %s / %s", name, all[0].name, s.name), float64(percentile(own, p))/float64(max(percentile(took, p), 1)))
				}
			}
			if i == 0 {
				own = took
			}
		}
	}
	return nil
}

// percentile of ascending figures.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// latency returns the latencies of all records after the warm-up, ascending.
func (b *bench) latency(ctx context.Context, c *cluster, rate int) ([]time.Duration, error) {
	length, warm := latencyFor, latencyWarm
	if b.short {
		length, warm = latencyForShort, latencyWarmShort
	}
	topic := c.name("latency")
	if err := c.open(ctx, topic, latencyPartitions); err != nil {
		return nil, err
	}
	defer c.drop(ctx, topic)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader, err := c.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	writer, err := c.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	total := int((warm + length).Seconds() * float64(rate))
	if _, err := delays(ctx, reader, latencyPartitions); err != nil { // what open wrote: from now on the reader waits for more
		return nil, err
	}
	written := make(chan error, 1)
	go func() { written <- pacedWrites(ctx, writer, total, rate) }()
	took, err := delays(ctx, reader, total)
	if err != nil {
		cancel()
	}
	if err := errors.Join(err, <-written); err != nil {
		return nil, err
	}
	took = took[int(warm.Seconds()*float64(rate)):] // in order but for what the partitions shuffle
	slices.Sort(took)
	return took, nil
}

// delays reads n records and returns how long each was on the way.
func delays(ctx context.Context, reader *kgo.Client, n int) ([]time.Duration, error) {
	took := make([]time.Duration, 0, n)
	for len(took) < n {
		fetches := reader.PollFetches(ctx)
		now := time.Now().UnixNano()
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for r := range fetches.RecordsAll() {
			took = append(took, time.Duration(now-int64(binary.BigEndian.Uint64(r.Value))))
		}
	}
	return took, nil
}

// pacedWrites writes n records, each at its time.
func pacedWrites(ctx context.Context, cl *kgo.Client, n, rate int) error {
	var failed firstError
	begin := time.Now()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for i := range n {
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			pause.Reset(wait)
			select {
			case <-pause.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		value := make([]byte, valueBytes)
		binary.BigEndian.PutUint64(value, uint64(due.UnixNano()))
		cl.Produce(ctx, &kgo.Record{Value: value}, failed.promise)
	}
	return errors.Join(cl.Flush(ctx), failed.get())
}
