package runtime

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

var (
	brokersFlag = flag.String("brokers", "", "addresses of a running cluster to test against, comma-separated; default: a broker in this process")
	verbose     = flag.Bool("debug", false, "log what the apps and their clients say")
)

// cluster is where a test's apps run.
type cluster struct {
	t       *testing.T
	brokers []string
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	client  *kgo.Client
	admin   *kadm.Client
	broker  *brokertest.Broker // nil with -brokers
	name    string             // unique, the beginning of topic and application names
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, name: fmt.Sprintf("t%d", time.Now().UnixNano())}
	if *brokersFlag != "" {
		c.brokers = strings.Split(*brokersFlag, ",")
	} else {
		c.broker, c.brokers, c.dial = startBroker(t)
	}
	opts := []kgo.Opt{kgo.SeedBrokers(c.brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))}
	if c.dial != nil {
		opts = append(opts, kgo.Dialer(c.dial))
	}
	var err error
	if c.client, err = kgo.NewClient(opts...); err != nil {
		t.Fatal(err)
	}
	c.admin = kadm.NewClient(c.client)
	t.Cleanup(c.client.Close)
	return c
}

func (c *cluster) createTopic(name string, partitions int32) {
	c.t.Helper()
	_, err := c.admin.CreateTopic(c.t.Context(), partitions, -1, nil, name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		c.t.Fatal(err)
	}
}

