package losstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	pace      = 5 * time.Millisecond  // between two things that a client does
	backoff   = 20 * time.Millisecond // between two attempts of a client
	burst     = 20                    // most records of one go
	inputRoom = 5000                  // most inputs that wait for a copier: the log of a fast producer would only make audits long
)

// load is the clients at work.
type load struct {
	ledger *ledger
	addr   string
	names  []string // of the clients whose progress is waited for

	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	inputs [writers][]int64 // offsets of the acknowledged inputs of each copier, by number; guarded by mu
	copied [writers]int64   // inputs that each copier is done with; guarded by mu
}

// startLoad starts all clients. They go on until stop, whatever happens to the server.
func startLoad(l *ledger, addr string, rng *rand.Rand) *load {
	ctx, cancel := context.WithCancel(context.Background())
	w := &load{ledger: l, addr: addr, cancel: cancel}
	run := func(name string, work func(context.Context, *rand.Rand) error) {
		own := rand.New(rand.NewPCG(rng.Uint64(), 0))
		w.names = append(w.names, name)
		w.wg.Go(func() {
			if err := work(ctx, own); err != nil && ctx.Err() == nil {
				l.t.Errorf("%s: %v", name, err)
				l.stepped(name) // who waits for it need not wait any longer
			}
		})
	}
	for n := range int32(writers) {
		plain := fmt.Sprint("plain producer ", n)
		run(plain, func(ctx context.Context, rng *rand.Rand) error {
			return w.produce(ctx, rng, plain, laneID{topicPlain, n}, kgo.DisableIdempotentWrite())
		})
		idem := fmt.Sprint("idempotent producer ", n)
		run(idem, func(ctx context.Context, rng *rand.Rand) error {
			return w.produce(ctx, rng, idem, laneID{topicIdem, n})
		})
		copier := fmt.Sprint("copier ", n)
		run(copier, func(ctx context.Context, rng *rand.Rand) error { return w.copies(ctx, rng, copier, n) })
		watcher := fmt.Sprint("watcher ", n)
		run(watcher, func(ctx context.Context, _ *rand.Rand) error { return w.watch(ctx, watcher) })
	}
	l.t.Cleanup(w.stop)
	return w
}

// stop ends the clients and waits for them.
func (w *load) stop() {
	w.cancel()
	w.wg.Wait()
}

// client makes a client that does not give up while its server is away, but when the load ends.
func (w *load) client(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RetryBackoffFn(func(int) time.Duration { return backoff }), kgo.RequestRetries(1 << 20), kgo.RetryTimeout(time.Hour),
		kgo.MetadataMinAge(backoff), kgo.UnknownTopicRetries(-1), kgo.Dialer(dial),
	}, opts...)...)
	if err == nil {
		context.AfterFunc(ctx, cl.CloseAllowingRebalance)
	}
	return cl, err
}

// dial connects to a server that may be killed at any time.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return abrupt{c}, nil
}

// abrupt is a connection whose end is an error: a client that is greeted with a proper end takes the server for one that wants TLS, and gives up.
type abrupt struct{ net.Conn }

func (c abrupt) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		err = &net.OpError{Op: "read", Net: "tcp", Addr: c.RemoteAddr(), Err: syscall.ECONNRESET}
	}
	return n, err
}

// produce sends values to a partition, one burst after the other. No burst may fail: a client whose server comes back has nothing to give up for.
func (w *load) produce(ctx context.Context, rng *rand.Rand, name string, id laneID, opts ...kgo.Opt) error {
	cl, err := w.client(ctx, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for next := int64(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if id.topic == topicIdem && w.waiting(id.partition) > inputRoom {
			continue
		}
		end := next + 1 + rng.Int64N(burst)
		w.ledger.send(id, end)
		results := cl.ProduceSync(ctx, w.records(id, next, end)...)
		if err := results.FirstErr(); err != nil {
			return fmt.Errorf("values %d to %d of %v: %w", next, end, id, err)
		}
		for i, r := range results {
			w.ledger.ack(id, r.Record.Offset, next+int64(i))
		}
		if id.topic == topicIdem {
			w.offer(id.partition, results)
		}
		next = end
		w.ledger.stepped(name)
	}
}

// records makes the values [from, to) of a partition's writer.
func (w *load) records(id laneID, from, to int64) []*kgo.Record {
	var out []*kgo.Record
	for number := from; number < to; number++ {
		out = append(out, &kgo.Record{Topic: w.ledger.name(id.topic), Partition: id.partition, Value: value(id.partition, number)})
	}
	return out
}

// offer hands acknowledged inputs to their copier.
func (w *load) offer(writer int32, results kgo.ProduceResults) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range results {
		w.inputs[writer] = append(w.inputs[writer], r.Record.Offset)
	}
}

