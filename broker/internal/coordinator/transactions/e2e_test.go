package transactions_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// patience bounds what a test waits for; everything takes milliseconds.
const patience = 30 * time.Second

// protocols are the two ways in which clients speak of transactions.
var protocols = []struct {
	name string
	opts []kgo.Opt
}{
	{"protocol 2", nil},
	{"protocol 1", []kgo.Opt{kgo.MaxVersions(kversion.V3_7_0())}},
}

func forProtocols(t *testing.T, test func(t *testing.T, opts []kgo.Opt)) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) { test(t, p.opts) })
	}
}

// cluster is a broker with a topic t of some partitions.
func cluster(t *testing.T, partitions int32) *brokertest.Broker {
	t.Helper()
	return clusterOf(t, partitions, broker.Config{})
}

func clusterOf(t *testing.T, partitions int32, cfg broker.Config) *brokertest.Broker {
	t.Helper()
	cfg.Set = map[string]string{
		"transaction.state.log.num.partitions": "3",
		"offsets.topic.num.partitions":         "3",
	}
	b := brokertest.Start(t, cfg)
	adm := kadm.NewClient(b.Client(t))
	if _, err := adm.CreateTopic(t.Context(), partitions, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	return b
}

func producer(t *testing.T, b *brokertest.Broker, id string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	return b.Client(t, slices.Concat([]kgo.Opt{
		kgo.TransactionalID(id),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DefaultProduceTopic("t"),
	}, opts)...)
}

func begin(t *testing.T, c *kgo.Client) {
	t.Helper()
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
}

func produce(t *testing.T, c *kgo.Client, partition int32, values ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, v := range values {
		if err := c.ProduceSync(ctx, &kgo.Record{Partition: partition, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatalf("produce %s: %v", v, err)
		}
	}
	known(t, c)
}

// known returns when a client knows the partitions that it has written to, which is to be called when nothing is in flight and before a transaction
// ends. kgo v1.22.2 writes the records that waited for a new topic's metadata before it stores the topic's partitions (storePartitionsUpdate in
// topics_and_partitions.go, under unknownTopicsMu), and EndTransaction looks for what is in the transaction among the stored ones only: when it is
// quicker, it turns the commit into an abort, says nothing, and goes on with the sequence numbers of the epoch before. To abort what is buffered, which
// is nothing, takes that lock.
func known(t *testing.T, c *kgo.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.AbortBufferedRecords(ctx); err != nil {
		t.Fatal(err)
	}
}

func end(t *testing.T, c *kgo.Client, commit kgo.TransactionEndTry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.EndTransaction(ctx, commit); err != nil {
		t.Fatalf("EndTransaction(%v): %v", commit, err)
	}
}

// committed reads topic t as read_committed from the start until it has met the values that end each partition, and
// returns all values by partition.
func committed(t *testing.T, b *brokertest.Broker, ends ...string) map[int32][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := b.Client(t, kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	got := make(map[int32][]string)
	for left := len(ends); left > 0; {
		fs := c.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("%v; read up to now: %q", err, got)
		}
		fs.EachRecord(func(r *kgo.Record) {
			got[r.Partition] = append(got[r.Partition], string(r.Value))
			if slices.Contains(ends, string(r.Value)) {
				left--
			}
		})
	}
	return got
}

func want(t *testing.T, got map[int32][]string, partition int32, values ...string) {
	t.Helper()
	if !slices.Equal(got[partition], values) {
		t.Fatalf("partition %d: committed %q, want %q", partition, got[partition], values)
	}
}

// T1, T2: all of a committed transaction is seen and nothing of an aborted one.
func TestCommittedIsSeenAbortedIsNot(t *testing.T) {
	forProtocols(t, func(t *testing.T, opts []kgo.Opt) {
		b := cluster(t, 2)
		c := producer(t, b, "x", opts...)
		for round := range 5 {
			begin(t, c)
			produce(t, c, 0, fmt.Sprint("a", round))
			produce(t, c, 1, fmt.Sprint("b", round))
			end(t, c, round%2 == 0)
		}
		got := committed(t, b, "a4", "b4")
		want(t, got, 0, "a0", "a2", "a4")
		want(t, got, 1, "b0", "b2", "b4")
	})
}

// T4: whoever initialises an id later aborts and fences whoever had it before.
func TestASuccessorFences(t *testing.T) {
	forProtocols(t, func(t *testing.T, opts []kgo.Opt) {
		b := cluster(t, 1)
		old := producer(t, b, "x", opts...)
		begin(t, old)
		produce(t, old, 0, "zombie")

		next := producer(t, b, "x", opts...)
		begin(t, next)
		produce(t, next, 0, "next")
		err := old.EndTransaction(t.Context(), kgo.TryCommit)
		if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
			t.Fatalf("the predecessor's commit: %v, want PRODUCER_FENCED", err)
		}
		end(t, next, kgo.TryCommit)
		want(t, committed(t, b, "next"), 0, "next")
	})
}

// T3, RP#8236: the last stable offset moves on after the time-out of a producer that died.
func TestADeadProducersTransactionTimesOut(t *testing.T) {
	forProtocols(t, func(t *testing.T, opts []kgo.Opt) {
		b := cluster(t, 1)
		dead := producer(t, b, "dead", append(opts, kgo.TransactionTimeout(300*time.Millisecond))...)
		begin(t, dead)
		produce(t, dead, 0, "lost")

		c := producer(t, b, "x", opts...)
		begin(t, c)
		produce(t, c, 0, "kept")
		end(t, c, kgo.TryCommit)
		want(t, committed(t, b, "kept"), 0, "kept")
		if err := dead.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
			t.Fatal("a commit after the time-out was taken")
		}
	})
}

