package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/record"
)

// ProducerConfig configures a Producer. The zero value is an idempotent producer without transactions.
type ProducerConfig struct {
	// TransactionalID makes the producer transactional.
	TransactionalID string
	// TransactionTimeout is after how long the coordinator aborts a transaction that is not ended; 10 s if zero.
	TransactionTimeout time.Duration
	// Features is what the cluster has switched on. The producer's kgo client must have been made with Features.Options.
	Features Features
	// BatchBytes is the size at which a batch is sealed: 512 KiB if zero. A topic's max.message.bytes may make it smaller (Producer.Limit).
	BatchBytes int
	// MemoryBytes bounds what waits to be sent, in bytes; Append waits beyond it. 32 MiB if zero.
	MemoryBytes int
	// DeliveryTimeout is for how long a batch or a request to a coordinator is retried; 60 s if zero.
	DeliveryTimeout time.Duration
	// Codec compresses the batches. The zero value leaves them as they are.
	Codec record.Codec
	// Logger takes what a reader of logs may want to know: retries, new epochs. Nil is silent.
	Logger *slog.Logger
}

// Defaults and bounds of a Producer.
const (
	defaultBatchBytes         = 512 << 10
	defaultMemoryBytes        = 32 << 20
	defaultDeliveryTimeout    = 60 * time.Second
	defaultTransactionTimeout = 10 * time.Second

	sealWhenIdle = 64 << 10 // an open batch of this size goes out when its broker has nothing to do
	// maxRequestBytes bounds one Produce request: well below Kafka's socket.request.max.bytes of 100 MiB, large enough for 16 full batches.
	maxRequestBytes = 8 << 20
)