func (w *load) waiting(writer int32) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.inputs[writer])) - w.copied[writer]
}

// input returns how many inputs there are, and the offset behind the inputs [0, n).
func (w *load) input(writer int32, n int64) (count, end int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 {
		end = w.inputs[writer][n-1] + 1
	}
	return int64(len(w.inputs[writer])), end
}

// done notes up to which input a copier's transactions were answered as committed.
func (w *load) done(writer int32, n int64) {
	w.mu.Lock()
	w.copied[writer] = n
	w.mu.Unlock()
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	w.ledger.commits++
}

// watch is a member of a group that reads what is committed and commits how far it is.
func (w *load) watch(ctx context.Context, name string) error {
	l := w.ledger
	cl, err := w.client(ctx, kgo.ConsumeTopics(l.name(topicIdem), l.name(topicCopyA)), kgo.ConsumerGroup(watchersOf(l)), kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll(),
		// Without the markers this client forgets in which epoch they were written, and takes a marker behind a restart for a loss.
		kgo.KeepControlRecords(), kgo.FetchMaxWait(200*time.Millisecond), kgo.HeartbeatInterval(200*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollFetches(poll)
		cancel()
		var fault error
		fetches.EachError(func(topic string, partition int32, err error) {
			// That the group cannot be reached is told as an error of reading, and means nothing here.
			if session := new(kgo.ErrGroupSession); !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &session) {
				fault = fmt.Errorf("reading %s-%d: %w", topic, partition, err)
			}
		})
		if fault != nil {
			return fault
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				l.observe(l.lane(r.Topic, r.Partition), r)
			}
		})
		// A commit that finds another generation is refused, and the records come again.
		if marked := cl.UncommittedOffsets(); len(marked) > 0 && cl.CommitUncommittedOffsets(ctx) == nil {
			for topic, list := range cl.CommittedOffsets() {
				for n, at := range list {
					if mine := marked[topic][n]; mine.Offset == at.Offset {
						l.commit(watchersOf(l), l.lane(topic, n), at.Offset)
					}
				}
			}
		}
		cl.AllowRebalance()
		l.stepped(name)
	}
	return nil
}

func watchersOf(l *ledger) string { return "watchers" + l.suffix }

// observe holds a record that the group was given against what is known, and against what it was given before: a partition's next owner may be given something again,
// and may not miss anything.
func (l *ledger) observe(id laneID, r *kgo.Record) {
	number, err := parse(id.partition, r.Value)
	if err != nil {
		l.fault("L2", "%v, offset %d: %v", id, r.Offset, err)
		return
	}
	l.note("L3", id, r.Offset, number)
	l.mu.Lock()
	n := l.lanes[id]
	next := n.delivered
	n.delivered = max(next, number+1)
	l.mu.Unlock()
	if number > next {
		l.fault("G4", "%v: the group is given value %d at offset %d, and was not given those from %d on", id, number, r.Offset, next)
	}
}

// finish ends the clients; no transaction stays open.
func (w *load) finish() {
	w.ledger.t.Helper()
	w.stop()
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	for n := range int32(writers) {
		cl, err := (&copier{load: w, writer: n}).open(ctx)
		if err != nil {
			w.ledger.t.Fatalf("ending what copier %d left open: %v", n, err)
		}
		cl.Close()
	}
}