// produce writes values without keys, spread over the partitions.
func (c *cluster) produce(topic string, partitions int32, values []string) {
	c.t.Helper()
	var failed atomic.Pointer[error]
	opts := []kgo.Opt{kgo.SeedBrokers(c.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if c.dial != nil {
		opts = append(opts, kgo.Dialer(c.dial))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	for i, v := range values {
		r := &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Value: []byte(v)}
		cl.Produce(c.t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := cl.Flush(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	if err := failed.Load(); err != nil {
		c.t.Fatal(*err)
	}
}

// kill is a switch for an app's connections: once thrown, it is as if the process were gone without a word.
type kill struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	conns []net.Conn
	dead  bool
}

func (k *kill) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return nil, errors.New("killed")
	}
	dial := k.dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	c, err := dial(ctx, network, address)
	if err == nil {
		k.conns = append(k.conns, c)
	}
	return c, err
}

func (k *kill) now() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dead = true
	for _, c := range k.conns {
		c.Close()
	}
}

// instance is an app that runs.
type instance struct {
	app  *App
	kill *kill
	stop context.CancelFunc
	done chan struct{}
	err  error
}

func (c *cluster) start(topo *topology.Topology, cfg Config) *instance {
	c.t.Helper()
	k := &kill{dial: c.dial}
	cfg.Brokers, cfg.Dial = c.brokers, k.Dial
	if cfg.AppID == "" {
		cfg.AppID = c.name
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
		if *verbose {
			cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
	}
	app, err := New(topo, cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &instance{app: app, kill: k, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		i.err = app.Run(ctx)
	}()
	c.t.Cleanup(func() { cancel(); <-i.done })
	return i
}

// end stops the instance cleanly.
func (i *instance) end(t *testing.T) {
	t.Helper()
	i.stop()
	<-i.done
	if i.err != nil {
		t.Fatalf("Run: %v", i.err)
	}
}

// crash makes the instance end as if its process were killed: no commit, no good-bye.
func (i *instance) crash() {
	i.kill.now()
	i.app.fatal(errors.New("crashed on purpose"))
	i.app.mu.Lock()
	if kill := i.app.kill; kill != nil {
		kill()
	}
	i.app.mu.Unlock()
	i.stop() // ends a start that still waits for the broker
	<-i.done
}

// await waits until ok, looking every few milliseconds; what it waits for lies in another process's hands.
func await(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}

func (i *instance) await(t *testing.T, what string, limit time.Duration, ok func(Progress) bool) {
	t.Helper()
	await(t, what, limit, func() bool {
		select {
		case <-i.done:
			t.Fatalf("waiting for %s: Run ended: %v", what, i.err)
		default:
		}
		return ok(i.app.Progress())
	})
}

// wordCount is the topology of most tests: lines are split, words are counted through a repartition topic.
type wordCount struct {
	lines  stream.Topic[string, string]
	counts stream.Topic[string, int64]
	store  *statestore.KeyValueSpec[string, int64]
	topo   *topology.Topology
}

func newWordCount(t *testing.T, name string) *wordCount {
	t.Helper()
	w := &wordCount{
		lines:  stream.NewTopic(name+"-lines", serde.String, serde.String),
		counts: stream.NewTopic(name+"-counts", serde.String, serde.Int64),
		store:  statestore.KeyValue("counts", serde.String, serde.Int64),
	}
	b := stream.NewBuilder()
	words := stream.FlatMapValues(stream.From(b, w.lines), strings.FieldsSeq)
	grouped := stream.GroupBy(words, func(_, word string) string { return word }, stream.NewTopic("words", serde.String, serde.String))
	stream.To(ktable.ToStream(ktable.Count(grouped, w.store)), w.counts)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	w.topo = topo
	return w
}

// text returns n lines of random words, and the counts of their words.
func text(rng *rand.Rand, n, vocabulary int) (lines []string, counts map[string]int64) {
	counts = make(map[string]int64)
	for range n {
		var words []string
		for range 1 + rng.IntN(8) {
			word := fmt.Sprintf("w%d", rng.IntN(vocabulary))
			words = append(words, word)
			counts[word]++
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return lines, counts
}

func add(sum map[string]int64, more map[string]int64) {
	for k, v := range more {
		sum[k] += v
	}
}

// finalCounts reads the output topic as a reader of committed records and returns each word's last count. It fails if a count ever goes back, which no reader may see.
func (c *cluster) finalCounts(topic string, exactlyOnce bool) map[string]int64 {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 60*time.Second)
	defer cancel()
	ends, err := c.admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		c.t.Fatal(err)
	}
	opts := []kgo.Opt{kgo.SeedBrokers(c.brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords()}
	if c.dial != nil {
		opts = append(opts, kgo.Dialer(c.dial))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	last := map[string]int64{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			c.t.Fatalf("reading %s: %v (partitions left: %v)", topic, err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if r.Attrs.IsControl() {
				return
			}
			n := int64(binary.BigEndian.Uint64(r.Value))
			if exactlyOnce && n <= last[string(r.Key)] {
				c.t.Errorf("the count of %s goes from %d to %d", r.Key, last[string(r.Key)], n)
			}
			last[string(r.Key)] = n
		})
	}
	return last
}

func equalCounts(t *testing.T, got, want map[string]int64) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	shown := 0
	for word, n := range want {
		if got[word] != n && shown < 10 {
			t.Errorf("%s: %d, want %d", word, got[word], n)
			shown++
		}
	}
	for word, n := range got {
		if _, ok := want[word]; !ok {
			t.Errorf("%s: %d, want none", word, n)
		}
	}
	t.Errorf("%d words differ in all or part, of %d wanted", shown, len(want))
}

// storeCounts reads the store through the apps that have it.
func storeCounts(t *testing.T, spec *statestore.KeyValueSpec[string, int64], apps ...*App) map[string]int64 {
	t.Helper()
	counts := map[string]int64{}
	for _, a := range apps {
		view, err := Query(a, spec)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range view.All() {
			if err != nil {
				t.Fatal(err)
			}
			counts[e.Key] = e.Value
		}
	}
	return counts
}

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// newUpperCase is another topology over the topics of newWordCount.
func newUpperCase(t *testing.T, name string) *topology.Topology {
	t.Helper()
	b := stream.NewBuilder()
	lines := stream.NewTopic(name+"-lines", serde.String, serde.String)
	stream.To(stream.MapValues(stream.From(b, lines), strings.ToUpper), stream.NewTopic(name+"-counts", serde.String, serde.String))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// produceAt writes one record to partition 0 for each time, which is its value too.
func (c *cluster) produceAt(topic string, times []int64) {
	c.t.Helper()
	var records []*kgo.Record
	for _, ts := range times {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte("k"), Value: strconv.AppendInt(nil, ts, 10), Timestamp: time.UnixMilli(ts)})
	}
	if err := c.client.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}