func (c ProducerConfig) withDefaults() ProducerConfig {
	if c.BatchBytes <= 0 {
		c.BatchBytes = defaultBatchBytes
	}
	if c.MemoryBytes <= 0 {
		c.MemoryBytes = defaultMemoryBytes
	}
	if c.DeliveryTimeout <= 0 {
		c.DeliveryTimeout = defaultDeliveryTimeout
	}
	if c.TransactionTimeout <= 0 {
		c.TransactionTimeout = defaultTransactionTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Producer sends records. See the package comment for its promises.
//
//	         Init            Append, SendOffsets          End(commit)
//	created ──────▶ ready ──────────────────────▶ open ──────────────▶ ready
//	                  ▲                             │ any error
//	                  └──────── End(abort) ◀──── failed
//
// One goroutine calls its methods. Lock order: nothing is acquired under mu.
type Producer struct {
	cl     *kgo.Client
	topics *Topics
	cfg    ProducerConfig

	ctx    context.Context // ends with Close; the senders' requests run under it
	cancel context.CancelFunc
	wg     sync.WaitGroup // the senders and refreshes

	names map[string]*Topic // owned by the caller's goroutine

	mu        sync.Mutex
	cond      *sync.Cond          // signals every change below
	id        record.Producer     // BaseSequence unused; guarded by mu
	inTxn     bool                // something was sent, or is about to be, in this transaction; guarded by mu
	groupIn   bool                // transaction protocol 1: the group was added to this transaction; guarded by mu
	err       error               // the first failure since Init or End; guarded by mu
	pending   []*partition        // partitions with sealed batches; guarded by mu
	touched   []*partition        // partitions of this transaction under protocol 1; guarded by mu
	open      []*partition        // partitions with an open batch; owned by the caller's goroutine
	buffered  int                 // bytes sealed and not acknowledged; guarded by mu
	inflight  int                 // requests under way; guarded by mu
	senders   map[int32]struct{}  // brokers that have a sender; guarded by mu
	busy      map[int32]bool      // brokers with a request under way; guarded by mu
	refresh   map[string]struct{} // topics whose leaders must be asked for; guarded by mu
	refreshed bool                // a refresh runs; guarded by mu
	free      []*batch            // guarded by mu
	closed    bool                // guarded by mu
}

// Topic is a topic that a Producer writes to.
type Topic struct {
	Name  string
	ID    TopicID // as of the first use; a batch is never sent to another incarnation
	parts []*partition
	limit int // seal a batch at this size; owned by the caller's goroutine
	max   int // no record larger than this; owned by the caller's goroutine
}

// Partitions returns the topic's partition count.
func (t *Topic) Partitions() int32 { return int32(len(t.parts)) }

// partition is the way of one partition's batches: open, then queue in order, the head perhaps under way.
type partition struct {
	topic *Topic
	index int32

	open *batch // owned by the caller's goroutine

	queue    []*batch  // sealed; queue[0] may be under way; guarded by Producer.mu
	underway bool      // guarded by Producer.mu
	leader   int32     // guarded by Producer.mu
	retryAt  time.Time // of queue[0]; guarded by Producer.mu
	attempts int       // of queue[0]; guarded by Producer.mu
	seq      int32     // of the next batch; guarded by Producer.mu
	added    bool      // protocol 1: the coordinator knows that the partition is in the transaction; guarded by Producer.mu
	end      int64     // the offset after the last acknowledged record, -1 before the first; guarded by Producer.mu
}

type batch struct {
	builder  record.Builder
	bytes    record.Batch // sealed; lies in builder
	count    int32
	sealedAt time.Time
}

// NewProducer returns a producer over the connections of cl. Init must be called before anything is sent.
func NewProducer(cl *kgo.Client, topics *Topics, cfg ProducerConfig) *Producer {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Producer{
		cl: cl, topics: topics, cfg: cfg.withDefaults(), ctx: ctx, cancel: cancel,
		names:   make(map[string]*Topic),
		id:      record.NoProducer,
		senders: make(map[int32]struct{}),
		busy:    make(map[int32]bool),
		refresh: make(map[string]struct{}),
	}
	p.cond = sync.NewCond(&p.mu)
	return p
}

// Topic returns the handle of a topic, asking for its metadata the first time.
func (p *Producer) Topic(ctx context.Context, name string) (*Topic, error) {
	if t := p.names[name]; t != nil {
		return t, nil
	}
	info, err := p.topics.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("client: topic %s: %w", name, err)
	}
	t := &Topic{Name: name, ID: info.ID, limit: p.cfg.BatchBytes, max: p.cfg.BatchBytes, parts: make([]*partition, len(info.Leaders))}
	for i := range t.parts {
		t.parts[i] = &partition{topic: t, index: int32(i), leader: info.Leaders[i], end: -1}
	}
	t.max = defaultMaxMessageBytes
	p.names[name] = t
	return t, nil
}

// defaultMaxMessageBytes is Kafka's message.max.bytes, a batch's largest size unless broker or topic say otherwise.
const defaultMaxMessageBytes = 1048588

// Limit tells the topic's max.message.bytes: no batch is larger, and Append refuses a record that cannot be in one.
func (t *Topic) Limit(maxMessageBytes int) {
	t.max = maxMessageBytes
	t.limit = min(t.limit, maxMessageBytes)
}

// ErrRecordTooLarge is what Append wraps when a record exceeds what the topic takes.
var ErrRecordTooLarge = errors.New("the record is larger than the topic takes")

// Append adds a record to a partition's open batch. The slices are copied. It waits while too much is on the way, and returns the producer's failure, if any.
func (p *Producer) Append(t *Topic, partition int32, ts int64, key, value []byte, headers []record.Header) error {
	part := t.parts[partition]
	b := part.open
	if b == nil {
		var err error
		if b, err = p.openBatch(part); err != nil {
			return err
		}
	}
	size := b.builder.Len() + len(key) + len(value) + recordOverhead
	if len(headers) > 0 || size > t.limit {
		size = b.builder.Len() + record.MaxRecordSize(key, value, headers)
		if b.builder.Count() > 0 && size > t.limit {
			p.seal(part)
			return p.Append(t, partition, ts, key, value, headers)
		}
		if size > t.max {
			return fmt.Errorf("client: topic %s: record of %d bytes: %w: max.message.bytes is %d; raise it, or write less", t.Name, size, ErrRecordTooLarge, t.max)
		}
	}
	b.builder.AppendRecord(ts, key, value, headers)
	return nil
}

// recordOverhead bounds what a record without headers takes beside its key and value.
const recordOverhead = 5 + 1 + 10 + 5 + 5 + 5 + 1

// openBatch gives the partition an empty batch, after waiting for memory.
func (p *Producer) openBatch(part *partition) (*batch, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.err == nil && !p.closed && p.buffered > p.cfg.MemoryBytes {
		p.cond.Wait()
	}
	switch {
	case p.closed:
		return nil, ErrClosed
	case p.err != nil:
		return nil, p.err
	}
	var b *batch
	if n := len(p.free); n > 0 {
		b, p.free = p.free[n-1], p.free[:n-1]
	} else {
		b = new(batch)
	}
	part.open = b
	p.open = append(p.open, part)
	return b, nil
}

// Send hands what has gathered to brokers that have nothing to do. The caller calls it now and then, between records; it costs a lock.
func (p *Producer) Send() {
	if len(p.open) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(p.open); {
		part := p.open[i]
		if len(part.queue) == 0 && !p.busy[part.leader] && part.open.builder.Len() >= sealWhenIdle {
			p.sealLocked(part) // takes it out of p.open
			continue
		}
		i++
	}
}

func (p *Producer) seal(part *partition) {
	p.mu.Lock()
	p.sealLocked(part)
	p.mu.Unlock()
}

// sealLocked finishes the open batch and queues it.
func (p *Producer) sealLocked(part *partition) {
	b := part.open
	part.open = nil
	for i, q := range p.open {
		if q == part {
			p.open[i] = p.open[len(p.open)-1]
			p.open = p.open[:len(p.open)-1]
			break
		}
	}
	if p.err != nil || b.builder.Count() == 0 {
		p.recycle(b)
		return
	}
	var attrs record.Attributes
	if p.cfg.TransactionalID != "" {
		attrs |= record.Transactional
		p.inTxn = true
	}
	b.count = int32(b.builder.Count())
	b.bytes = b.builder.Finish(record.Producer{ID: p.id.ID, Epoch: p.id.Epoch, BaseSequence: part.seq}, attrs, p.cfg.Codec)
	b.sealedAt = time.Now()
	part.seq = record.AddSequence(part.seq, b.count)
	p.buffered += len(b.bytes)
	if len(part.queue) == 0 {
		p.pending = append(p.pending, part)
	}
	part.queue = append(part.queue, b)
	p.startSender(part.leader)
	p.cond.Broadcast()
}

// recycle keeps a batch's memory for the next one. Called with mu held.
func (p *Producer) recycle(b *batch) {
	b.builder.Reset()
	b.bytes = nil
	p.free = append(p.free, b)
}

// Flush seals all open batches and waits until every batch is acknowledged or the producer has failed.
func (p *Producer) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.wake)
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.open) > 0 {
		p.sealLocked(p.open[0])
	}
	for p.err == nil && !p.closed && len(p.pending) > 0 && ctx.Err() == nil {
		p.cond.Wait()
	}
	switch {
	case p.err != nil:
		return p.err
	case p.closed:
		return ErrClosed
	case len(p.pending) > 0:
		return ctx.Err()
	}
	return nil
}

