package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/examples/internal/place"
)

// A loader writes the lines of an input into a topic, each exactly once, however often it is killed. It writes batches of lines, and with each batch, in the same
// transaction, a record into a small topic beside it that says how many lines are there. Who loads next reads that record and goes on behind it.
//
// Only one loader can be at work: they share a transactional id, so that a new one fences the one before. The fenced one watches the other's progress, and takes over
// again when there is none any more.
type loader struct {
	cluster  *place.Cluster
	topic    string
	topicID  string // progress in a topic of this name that was deleted since does not count
	inputID  string
	limit    int // bytes of a line
	tally    *tally
	notice   func(string)
	client   *kgo.Client
	progress progress // as last read or committed
}

// progress is the value of the progress record.
type progress struct {
	TopicID string `json:"topic_id"`
	Input   string `json:"input"`
	Lines   int64  `json:"lines"`
	Done    bool   `json:"done"`
}

const (
	// batchLines is how many lines one transaction of the loader holds: enough to make its commit cheap, few enough to let the counting begin soon.
	batchLines = 16_384
	// takeOverAfter is how long a fenced loader waits for progress of the one that fenced it.
	takeOverAfter = 5 * time.Second
	// loaderTries is how often a batch is tried before the loader gives up; each try has the client's own retries, up to deliveryTimeout, inside.
	loaderTries = 5
	// deliveryTimeout is how long a cluster may be away while lines are loaded.
	deliveryTimeout = 60 * time.Second
)

func (l *loader) progressTopic() string   { return l.topic + "-loaded" }
func (l *loader) transactionalID() string { return l.topic + "-loader" }

// run loads the input, counting each line into the tally as well, those loaded earlier too. It returns when all lines are there.
func (l *loader) run(ctx context.Context, in *input) error {
	if err := l.open(ctx); err != nil {
		return err
	}
	defer func() { l.client.Close() }()
	if p := l.progress; p.Input != "" && p.Input != l.inputID {
		return fmt.Errorf("the topic %s was loaded with another input (another list of files, or their sizes changed): name the same files again, "+
			"or start afresh with another --data directory, or delete the topics %s, %s and %s", l.topic, l.topic, l.progressTopic(), wordCounts.Name())
	}
	batch := make([]string, 0, batchLines)
	var base int64 // number of the batch's first line
	flush := func(done bool) error {
		if err := l.store(ctx, base, batch, done); err != nil {
			return err
		}
		base += int64(len(batch))
		batch = batch[:0]
		return nil
	}
	err := in.eachLine(ctx, l.limit, func(line string) error {
		l.tally.add(line)
		if batch = append(batch, line); len(batch) < batchLines {
			return nil
		}
		return flush(false)
	})
	if err != nil {
		return errors.Join(err, l.keep(ctx, flush, len(batch) > 0))
	}
	l.tally.done.Store(true)
	return flush(true)
}

// keep loads what was read before the input failed, so that a fault in the text loses nothing that came before it.
func (l *loader) keep(ctx context.Context, flush func(bool) error, any bool) error {
	if ctx.Err() != nil || !any {
		return nil
	}
	return flush(false)
}

// store brings lines [base, base+len(lines)) into the topic unless they are there already.
func (l *loader) store(ctx context.Context, base int64, lines []string, done bool) error {
	for try := 1; ; try++ {
		end := base + int64(len(lines))
		if l.progress.Done || (l.progress.Lines >= end && !done) {
			return nil
		}
		todo := lines[min(max(l.progress.Lines-base, 0), int64(len(lines))):]
		next := progress{TopicID: l.topicID, Input: l.inputID, Lines: end, Done: done}
		err := l.commit(ctx, todo, next)
		switch {
		case err == nil:
			l.progress = next
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge):
			return fmt.Errorf("a line between %d and %d is larger than topic %s accepts: break the line, or raise the topic's max.message.bytes: %w", base+1, end, l.topic, err)
		case fenced(err):
			if err := l.watch(ctx); err != nil {
				return err
			}
			try = 0
		case try == loaderTries:
			return fmt.Errorf("load lines %d to %d into topic %s, tried %d times: %w", base+1, end, l.topic, try, err)
		}
		// Whether the transaction was committed, the progress record tells.
		l.client.Close()
		if err := l.open(ctx); err != nil {
			return err
		}
	}
}

func fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

// open makes this loader the one at work and reads how far its predecessors came. Taking the transactional id ends their open transaction, so what is read is final.
func (l *loader) open(ctx context.Context) error {
	var err error
	l.client, err = l.cluster.Client(
		kgo.TransactionalID(l.transactionalID()),
		kgo.TransactionTimeout(deliveryTimeout),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		kgo.ProducerBatchMaxBytes(int32(l.limit+place.RecordOverhead)),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(batchLines+1),
	)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	if _, _, err = l.client.ProducerID(ctx); err == nil {
		l.progress, err = l.readProgress(ctx)
	}
	if err != nil {
		l.client.Close()
		return fmt.Errorf("begin to load topic %s: %w", l.topic, err)
	}
	return nil
}

// commit writes lines and the progress behind them in one transaction.
func (l *loader) commit(ctx context.Context, lines []string, next progress) error {
	if err := l.client.BeginTransaction(); err != nil {
		return err
	}
	var first struct {
		sync.Mutex
		err error
	}
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			first.Lock()
			defer first.Unlock()
			if first.err == nil {
				first.err = err
			}
		}
	}
	for _, line := range lines {
		l.client.Produce(ctx, &kgo.Record{Topic: l.topic, Value: []byte(line)}, promise)
	}
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	l.client.Produce(ctx, &kgo.Record{Topic: l.progressTopic(), Key: []byte(l.topic), Value: value}, promise)
	err = l.client.Flush(ctx)
	first.Lock()
	err = cmp.Or(first.err, err)
	first.Unlock()
	if err != nil {
		// Leave nothing open; what fails here is ended by the next open.
		abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		return errors.Join(err, l.client.AbortBufferedRecords(abort), l.client.EndTransaction(abort, kgo.TryAbort))
	}
	// Nothing is buffered any more. To abort that waits until kgo has stored the partitions of a topic that it has just met: before that, v1.22.2 would not
	// find them in the transaction, and abort it.
	if err := l.client.AbortBufferedRecords(ctx); err != nil {
		return err
	}
	return l.client.EndTransaction(ctx, kgo.TryCommit)
}

// abortTimeout keeps Ctrl-C quick when the broker is gone.
const abortTimeout = 500 * time.Millisecond

// watch returns when the loader that fenced this one has made no progress for a while, or is done.
func (l *loader) watch(ctx context.Context) error {
	l.notice("another instance loads the text now; this one goes on counting")
	tick := time.NewTicker(takeOverAfter / 10)
	defer tick.Stop()
	seen, since := l.progress, time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		p, err := l.readProgress(ctx)
		if err == nil && p.Done {
			return nil
		}
		if err == nil && p != seen {
			seen, since = p, time.Now()
		}
		if time.Since(since) > takeOverAfter {
			return nil
		}
	}
}

// readProgress returns the last committed progress record, the zero value when there is none for this topic.
func (l *loader) readProgress(ctx context.Context) (p progress, err error) {
	err = place.ReadTopic(ctx, l.cluster, l.progressTopic(), func(r *kgo.Record) error {
		p = progress{}
		return json.Unmarshal(r.Value, &p)
	})
	if err == nil && p.TopicID != l.topicID {
		p = progress{}
	}
	return p, err
}
