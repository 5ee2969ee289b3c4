package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// brokerShape is one mix of record size and partitions.
type brokerShape struct {
	valueBytes int
	partitions int32
	records    int64
}

var brokerShapes = []brokerShape{
	{1024, 16, 1_500_000},
	{100, 16, 10_000_000},
	{100, 100, 10_000_000},
}

func (s brokerShape) String() string {
	return fmt.Sprintf("%d B, %d partitions", s.valueBytes, s.partitions)
}

// brokerProduceFetch writes records through franz-go, with a linger that lets batches grow, and reads them back; the figures hold the broker's CPU.
func brokerProduceFetch(ctx context.Context, b *bench) error {
	all, err := b.systems(ctx)
	if err != nil {
		return err
	}
	for _, shape := range brokerShapes {
		shape.records = b.size(shape.records, 20_000)
		topics := map[*system]string{}
		for _, s := range all {
			c := s.cluster(b)
			topics[s] = c.name("produce")
			if err := c.create(ctx, topics[s], shape.partitions); err != nil {
				return err
			}
			defer c.drop(ctx, topics[s])
		}
		err := b.onEach(ctx, "broker-produce, "+shape.String(), "records", func(ctx context.Context, s *system) (measure, error) {
			return brokerProduce(ctx, s.cluster(b), topics[s], shape)
		})
		if err != nil {
			return err
		}
		err = b.onEach(ctx, "broker-fetch, "+shape.String(), "records", func(ctx context.Context, s *system) (measure, error) {
			return consume(ctx, s.cluster(b), topics[s], shape.records)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func brokerProduce(ctx context.Context, c *cluster, topic string, shape brokerShape) (measure, error) {
	cl, err := c.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ProducerLinger(brokerLinger), kgo.ProducerBatchMaxBytes(brokerBatch))
	if err != nil {
		return measure{}, err
	}
	defer cl.Close()
	value := make([]byte, shape.valueBytes)
	for i, from := 0, someValues()[0]; i < len(value); i += len(from) {
		copy(value[i:], from)
	}
	pool := sync.Pool{New: func() any { return new(kgo.Record) }}
	var failed firstError
	back := func(r *kgo.Record, err error) {
		failed.promise(r, err)
		pool.Put(r)
	}
	s := start()
	for range shape.records {
		r := pool.Get().(*kgo.Record)
		*r = kgo.Record{Value: value}
		cl.Produce(ctx, r, back)
	}
	if err := cl.Flush(ctx); err != nil {
		return measure{}, err
	}
	return s.stop(shape.records, shape.records*int64(shape.valueBytes)), failed.get()
}
