package client

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/record"
)

// Every connection dies young, with requests written in half and answers lost. The idempotent producer's records are there once and in order.
func TestCutConnectionsNeitherLoseNorRepeatRecords(t *testing.T) {
	w := newWorld(t, 3)
	cuts := newCutter(t, 150_000)
	p, topic := w.producer(cuts, ProducerConfig{BatchBytes: 20_000, Features: Features{Transactions2: true}})
	for n := 0; n < 6000; n += 100 {
		for partition := range topic.Partitions() {
			w.append(p, topic, partition, n, n+100)
		}
		p.Send()
		if n%1000 == 0 {
			w.must(p.Flush(w.ctx))
		}
	}
	w.must(p.Flush(w.ctx))
	if cuts.cuts < 5 {
		t.Errorf("only %d connections were cut: the test shows nothing", cuts.cuts)
	}
	for partition := range topic.Partitions() {
		w.equal(partition, true, span(0, 6000))
		if end := p.Acked(topic, partition); end != 6000 {
			t.Errorf("partition %d: acknowledged up to %d, want 6000", partition, end)
		}
	}
}

// Under the same cuts, readers of committed records see the committed transactions only, whole and in order; a commit's outcome is always found out.
func TestCutConnectionsKeepTransactionsWhole(t *testing.T) {
	for name, features := range protocols {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			cuts := newCutter(t, 60_000)
			p, topic := w.producer(cuts, ProducerConfig{TransactionalID: "writer", BatchBytes: 8000, Features: features})
			rng := rand.New(rand.NewPCG(1, 2))
			var want [2][]int
			n := 0
			for range 60 {
				size := 1 + rng.IntN(200)
				for partition := range topic.Partitions() {
					w.append(p, topic, partition, n, n+size)
				}
				commit := rng.IntN(3) > 0
				if commit {
					w.must(p.Flush(w.ctx))
				}
				w.must(p.End(w.ctx, commit))
				if commit {
					for i := range want {
						want[i] = append(want[i], span(n, n+size)...)
					}
				}
				n += size
			}
			cuts.stop()
			if cuts.cuts < 5 {
				t.Errorf("only %d connections were cut: the test shows nothing", cuts.cuts)
			}
			for partition := range topic.Partitions() {
				w.equal(partition, true, want[partition])
			}
		})
	}
}

// The pause before another attempt belongs to the batch that needs it: the batches of the next transaction go out at once.
func TestADiscardedBatchHoldsUpNoLaterOne(t *testing.T) {
	p := NewProducer(nil, nil, ProducerConfig{})
	defer p.Close()
	topic := &Topic{Name: "t", limit: defaultBatchBytes, max: defaultBatchBytes}
	part := &partition{topic: topic, leader: -1, end: -1} // nobody sends meanwhile
	topic.parts = []*partition{part}
	batch := func() {
		t.Helper()
		if err := p.Append(topic, 0, 1, nil, []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
		p.seal(part)
	}
	batch()
	p.mu.Lock()
	part.attempts, part.retryAt = 6, time.Now().Add(time.Hour)
	p.mu.Unlock()
	if err := p.discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.reset(record.Producer{ID: 1}, true)
	batch()
	p.mu.Lock()
	defer p.mu.Unlock()
	part.leader = 1
	if round := p.collect(1); len(round) != 1 {
		t.Errorf("%d batches go out, want 1", len(round))
	}
}

func TestAbortHidesWhatWasSentAndDropsWhatWasNot(t *testing.T) {
	for name, features := range protocols {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			p, topic := w.producer(nil, ProducerConfig{TransactionalID: "writer", Features: features})
			w.append(p, topic, 0, 0, 10)
			w.must(p.Flush(w.ctx))
			w.append(p, topic, 0, 10, 20) // not flushed
			w.must(p.End(w.ctx, false))
			w.append(p, topic, 0, 20, 30)
			w.must(p.Flush(w.ctx))
			w.must(p.End(w.ctx, true))
			w.equal(0, true, span(20, 30))
			if got := w.read(0, false); len(got) != 20 {
				t.Errorf("%d records in the log, want 10 aborted and 10 committed ones", len(got))
			}
		})
	}
}

