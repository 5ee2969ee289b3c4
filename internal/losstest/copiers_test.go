package losstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	abortOneIn   = 5  // transactions
	replaceOneIn = 40 // transactions: its client is replaced by another one with the same transactional id
)

// copier copies the inputs of its partition to two topics, in transactions with the offset behind them.
type copier struct {
	load   *load
	name   string
	writer int32
	rng    *rand.Rand
	next   int64 // inputs [0, next) are copied
}

func (c *copier) group() string { return fmt.Sprintf("copier-%d%s", c.writer, c.load.ledger.suffix) }

func (w *load) copies(ctx context.Context, rng *rand.Rand, name string, writer int32) error {
	c := &copier{load: w, name: name, writer: writer, rng: rng}
	for ctx.Err() == nil {
		if err := c.life(ctx); err != nil {
			return err
		}
	}
	return nil
}

// open makes the copier's next client. When it returns, the transaction that the one before left open has ended.
func (c *copier) open(ctx context.Context) (*kgo.Client, error) {
	cl, err := c.load.client(ctx, kgo.TransactionalID(c.group()), kgo.TransactionTimeout(time.Minute))
	if err != nil {
		return nil, err
	}
	for {
		_, _, err := cl.ProducerID(ctx)
		if err == nil {
			return cl, nil
		}
		if !again(ctx, err) {
			cl.Close()
			return nil, fmt.Errorf("initialising the producer: %w", err)
		}
	}
}

// again waits a moment and reports whether a single request is worth another try: the client does not try those again by itself when its server cannot be reached.
func again(ctx context.Context, err error) bool {
	unreachable := new(net.OpError)
	if !kerr.IsRetriable(err) && !errors.As(err, &unreachable) && !errors.Is(err, io.EOF) {
		return false
	}
	timer := time.NewTimer(backoff)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// life is one client's life: it begins where the group's offset is, and ends with a transaction that is left open.
func (c *copier) life(ctx context.Context) error {
	cl, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := c.resume(ctx, cl); err != nil {
		return err
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		count, _ := c.load.input(c.writer, 0)
		if c.next == count {
			continue
		}
		end := min(count, c.next+1+c.rng.Int64N(burst))
		if err := c.fill(ctx, cl, end); err != nil {
			return err
		}
		switch {
		case c.rng.IntN(replaceOneIn) == 0:
			return c.replace(ctx, cl)
		case c.rng.IntN(abortOneIn) == 0:
			if err := cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
				return c.unknown(ctx, "aborting", err)
			}
		default:
			if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
				return c.unknown(ctx, "committing", err)
			}
			_, offset := c.load.input(c.writer, end)
			c.load.ledger.commit(c.group(), laneID{topicIdem, c.writer}, offset)
			c.load.done(c.writer, end)
			c.next = end
			c.load.ledger.stepped(c.name)
		}
	}
}

// unknown ends the life of a client that could not be told what became of its transaction: the next one finds out.
func (c *copier) unknown(ctx context.Context, what string, err error) error {
	if again(ctx, err) {
		return nil
	}
	return fmt.Errorf("%s what follows input %d: %w", what, c.next, err)
}

// resume finds out which inputs are copied: the committed offset is the truth, whatever became of the last transaction.
func (c *copier) resume(ctx context.Context, cl *kgo.Client) error {
	offset, err := c.committed(ctx, cl)
	if err != nil {
		return err
	}
	count, _ := c.load.input(c.writer, 0)
	for next := range count + 1 {
		if _, end := c.load.input(c.writer, next); end == offset {
			c.next = next
			c.load.mu.Lock()
			c.load.copied[c.writer] = next
			c.load.mu.Unlock()
			return nil
		}
	}
	c.load.ledger.fault("T1", "the group %s has offset %d of %v, which is not the end of a transaction", c.group(), offset, laneID{topicIdem, c.writer})
	return errors.New("there is no place to go on from")
}

// committed asks for the group's offset, 0 when there is none, and waits while a transaction may still change it.
func (c *copier) committed(ctx context.Context, cl *kgo.Client) (int64, error) {
	topic := c.load.ledger.name(topicIdem)
	fetched, err := fetchOffsets(ctx, cl, c.group())
	if err != nil {
		return 0, err
	}
	if o, ok := fetched.Lookup(topic, c.writer); ok && o.At >= 0 {
		return o.At, nil
	}
	return 0, nil
}

// fetchOffsets returns a group's offsets once no open transaction can change them any more.
func fetchOffsets(ctx context.Context, cl *kgo.Client, group string) (kadm.OffsetResponses, error) {
	for {
		fetched, err := kadm.NewClient(cl).FetchOffsets(kadm.RequireStable(ctx), group)
		if err == nil {
			err = fetched.Error()
		}
		if err == nil || !again(ctx, err) {
			return fetched, err
		}
	}
}

// fill begins a transaction and writes the inputs up to end to both topics, and the offset behind them.
func (c *copier) fill(ctx context.Context, cl *kgo.Client, end int64) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	l := c.load.ledger
	a, b := laneID{topicCopyA, c.writer}, laneID{topicCopyB, c.writer}
	l.send(a, end)
	l.send(b, end)
	n := end - c.next
	results := cl.ProduceSync(ctx, append(c.load.records(a, c.next, end), c.load.records(b, c.next, end)...)...)
	if err := results.FirstErr(); err != nil {
		return fmt.Errorf("copies of %d to %d: %w", c.next, end, err)
	}
	// kgo may write to a topic that it has just met before it can see it in the transaction, and would not commit; this waits until it can.
	if err := cl.AbortBufferedRecords(ctx); err != nil {
		return err
	}
	for _, r := range results {
		number, err := parse(c.writer, r.Record.Value)
		if err != nil {
			return err
		}
		l.ack(l.lane(r.Record.Topic, c.writer), r.Record.Offset, number)
	}
	if int64(len(results)) != 2*n {
		return fmt.Errorf("%d records were acknowledged, %d sent", len(results), 2*n)
	}
	return c.commitOffset(ctx, cl, end)
}

// commitOffset makes the offset behind the inputs [0, end) part of the transaction.
func (c *copier) commitOffset(ctx context.Context, cl *kgo.Client, end int64) error {
	id, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = c.group(), c.group(), id, epoch
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = c.load.ledger.name(topicIdem)
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition = c.writer
	_, p.Offset = c.load.input(c.writer, end)
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	for {
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
		}
		if err == nil {
			return nil
		}
		if !again(ctx, err) {
			return fmt.Errorf("offset into the transaction: %w", err)
		}
	}
}

// replace leaves a transaction open, brings another client with the same transactional id, and has the one before try to commit (T4).
func (c *copier) replace(ctx context.Context, old *kgo.Client) error {
	cl, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := old.EndTransaction(ctx, kgo.TryCommit); err == nil {
		c.load.ledger.fault("T4", "a client of %s committed after another one had taken over", c.group())
	}
	return nil
}