// T6: what EndTxn confirmed happens, also when the broker is killed the moment after.
func TestADecisionSurvivesAKill(t *testing.T) {
	forProtocols(t, func(t *testing.T, opts []kgo.Opt) {
		b := cluster(t, 4)
		c := producer(t, b, "x", opts...)
		const rounds = 6
		for round := range rounds {
			begin(t, c)
			for p := range int32(4) {
				produce(t, c, p, fmt.Sprintf("%d.%d", p, round))
			}
			end(t, c, kgo.TryCommit)
			b.Kill()
		}
		got := committed(t, b, "0.5", "1.5", "2.5", "3.5")
		for p := range int32(4) {
			var all []string
			for round := range rounds {
				all = append(all, fmt.Sprintf("%d.%d", p, round))
			}
			want(t, got, p, all...)
		}
	})
}

// Decision 13: with flush=always what EndTxn confirmed survives a power loss, on one disk with the records and the offsets
// that it speaks of.
func TestADecisionSurvivesAPowerLoss(t *testing.T) {
	forProtocols(t, func(t *testing.T, opts []kgo.Opt) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		b := clusterOf(t, 2, broker.Config{Flush: broker.FlushAlways})
		c := producer(t, b, "x", opts...)
		const rounds = 10
		var all []string
		for round := range rounds {
			begin(t, c)
			name := fmt.Sprint("round", round)
			produce(t, c, 0, name)
			produce(t, c, 1, name)
			end(t, c, round%3 != 1)
			if round%3 != 1 {
				all = append(all, name)
			}
			b.PowerLoss(rnd.IntN(101), rnd)
		}
		begin(t, c)
		produce(t, c, 0, "end0")
		produce(t, c, 1, "end1")
		end(t, c, kgo.TryCommit)
		got := committed(t, b, "end0", "end1")
		want(t, got, 0, append(slices.Clone(all), "end0")...)
		want(t, got, 1, append(slices.Clone(all), "end1")...)
	})
}

// A topic that is deleted under an open transaction owes no marker; the rest of the transaction ends as decided.
func TestATopicMayGoUnderAnOpenTransaction(t *testing.T) {
	forProtocols(t, func(t *testing.T, opts []kgo.Opt) {
		b := cluster(t, 1)
		adm := kadm.NewClient(b.Client(t))
		if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, "gone"); err != nil {
			t.Fatal(err)
		}
		c := producer(t, b, "x", opts...)
		begin(t, c)
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "gone"}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		known(t, c)
		produce(t, c, 0, "kept")
		if _, err := adm.DeleteTopic(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		end(t, c, kgo.TryCommit)
		want(t, committed(t, b, "kept"), 0, "kept")
		begin(t, c)
		produce(t, c, 0, "next")
		end(t, c, kgo.TryCommit)
		want(t, committed(t, b, "next"), 0, "kept", "next")
	})
}

