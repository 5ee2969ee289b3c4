package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// FetchConfig configures a Fetcher; the zero value reads everything, committed or not.
type FetchConfig struct {
	// ReadCommitted hides records of transactions that were aborted or are still open.
	ReadCommitted bool
	// MaxWait is how long a broker holds a fetch that finds nothing; 100 ms if zero. It is also what a partition that is added meanwhile waits at most.
	MaxWait time.Duration
	// MaxBytes bounds one answer, 16 MiB if zero.
	MaxBytes int
	// PartitionBytes bounds a partition's part of an answer, and is what may wait for the consumer before the partition is left out: 1 MiB if zero.
	PartitionBytes int
	// Logger takes retries. Nil is silent.
	Logger *slog.Logger
}

const (
	defaultFetchWait      = 100 * time.Millisecond
	defaultFetchBytes     = 16 << 20
	defaultPartitionBytes = 1 << 20
	// fullPause is how long a broker that had nothing for the hungry partitions is left alone while others are full: a long poll for the hungry ones would keep
	// the others from being refilled.
	fullPause = 5 * time.Millisecond
	// goneAfter is for how long a topic may be unknown before it counts as deleted: metadata of a new topic takes a moment to spread.
	goneAfter = 10 * time.Second
)

// Fetcher reads partitions ahead of their consumer. Each partition has a Cursor, through which the consumer takes its records; one goroutine may use a Fetcher and its
// cursors at a time.
type Fetcher struct {
	cl     *kgo.Client
	topics *Topics
	cfg    FetchConfig
	ready  chan struct{}

	ctx    context.Context // ends with Close; the requests run under it
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	cond    *sync.Cond
	cursors []*Cursor          // guarded by mu
	brokers map[int32]struct{} // brokers that have a goroutine; guarded by mu
	turn    int                // rotates the order of the partitions; guarded by mu
	refresh map[string]time.Time
	asking  bool // a refresh of leaders runs; guarded by mu
	closed  bool // guarded by mu
}

// NewFetcher returns a fetcher without partitions.
func NewFetcher(cl *kgo.Client, topics *Topics, cfg FetchConfig) *Fetcher {
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = defaultFetchWait
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultFetchBytes
	}
	if cfg.PartitionBytes <= 0 {
		cfg.PartitionBytes = defaultPartitionBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &Fetcher{
		cl: cl, topics: topics, cfg: cfg, ready: make(chan struct{}, 1), ctx: ctx, cancel: cancel,
		brokers: make(map[int32]struct{}), refresh: make(map[string]time.Time),
	}
	f.cond = sync.NewCond(&f.mu)
	return f
}

// Ready receives after something changed for the consumer: records, an error, or the first news of a partition's end. One receive may stand for many changes.
func (f *Fetcher) Ready() <-chan struct{} { return f.ready }

// Add begins to fetch a partition at an offset.
func (f *Fetcher) Add(tp TopicPartition, from int64) *Cursor {
	c := &Cursor{f: f, tp: tp, position: from, next: from, epoch: -1, leader: -1, lastStable: -1, highWatermark: -1}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cursors = append(f.cursors, c)
	f.askLeader(tp.Topic)
	return c
}

// Remove ends the fetching of a partition. Records that its cursor handed out stay valid until they would otherwise.
func (f *Fetcher) Remove(c *Cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.cursors, c); i >= 0 {
		f.cursors = slices.Delete(f.cursors, i, i+1)
	}
	c.removed = true
	c.chunks = nil
}

// Close ends all fetching and waits for the fetcher's goroutines. Idempotent.
func (f *Fetcher) Close() {
	f.mu.Lock()
	f.closed = true
	f.cond.Broadcast()
	f.mu.Unlock()
	f.cancel()
	f.wg.Wait()
}

