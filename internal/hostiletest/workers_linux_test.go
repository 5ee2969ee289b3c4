package hostiletest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	workers     = 10
	trips       = 1000 // of each worker in a phase
	workTimeout = 5 * time.Minute
)

// worker writes a record and reads it back, again and again.
type worker struct {
	cl    *kgo.Client
	topic string
	trips int
}

func newWorkers(t *testing.T, address string) []*worker {
	t.Helper()
	var all []*worker
	for i := range workers {
		topic := fmt.Sprint("work-", i)
		cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ProducerLinger(0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		all = append(all, &worker{cl: cl, topic: topic})
	}
	return all
}

// trip takes a record to the server and back.
func (w *worker) trip(ctx context.Context) (time.Duration, error) {
	w.trips++
	value := fmt.Appendf(nil, "trip %d", w.trips)
	begin := time.Now()
	if err := w.cl.ProduceSync(ctx, kgo.SliceRecord(value)).FirstErr(); err != nil {
		return 0, fmt.Errorf("%s: %w", w.topic, err)
	}
	for {
		fetches := w.cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, fmt.Errorf("%s: %w", w.topic, err)
		}
		for r := range fetches.RecordsAll() {
			if bytes.Equal(r.Value, value) {
				return time.Since(begin), nil
			}
		}
	}
}

// work has all workers make their trips, and returns the 99th percentile of the times that they took.
func work(t *testing.T, all []*worker) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), workTimeout)
	defer cancel()
	var mu sync.Mutex
	var times []time.Duration
	var wg sync.WaitGroup
	for _, w := range all {
		wg.Go(func() {
			for range trips {
				d, err := w.trip(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				times = append(times, d)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	slices.Sort(times)
	return times[len(times)*99/100]
}
