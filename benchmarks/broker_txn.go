package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	txnRecords   = 10 // of each transaction
	txnFor       = 4 * time.Second
	txnForShort  = 300 * time.Millisecond
	brokerLinger = 5 * time.Millisecond
	brokerBatch  = 1_000_000
)

// brokerTxn commits small transactions one after another, from one producer and from 16 side by side; flush=always beside flush=os on Millrace.
func brokerTxn(ctx context.Context, b *bench) error {
	for _, producers := range []int{1, 16} {
		workload := fmt.Sprintf("broker-txn, %d producers", producers)
		load := func(ctx context.Context, s *system) (measure, error) {
			return b.transactions(ctx, s.cluster(b), producers)
		}
		if err := b.onEach(ctx, workload, "commits", load); err != nil {
			return err
		}
		durable, err := b.millrace(ctx, "always")
		if err != nil {
			return err
		}
		m, err := b.one(ctx, durable, load)
		if err = errors.Join(err, durable.stop()); err != nil {
			return fmt.Errorf("%s on %s: %w", workload, durable.name, err)
		}
		b.report.add(workload, durable.name, "commits", m)
	}
	return nil
}

func (b *bench) transactions(ctx context.Context, c *cluster, producers int) (measure, error) {
	topic := c.name("txn")
	if err := c.create(ctx, topic, 4); err != nil {
		return measure{}, err
	}
	defer c.drop(ctx, topic)
	clients := make([]*kgo.Client, producers)
	for i := range clients {
		cl, err := c.client(kgo.DefaultProduceTopic(topic), kgo.TransactionalID(fmt.Sprintf("%s-%d", topic, i)), kgo.ProducerBatchCompression(kgo.NoCompression()),
			kgo.ProducerLinger(0))
		if err != nil {
			return measure{}, err
		}
		defer cl.Close()
		if err := oneTransaction(ctx, cl); err != nil { // the first one looks for coordinator and leaders
			return measure{}, err
		}
		clients[i] = cl
	}
	length := txnFor
	if b.short {
		length = txnForShort
	}
	var commits atomic.Int64
	errs := make([]error, producers)
	var all sync.WaitGroup
	s := start()
	for i, cl := range clients {
		all.Go(func() {
			for end := s.begin.Add(length); errs[i] == nil; {
				if errs[i] = oneTransaction(ctx, cl); errs[i] == nil {
					commits.Add(1)
				}
				if !time.Now().Before(end) { // asked behind the first one: on a machine at work a short stretch may be over before it begins
					return
				}
			}
		})
	}
	all.Wait()
	n := commits.Load()
	return s.stop(n, n*txnRecords*valueBytes), errors.Join(errs...)
}

func oneTransaction(ctx context.Context, cl *kgo.Client) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	var failed firstError
	for range txnRecords {
		cl.Produce(ctx, &kgo.Record{Value: someValue[:]}, failed.promise)
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := failed.get(); err != nil {
		return err
	}
	return cl.EndTransaction(ctx, kgo.TryCommit)
}

// someValue is a value that costs the measured stretch nothing.
var someValue [valueBytes]byte