func TestAnEmptyTransactionEndsWithoutARequest(t *testing.T) {
	w := newWorld(t, 1)
	p, _ := w.producer(nil, ProducerConfig{TransactionalID: "writer", Features: Features{Transactions2: true}})
	w.broker.Stop() // a request would have nobody to answer it
	w.must(p.End(w.ctx, true))
}

// The newer producer of an id ends what the older has open, and the older one finds out, whatever it does next.
func TestFencedProducerCannotCommit(t *testing.T) {
	for name, features := range protocols {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			cfg := ProducerConfig{TransactionalID: "writer", Features: features}
			old, topic := w.producer(nil, cfg)
			w.append(old, topic, 0, 0, 10)
			w.must(old.Flush(w.ctx))
			w.must(Fence(w.ctx, w.client(nil, features), "writer"))
			if err := old.End(w.ctx, true); !errors.Is(err, ErrFenced) {
				t.Errorf("End of the fenced producer: %v, want ErrFenced", err)
			}
			if err := old.Append(topic, 0, 1, nil, nil, nil); !errors.Is(err, ErrFenced) {
				t.Errorf("Append after that: %v, want ErrFenced", err)
			}
			w.must(old.Init(w.ctx))
			w.append(old, topic, 0, 10, 20)
			w.must(old.Flush(w.ctx))
			w.must(old.End(w.ctx, true))
			w.equal(0, true, span(10, 20))
		})
	}
}

func TestFencedProducerCannotSend(t *testing.T) {
	w := newWorld(t, 1)
	cfg := ProducerConfig{TransactionalID: "writer", Features: Features{Transactions2: true}}
	old, topic := w.producer(nil, cfg)
	w.append(old, topic, 0, 0, 10)
	w.must(old.Flush(w.ctx))
	newer, newTopic := w.producer(nil, cfg)
	w.append(old, topic, 0, 10, 20)
	if err := old.Flush(w.ctx); !errors.Is(err, ErrFenced) && !errors.Is(err, ErrAbort) {
		t.Errorf("Flush of the fenced producer: %v, want ErrFenced or ErrAbort", err)
	}
	if err := old.End(w.ctx, true); err == nil {
		t.Error("End of the fenced producer succeeds")
	}
	w.append(newer, newTopic, 0, 20, 30)
	w.must(newer.Flush(w.ctx))
	w.must(newer.End(w.ctx, true))
	w.equal(0, true, span(20, 30))
}

// Offsets alone make a transaction; they come back with their metadata, and not before it is committed.
func TestOffsetsCommitWithTheTransaction(t *testing.T) {
	for name, features := range protocols {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			p, topic := w.producer(nil, ProducerConfig{TransactionalID: "writer", Features: features})
			cl := w.client(nil, features)
			m := Member{Group: "readers", Generation: -1}
			offsets := []Offset{{Topic: w.topic, TopicID: topic.ID, Partition: 0, At: 7, Epoch: -1, Metadata: "seven"}, {Topic: w.topic, TopicID: topic.ID, Partition: 1, At: 9, Epoch: -1}}
			parts := []TopicPartition{{w.topic, 0}, {w.topic, 1}}

			w.must(p.SendOffsets(w.ctx, m, offsets))
			w.must(p.End(w.ctx, false))
			got, err := FetchOffsets(w.ctx, cl, NewTopics(cl), "readers", parts, true, testLimit)
			w.must(err)
			if c := got[parts[0]]; c.At != -1 {
				t.Errorf("offset %d after an abort, want none", c.At)
			}

			w.must(p.SendOffsets(w.ctx, m, offsets))
			got, err = FetchOffsets(w.ctx, cl, NewTopics(cl), "readers", parts, false, testLimit)
			w.must(err)
			if c := got[parts[0]]; c.At != -1 {
				t.Errorf("offset %d before the commit, want none", c.At)
			}
			w.must(p.End(w.ctx, true))
			got, err = FetchOffsets(w.ctx, cl, NewTopics(cl), "readers", parts, true, testLimit)
			w.must(err)
			if c := got[parts[0]]; c.At != 7 || c.Metadata != "seven" {
				t.Errorf("offset %d %q, want 7 with its metadata", c.At, c.Metadata)
			}
			if c := got[parts[1]]; c.At != 9 {
				t.Errorf("offset %d, want 9", c.At)
			}
		})
	}
}