func (f *Fetcher) signal() {
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

func (f *Fetcher) wake() {
	f.mu.Lock()
	f.cond.Broadcast()
	f.mu.Unlock()
}

// fetchLoop asks one broker for whatever its partitions may have next.
func (f *Fetcher) fetchLoop(broker int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rest time.Time // leave the broker alone until then
	for !f.closed {
		round, full := f.collect(broker)
		if len(round) == 0 || rest.After(time.Now()) {
			f.cond.Wait()
			continue
		}
		f.mu.Unlock()
		asked := time.Now()
		resp, err := f.exchange(broker, round, full)
		f.mu.Lock()
		if f.closed {
			return
		}
		got := f.settle(round, asked, resp, err)
		rest = time.Time{}
		if full && !got {
			rest = time.Now().Add(fullPause)
			time.AfterFunc(fullPause, f.wake)
		}
	}
}

// ask is one partition in a fetch: its cursor and the offset asked for.
type ask struct {
	c    *Cursor
	from int64
}

// collect returns the partitions to fetch from a broker, and whether others were left out because their consumer has enough. Called with mu held.
func (f *Fetcher) collect(broker int32) (round []ask, full bool) {
	now := time.Now()
	n := len(f.cursors)
	for i := range n {
		c := f.cursors[(i+f.turn)%n]
		switch {
		case c.leader != broker || c.err != nil || c.retryAt.After(now):
		case c.buffered >= f.cfg.PartitionBytes:
			full = true
		default:
			round = append(round, ask{c, c.next})
		}
	}
	f.turn++
	return round, full
}

// exchange sends one Fetch request. Called without mu.
func (f *Fetcher) exchange(broker int32, round []ask, full bool) (*kmsg.FetchResponse, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes = 1, int32(f.cfg.MaxBytes)
	if !full {
		req.MaxWaitMillis = int32(f.cfg.MaxWait.Milliseconds())
	}
	if f.cfg.ReadCommitted {
		req.IsolationLevel = 1
	}
	for _, a := range round {
		i := slices.IndexFunc(req.Topics, func(t kmsg.FetchRequestTopic) bool { return t.Topic == a.c.tp.Topic })
		if i < 0 {
			i = len(req.Topics)
			rt := kmsg.NewFetchRequestTopic()
			rt.Topic, rt.TopicID = a.c.tp.Topic, a.c.id
			req.Topics = append(req.Topics, rt)
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = a.c.tp.Partition, a.from, int32(f.cfg.PartitionBytes)
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	kresp, err := f.cl.Broker(int(broker)).Request(f.ctx, req)
	if err != nil {
		return nil, err
	}
	resp, ok := kresp.(*kmsg.FetchResponse)
	if !ok {
		return nil, fmt.Errorf("client: broker %d answered a Fetch request with %T", broker, kresp)
	}
	return resp, kerr.ErrorForCode(resp.ErrorCode)
}

// settle hands an answer's records to their cursors. Called with mu held.
func (f *Fetcher) settle(round []ask, asked time.Time, resp *kmsg.FetchResponse, err error) (got bool) {
	if err != nil {
		for _, a := range round {
			f.retryLater(a.c, err)
		}
		return false
	}
	answered := make([]bool, len(round))
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		for j := range rt.Partitions {
			rp := &rt.Partitions[j]
			k := slices.IndexFunc(round, func(a ask) bool {
				return a.c.tp.Partition == rp.Partition && (a.c.tp.Topic == rt.Topic || rt.Topic == "" && a.c.id == rt.TopicID)
			})
			if k < 0 {
				continue
			}
			answered[k] = true
			if round[k].c.removed {
				continue
			}
			if f.accept(round[k].c, asked, rp) {
				got = true
			}
		}
	}
	for k, a := range round {
		if !answered[k] && !a.c.removed {
			f.retryLater(a.c, errLeftOut)
		}
	}
	return got
}

// accept takes one partition's answer. Called with mu held.
func (f *Fetcher) accept(c *Cursor, asked time.Time, rp *kmsg.FetchResponseTopicPartition) (got bool) {
	switch err := kerr.ErrorForCode(rp.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.OffsetOutOfRange):
		f.failCursor(c, wrap(ErrOffsetOutOfRange, fmt.Errorf("topic %s, partition %d, offset %d (log start %d, end %d)", c.tp.Topic, c.tp.Partition, c.next, rp.LogStartOffset, rp.HighWatermark)))
		return false
	case retriable(err):
		f.retryLater(c, err)
		return false
	default:
		f.failCursor(c, fmt.Errorf("client: fetching topic %s, partition %d: %w", c.tp.Topic, c.tp.Partition, err))
		return false
	}
	c.attempts = 0
	first := c.highWatermark < 0
	c.highWatermark, c.lastStable, c.asked = rp.HighWatermark, rp.LastStableOffset, asked
	if c.lastStable < 0 || !f.cfg.ReadCommitted {
		c.lastStable = c.highWatermark
	}
	batches, next, err := check(rp.RecordBatches, c.next)
	if err != nil {
		f.failCursor(c, fmt.Errorf("client: topic %s, partition %d: %w", c.tp.Topic, c.tp.Partition, err))
		return false
	}
	if len(batches) > 0 {
		c.chunks = append(c.chunks, chunk{batches, abortedOf(rp)})
		c.buffered += len(batches)
		c.next = next
		got = true
	}
	if got || first {
		f.signal()
	}
	return got
}

// check verifies the whole batches that an answer begins with, and returns them with the offset after the last. A batch that the answer cuts off is left out.
func check(buf []byte, next int64) (whole []byte, after int64, err error) {
	rest := buf
	for len(rest) > 0 {
		b, tail, err := record.Next(rest)
		if errors.Is(err, record.ErrShort) {
			break
		}
		if err == nil {
			err = b.Check()
		}
		if err != nil {
			return nil, 0, fmt.Errorf("batch at offset %d or after: %w", next, err)
		}
		next = max(next, int64(b.NextOffset()))
		rest = tail
	}
	return buf[:len(buf)-len(rest)], next, nil
}

func (f *Fetcher) failCursor(c *Cursor, err error) {
	c.err = err
	f.signal()
}

// retryLater leaves a partition alone for a while and asks who leads it. Called with mu held.
func (f *Fetcher) retryLater(c *Cursor, cause error) {
	c.attempts++
	d := backoff(c.attempts)
	c.retryAt = time.Now().Add(d)
	f.cfg.Logger.Debug("fetch retried", "topic", c.tp.Topic, "partition", c.tp.Partition, "offset", c.next, "attempt", c.attempts, "error", cause)
	time.AfterFunc(d, f.wake)
	f.askLeader(c.tp.Topic)
}

// askLeader finds out in the background who leads the partitions of a topic. Called with mu held.
func (f *Fetcher) askLeader(topic string) {
	if _, ok := f.refresh[topic]; !ok {
		f.refresh[topic] = time.Now()
	}
	if !f.asking && !f.closed {
		f.asking = true
		f.wg.Go(f.leaderLoop)
	}
}

// leaderLoop asks until every topic in refresh has an answer.
func (f *Fetcher) leaderLoop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.asking = false }()
	for attempt := 0; len(f.refresh) > 0 && !f.closed; attempt++ {
		var names []string
		for name := range f.refresh {
			names = append(names, name)
		}
		f.mu.Unlock()
		if attempt > 0 {
			pause(f.ctx, backoff(attempt))
		}
		infos, err := f.topics.Refresh(f.ctx, names...)
		f.mu.Lock()
		if err != nil {
			f.cfg.Logger.Debug("leaders not known", "error", err)
			f.giveUp(names, infos, err)
		}
		for _, info := range infos {
			if f.moveLeaders(info) {
				delete(f.refresh, info.Name)
			}
		}
		f.cond.Broadcast()
	}
}