// An open transaction outlives the broker: it goes on, and ends as its producer says.
func TestAnOpenTransactionSurvivesAKill(t *testing.T) {
	forProtocols(t, func(t *testing.T, opts []kgo.Opt) {
		b := cluster(t, 2)
		c := producer(t, b, "x", opts...)
		begin(t, c)
		produce(t, c, 0, "before")
		b.Kill()
		produce(t, c, 1, "after")
		end(t, c, kgo.TryCommit)
		got := committed(t, b, "before", "after")
		want(t, got, 0, "before")
		want(t, got, 1, "after")
	})
}

// T1 over many transactions of several producers with kills between: a transaction is seen in all its partitions or in
// none, and what was confirmed is seen.
func TestTransactionsAreAtomicThroughKills(t *testing.T) {
	forProtocols(t, func(t *testing.T, opts []kgo.Opt) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		const parts, rounds = 3, 30
		b := cluster(t, parts)
		cs := []*kgo.Client{producer(t, b, "x", opts...), producer(t, b, "y", opts...)}
		outcome := make(map[string]bool)
		for round := range rounds {
			c := cs[rnd.IntN(len(cs))]
			name := fmt.Sprintf("round%d", round)
			begin(t, c)
			for p := range int32(parts) {
				produce(t, c, p, name)
			}
			if rnd.IntN(6) == 0 {
				b.Kill()
			}
			outcome[name] = rnd.IntN(3) > 0
			end(t, c, kgo.TransactionEndTry(outcome[name]))
			if rnd.IntN(6) == 0 {
				b.Kill()
			}
		}
		begin(t, cs[0])
		for p := range int32(parts) {
			produce(t, cs[0], p, fmt.Sprint("end", p))
		}
		end(t, cs[0], kgo.TryCommit)
		got := committed(t, b, "end0", "end1", "end2")
		var all []string
		for round := range rounds {
			if name := fmt.Sprintf("round%d", round); outcome[name] {
				all = append(all, name)
			}
		}
		for p := range int32(parts) {
			want(t, got, p, append(slices.Clone(all), fmt.Sprint("end", p))...)
		}
	})
}

// An operator finds a transaction, who has it open, and what it waits for.
func TestTransactionsCanBeLookedAt(t *testing.T) {
	b := cluster(t, 2)
	c := producer(t, b, "x")
	begin(t, c)
	produce(t, c, 1, "a")
	adm := kadm.NewClient(b.Client(t))
	d, err := adm.DescribeTransactions(t.Context(), "x")
	if err != nil || d["x"].State != "Ongoing" || !d["x"].Topics.Lookup("t", 1) || d["x"].Topics.Lookup("t", 0) {
		t.Fatalf("DescribeTransactions: %+v, %v", d, err)
	}
	l, err := adm.ListTransactions(t.Context(), nil, []string{"Ongoing"})
	if err != nil || l["x"].ProducerID != d["x"].ProducerID {
		t.Fatalf("ListTransactions: %+v, %v", l, err)
	}
	var set kadm.TopicsSet
	set.Add("t", 0, 1)
	ps, err := adm.DescribeProducers(t.Context(), set)
	if err != nil || len(ps["t"].Partitions[0].ActiveProducers) != 0 {
		t.Fatalf("DescribeProducers: %+v, %v", ps, err)
	}
	active := ps["t"].Partitions[1].ActiveProducers.Sorted()
	if len(active) != 1 || active[0].ProducerID != d["x"].ProducerID || active[0].CurrentTxnStartOffset != 0 {
		t.Fatalf("DescribeProducers: %+v", active)
	}
	end(t, c, kgo.TryAbort)
}
