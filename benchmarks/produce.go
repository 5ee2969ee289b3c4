package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	valueBytes        = 100
	producePartitions = 16
	produceRecords    = 2_000_000
	produceShort      = 50_000
)

// produceConsume writes records through franz-go and reads them back; one or both may be asked for, reading needs writing.
func produceConsume(ctx context.Context, b *bench) error {
	n := b.size(produceRecords, produceShort)
	topic := b.cluster.name("produce")
	if err := b.cluster.create(ctx, topic, producePartitions, "retention.ms", "-1"); err != nil {
		return err
	}
	defer b.cluster.drop(ctx, topic)
	m, err := produce(ctx, b.cluster, topic, n)
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	if b.wants("produce") {
		b.report.add("produce", b.system, "records", m)
	}
	if !b.wants("consume") {
		return nil
	}
	if m, err = consume(ctx, b.cluster, topic, n); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	b.report.add("consume", b.system, "records", m)
	return nil
}

func produce(ctx context.Context, c *cluster, topic string, n int64) (measure, error) {
	cl, err := c.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return measure{}, err
	}
	defer cl.Close()
	values := someValues()
	pool := sync.Pool{New: func() any { return new(kgo.Record) }}
	var failed firstError
	back := func(r *kgo.Record, err error) {
		failed.promise(r, err)
		pool.Put(r)
	}
	s := start()
	for i := range n {
		r := pool.Get().(*kgo.Record)
		*r = kgo.Record{Value: values[int(i)%len(values)]}
		cl.Produce(ctx, r, back)
	}
	if err := cl.Flush(ctx); err != nil {
		return measure{}, err
	}
	return s.stop(n, n*valueBytes), failed.get()
}

// someValues returns values that differ, as real ones do, without costing the measured stretch anything.
func someValues() [][]byte {
	d := newDraws(1)
	values := make([][]byte, 4096)
	for i := range values {
		for len(values[i]) < valueBytes {
			values[i] = appendPadded(values[i], d.next()%1_000_000, 10)
		}
	}
	return values
}

func consume(ctx context.Context, c *cluster, topic string, n int64) (measure, error) {
	cl, err := c.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(1<<20))
	if err != nil {
		return measure{}, err
	}
	defer cl.Close()
	var got, bytes int64
	s := start()
	for got < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return measure{}, err
		}
		for r := range fetches.RecordsAll() {
			got++
			bytes += int64(len(r.Value))
		}
	}
	m := s.stop(got, bytes)
	if got != n {
		return m, fmt.Errorf("read %d records of %d", got, n)
	}
	return m, nil
}