// moveLeaders applies fresh metadata, and reports whether every partition that is read has a leader. Called with mu held.
func (f *Fetcher) moveLeaders(info TopicInfo) (all bool) {
	all = true
	for _, c := range f.cursors {
		if c.tp.Topic != info.Name || c.err != nil {
			continue
		}
		switch {
		case c.id != TopicID{} && c.id != info.ID:
			f.failCursor(c, fmt.Errorf("client: topic %s: %w", info.Name, ErrTopicChanged))
			continue
		case int(c.tp.Partition) >= len(info.Leaders):
			f.failCursor(c, fmt.Errorf("client: topic %s has %d partitions, none of number %d", info.Name, len(info.Leaders), c.tp.Partition))
			continue
		}
		c.id, c.leader = info.ID, info.Leaders[c.tp.Partition]
		if c.leader < 0 {
			all = false
			continue
		}
		if _, ok := f.brokers[c.leader]; !ok {
			broker := c.leader // the cursor may have another one when the goroutine begins
			f.brokers[broker] = struct{}{}
			f.wg.Go(func() { f.fetchLoop(broker) })
		}
	}
	return all
}

// giveUp fails the cursors of topics that have been unknown for too long. Called with mu held.
func (f *Fetcher) giveUp(names []string, known []TopicInfo, cause error) {
	if !errors.Is(cause, kerr.UnknownTopicOrPartition) {
		return
	}
	for _, name := range names {
		if time.Since(f.refresh[name]) < goneAfter || slices.ContainsFunc(known, func(i TopicInfo) bool { return i.Name == name }) {
			continue
		}
		delete(f.refresh, name)
		for _, c := range f.cursors {
			if c.tp.Topic == name && c.err == nil {
				f.failCursor(c, wrap(ErrTopicChanged, cause))
			}
		}
	}
}
