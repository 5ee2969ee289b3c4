package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/internal/record"
)

const testLimit = 30 * time.Second

// protocols are both transaction protocols, the newest first.
var protocols = map[string]Features{"transactions-2": {Transactions2: true}, "transactions-1": {}}

// world is a broker with a topic, and connections to it that may be cut.
type world struct {
	t      *testing.T
	broker *brokertest.Broker
	topic  string
	ctx    context.Context
}

func newWorld(t *testing.T, partitions int32) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	w := &world{t: t, broker: brokertest.Start(t, broker.Config{}), topic: "things", ctx: ctx}
	cl := w.client(nil, Features{Transactions2: true})
	if err := CreateTopics(ctx, cl, []NewTopic{{Name: w.topic, Partitions: partitions, ReplicationFactor: -1}}, testLimit); err != nil {
		t.Fatal(err)
	}
	return w
}

// client returns a client whose connections go through cuts, if there are any.
func (w *world) client(cuts *cutter, f Features) *kgo.Client {
	w.t.Helper()
	dial := w.broker.Net.Dial
	if cuts != nil {
		cuts.dial, dial = w.broker.Net.Dial, cuts.Dial
	}
	opts := Config{Brokers: []string{w.broker.Addr}, Dial: dial, ClientID: "test"}.Options()
	cl, err := kgo.NewClient(append(opts, f.Options()...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cl.Close)
	return cl
}

func (w *world) producer(cuts *cutter, cfg ProducerConfig) (*Producer, *Topic) {
	w.t.Helper()
	cl := w.client(cuts, cfg.Features)
	p := NewProducer(cl, NewTopics(cl), cfg)
	w.t.Cleanup(p.Close)
	w.must(p.Init(w.ctx))
	topic, err := p.Topic(w.ctx, w.topic)
	w.must(err)
	return p, topic
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// append appends the numbers [from, to) to a partition.
func (w *world) append(p *Producer, topic *Topic, partition int32, from, to int) {
	w.t.Helper()
	for n := from; n < to; n++ {
		w.must(p.Append(topic, partition, 1, nil, number(n), nil))
	}
}

func number(n int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 100), uint64(n))[:100]
}

// read returns the numbers in a partition up to its high watermark, through a Fetcher.
func (w *world) read(partition int32, committed bool) []int {
	w.t.Helper()
	cl := w.client(nil, Features{Transactions2: true})
	tp := TopicPartition{w.topic, partition}
	ends, err := ListEnds(w.ctx, cl, tp, testLimit)
	w.must(err)
	f := NewFetcher(cl, NewTopics(cl), FetchConfig{ReadCommitted: committed, PartitionBytes: 64 << 10})
	defer f.Close()
	c := f.Add(tp, ends.Start)
	var got []int
	var r record.Record
	for c.Position() < ends.HighWatermark {
		ok, err := c.Next(&r)
		w.must(err)
		if ok {
			got = append(got, int(binary.BigEndian.Uint64(r.Value)))
			continue
		}
		if c.Position() >= ends.HighWatermark {
			break
		}
		select {
		case <-f.Ready():
		case <-w.ctx.Done():
			w.t.Fatalf("partition %d: position %d of %d", partition, c.Position(), ends.HighWatermark)
		}
	}
	return got
}

func (w *world) equal(partition int32, committed bool, want []int) {
	w.t.Helper()
	if got := w.read(partition, committed); !slices.Equal(got, want) {
		w.t.Errorf("partition %d: %s, want %s", partition, brief(got), brief(want))
	}
}

func brief(n []int) string {
	if len(n) > 20 {
		return fmt.Sprintf("%d numbers %v … %v", len(n), n[:8], n[len(n)-8:])
	}
	return fmt.Sprint(n)
}

func span(from, to int) []int {
	var s []int
	for n := from; n < to; n++ {
		s = append(s, n)
	}
	return s
}

// cutter cuts each connection after a random number of bytes, in either direction, until it is told to stop.
type cutter struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex
	rng  *rand.Rand
	most int // bytes that a connection lives for
	cuts int
	off  bool
}

func newCutter(t *testing.T, most int) *cutter {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return &cutter{rng: rand.New(rand.NewPCG(seed, 0)), most: most}
}

func (c *cutter) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return &cutConn{Conn: conn, c: c, left: 500 + c.rng.IntN(c.most)}, nil
}

func (c *cutter) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = true
}

// cutConn counts what passes and closes when its time has come, in the middle of a frame as likely as not.
type cutConn struct {
	net.Conn
	c    *cutter
	left int // guarded by c.mu
}

var errCut = errors.New("the connection was cut")

// spend returns how many of n bytes still pass.
func (k *cutConn) spend(n int) int {
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	if k.c.off {
		return n
	}
	if n <= k.left {
		k.left -= n
		return n
	}
	pass := k.left
	if k.left >= 0 {
		k.c.cuts++
	}
	k.left = -1
	return max(0, pass)
}

func (k *cutConn) Write(b []byte) (int, error) {
	pass := k.spend(len(b))
	n, err := k.Conn.Write(b[:pass])
	if err == nil && pass < len(b) {
		k.Conn.Close()
		return n, errCut
	}
	return n, err
}

func (k *cutConn) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	if pass := k.spend(n); pass < n {
		k.Conn.Close()
		return pass, errCut
	}
	return n, err
}

// recreate deletes the topic and makes it anew.
func (w *world) recreate() {
	w.t.Helper()
	cl := w.client(nil, Features{Transactions2: true})
	_, err := kadm.NewClient(cl).DeleteTopic(w.ctx, w.topic)
	w.must(err)
	w.must(CreateTopics(w.ctx, cl, []NewTopic{{Name: w.topic, Partitions: 1, ReplicationFactor: -1}}, testLimit))
}