func TestOffsetsOfAStrangerAreRefused(t *testing.T) {
	w := newWorld(t, 1)
	p, topic := w.producer(nil, ProducerConfig{TransactionalID: "writer", Features: Features{Transactions2: true}})
	offsets := []Offset{{Topic: w.topic, TopicID: topic.ID, At: 1, Epoch: -1}}
	if err := p.SendOffsets(w.ctx, Member{Group: "readers", ID: "nobody", Generation: 3}, offsets); !errors.Is(err, ErrRebalanced) && !errors.Is(err, ErrGeneration) {
		t.Errorf("SendOffsets of a member that is not in the group: %v, want ErrRebalanced or ErrGeneration", err)
	}
	w.must(p.End(w.ctx, false))
}

func TestARecordLargerThanTheTopicTakesIsRefused(t *testing.T) {
	w := newWorld(t, 1)
	p, topic := w.producer(nil, ProducerConfig{Features: Features{Transactions2: true}})
	topic.Limit(2000)
	err := p.Append(topic, 0, 1, nil, make([]byte, 3000), nil)
	if !errors.Is(err, ErrRecordTooLarge) || !strings.Contains(err.Error(), "max.message.bytes is 2000") {
		t.Errorf("Append: %v, want ErrRecordTooLarge with the limit", err)
	}
	// Smaller ones go on, in batches within the limit.
	w.append(p, topic, 0, 0, 100)
	w.must(p.Flush(w.ctx))
	w.equal(0, true, span(0, 100))
}

func TestCompressedBatchesComeBack(t *testing.T) {
	for _, codec := range []record.Codec{record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			w := newWorld(t, 1)
			p, topic := w.producer(nil, ProducerConfig{Codec: codec, BatchBytes: 10_000, Features: Features{Transactions2: true}})
			w.append(p, topic, 0, 0, 1000)
			w.must(p.Flush(w.ctx))
			w.equal(0, true, span(0, 1000))
		})
	}
}

// Append waits when too much is on the way, and goes on when the broker answers.
func TestAppendWaitsForMemory(t *testing.T) {
	w := newWorld(t, 1)
	p, topic := w.producer(nil, ProducerConfig{BatchBytes: 2000, MemoryBytes: 10_000, Features: Features{Transactions2: true}})
	w.broker.Stop()
	full := make(chan struct{})
	go func() {
		defer close(full)
		w.append(p, topic, 0, 0, 2000)
	}()
	p.mu.Lock()
	for p.buffered <= p.cfg.MemoryBytes {
		p.cond.Wait() // for a batch to be sealed
	}
	buffered := p.buffered
	p.mu.Unlock()
	select {
	case <-full:
		t.Fatal("200 KB were appended though 10 KB may wait and nobody takes them")
	default:
	}
	if most := p.cfg.MemoryBytes + 2*p.cfg.BatchBytes; buffered > most {
		t.Errorf("%d bytes wait, want %d at most", buffered, most)
	}
	w.broker.Restart()
	<-full
	w.must(p.Flush(w.ctx))
	w.equal(0, true, span(0, 2000))
}

func TestAppendDoesNotAllocate(t *testing.T) {
	w := newWorld(t, 1)
	p, topic := w.producer(nil, ProducerConfig{BatchBytes: 1 << 20, Features: Features{Transactions2: true}})
	key, value := []byte("a key of some length"), make([]byte, 100)
	w.append(p, topic, 0, 0, 7000)
	w.must(p.Flush(w.ctx)) // the batch's memory is used again
	if n := testing.AllocsPerRun(5000, func() {
		if err := p.Append(topic, 0, 1, key, value, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a record", n)
	}
}
