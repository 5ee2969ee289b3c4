package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

// handCount is the word count that a Go programmer would write without a framework: one loop splits lines into a topic of words, another counts them in a map. Each
// polls, processes, and at every commit interval flushes and commits, with exactly-once in a transaction. It owns all partitions and keeps every count in memory: no
// rebalance, no restore, no bound on the state. With disk, the counts are mirrored into Pebble at each commit, but never read from there. It is the ceiling of what
// code on an off-the-shelf client can do.
type handCount struct {
	cluster           *cluster
	in, mid, log, out string // topics
	exactly, disk     bool
	interval          time.Duration
}

// run counts lines lines of wordsPerLine words and measures from the first records polled to the last commit.
func (h *handCount) run(ctx context.Context, lines int64) (measure, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	count, err := h.counter()
	if err != nil {
		return measure{}, err
	}
	defer count.close()
	first := make(chan struct{})
	began := sync.OnceFunc(func() { close(first) })
	faults := make(chan error, 2)
	go func() { faults <- h.loop(ctx, h.in, lines, began, h.split, nil) }()
	go func() { faults <- h.loop(ctx, h.mid, lines*wordsPerLine, func() {}, count.add, count.write) }()
	var s stretch
	select {
	case <-first:
		s = start()
	case err := <-faults:
		cancel()
		return measure{}, errors.Join(err, <-faults)
	}
	for range 2 {
		if err := <-faults; err != nil {
			cancel()
			return measure{}, err
		}
	}
	return s.stop(lines*wordsPerLine, 0), nil
}

// emitter sends a record on its way.
type emitter func(*kgo.Record)

func (h *handCount) split(emit emitter, r *kgo.Record) {
	for word := range bytes.SplitSeq(r.Value, []byte{' '}) {
		emit(&kgo.Record{Topic: h.mid, Key: word, Value: []byte{}})
	}
}

// loop handles n records of a topic and commits at the interval and at the end; before each commit, write may emit what was held back.
func (h *handCount) loop(ctx context.Context, topic string, n int64, began func(), handle func(emitter, *kgo.Record), write func(emitter) error) error {
	cl, session, err := h.consumer(topic)
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed firstError
	emit := func(r *kgo.Record) { cl.Produce(ctx, r, failed.promise) }
	open, last := false, time.Now()
	for got := int64(0); got < n; {
		poll, cancel := context.WithTimeout(ctx, h.interval) // an idle input must not hold a transaction open
		fetches := cl.PollRecords(poll, 10_000)
		cancel()
		if err := fetches.Err0(); err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return err
		}
		if k := fetches.NumRecords(); k > 0 {
			if got == 0 {
				began()
				last = time.Now()
			}
			if !open && session != nil {
				if err := session.Begin(); err != nil {
					return err
				}
			}
			open = true
			fetches.EachRecord(func(r *kgo.Record) { handle(emit, r) })
			got += int64(k)
		}
		if !open || got < n && time.Since(last) < h.interval {
			continue
		}
		if write != nil {
			if err := write(emit); err != nil {
				return err
			}
		}
		if err := h.commit(ctx, cl, session, &failed); err != nil {
			return fmt.Errorf("loop over %s: %w", topic, err)
		}
		open, last = false, time.Now()
	}
	return nil
}

// consumer returns a client that reads a topic as a group of its own; the session is nil without exactly-once.
func (h *handCount) consumer(topic string) (*kgo.Client, *kgo.GroupTransactSession, error) {
	group := h.out + "-" + topic
	opts := append(h.cluster.options(), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(200_000), kgo.ProducerLinger(0))
	if !h.exactly {
		cl, err := kgo.NewClient(opts...)
		return cl, nil, err
	}
	opts = append(opts, kgo.TransactionalID(group), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	session, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return nil, nil, err
	}
	return session.Client(), session, nil
}

func (h *handCount) commit(ctx context.Context, cl *kgo.Client, session *kgo.GroupTransactSession, failed *firstError) error {
	if session != nil {
		committed, err := session.End(ctx, kgo.TryCommit)
		if err == nil && !committed {
			err = errors.New("the transaction was aborted")
		}
		return err
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	if err := failed.get(); err != nil {
		return err
	}
	return cl.CommitUncommittedOffsets(ctx)
}

// handCounter is the state of the counting loop.
type handCounter struct {
	h      *handCount
	counts map[string]*handEntry
	dirty  []*handEntry // changed since the last commit
	db     *pebble.DB   // nil: memory only
	dir    string
}

type handEntry struct {
	key   []byte
	count uint64
	dirty bool
}

func (h *handCount) counter() (*handCounter, error) {
	c := &handCounter{h: h, counts: map[string]*handEntry{}}
	if !h.disk {
		return c, nil
	}
	var err error
	if c.dir, err = os.MkdirTemp("", "millrace-hand-"); err != nil {
		return nil, err
	}
	if c.db, err = pebble.Open(c.dir, &pebble.Options{DisableWAL: true, MemTableSize: 64 << 20, Logger: silent{}}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, nil
}

func (c *handCounter) close() {
	if c.db != nil {
		c.db.Close()
		os.RemoveAll(c.dir)
	}
}

func (c *handCounter) add(_ emitter, r *kgo.Record) {
	e := c.counts[string(r.Key)]
	if e == nil {
		e = &handEntry{key: bytes.Clone(r.Key)}
		c.counts[string(e.key)] = e
	}
	e.count++
	if !e.dirty {
		e.dirty = true
		c.dirty = append(c.dirty, e)
	}
}

// write sends every changed count to the changelog and to the output, once.
func (c *handCounter) write(emit emitter) error {
	var batch *pebble.Batch
	if c.db != nil {
		batch = c.db.NewBatch()
		defer batch.Close()
	}
	for _, e := range c.dirty {
		value := binary.BigEndian.AppendUint64(nil, e.count)
		emit(&kgo.Record{Topic: c.h.log, Key: e.key, Value: value})
		emit(&kgo.Record{Topic: c.h.out, Key: e.key, Value: value})
		if batch != nil {
			if err := batch.Set(e.key, value, nil); err != nil {
				return err
			}
		}
		e.dirty = false
	}
	c.dirty = c.dirty[:0]
	if batch == nil {
		return nil
	}
	return batch.Commit(pebble.NoSync)
}

// silent is a Pebble logger that says nothing and stops at what cannot go on.
type silent struct{}

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