func (p *Producer) wake() {
	p.mu.Lock()
	p.cond.Broadcast()
	p.mu.Unlock()
}

// Acked returns the offset after the last record of the partition that was acknowledged, -1 when none was. After a Flush that is all of them.
func (p *Producer) Acked(t *Topic, partition int32) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return t.parts[partition].end
}

// fail records the first failure: nothing more is sent. Called with mu held.
func (p *Producer) fail(err error) {
	if p.err == nil {
		p.err = err
		p.cfg.Logger.Warn("producer failed", "transactional_id", p.cfg.TransactionalID, "error", err)
	}
	p.cond.Broadcast()
}

// discard drops all batches that are not acknowledged, after waiting for the requests under way: a broker may still act on those.
func (p *Producer) discard(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.wake)
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = ErrAbort // the senders stop
	}
	for p.inflight > 0 && ctx.Err() == nil && !p.closed {
		p.cond.Wait()
	}
	if p.inflight > 0 {
		return fmt.Errorf("client: waiting for %d requests under way: %w", p.inflight, errors.Join(ctx.Err(), ErrAbort))
	}
	for _, part := range p.open {
		p.recycle(part.open)
		part.open = nil
	}
	p.open = p.open[:0]
	for _, part := range p.pending {
		for _, b := range part.queue {
			p.recycle(b)
		}
		part.queue, part.attempts, part.retryAt = nil, 0, time.Time{}
	}
	p.pending = p.pending[:0]
	p.buffered = 0
	return nil
}

// Close stops the producer without ending a transaction. It waits for its goroutines. Idempotent.
func (p *Producer) Close() {
	p.mu.Lock()
	p.closed = true
	p.cond.Broadcast()
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
}
