package hostiletest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/proctest"
)

// How many there are of each kind. MILLRACE_HOSTILE_IDLERS sets the first.
const (
	defaultIdlers = 500
	halves        = 200
	babblers      = 50
	mutes         = 40

	babblePace = 100 * time.Millisecond // between two connections of a babbler
	bulk       = 32 << 20               // bytes that the mute ask for
	ours       = 300                    // file descriptors that the test and the server need besides
)

// What the server may take, by kind. The last is for what the collector and the workers make of it.
const (
	perIdler   = 12 << 10
	perHalf    = 64 << 10
	perBabbler = 64 << 10
	perMute    = 1 << 20
	slack      = 128 << 20
)

// crowd holds the connections of the hostile.
type crowd struct {
	t       *testing.T
	address string
	mu      sync.Mutex
	conns   []net.Conn // guarded by mu
	wg      sync.WaitGroup
}

func (c *crowd) dial() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", c.address, time.Minute)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return conn, nil
}

// leave ends all connections.
func (c *crowd) leave() {
	c.mu.Lock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// greeting is ApiVersions, version 0, without a client id.
var greeting = []byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff}

// idle connects, asks what is served, and says nothing more.
func (c *crowd) idle(n int) {
	c.t.Helper()
	for i := range n {
		conn, err := c.dial()
		if err == nil {
			_, err = conn.Write(greeting)
		}
		var head [4]byte
		if err == nil {
			_, err = io.ReadFull(conn, head[:])
		}
		if err == nil {
			_, err = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[:])))
		}
		if err != nil {
			c.t.Fatalf("idle client %d of %d: %v", i, n, err)
		}
	}
}

// halve sends the length of a large frame and its first bytes.
func (c *crowd) halve(n int) {
	c.t.Helper()
	const length, sent = 64 << 20, 40 << 10
	frame := binary.BigEndian.AppendUint32(nil, length)
	frame = append(frame, make([]byte, sent)...) // a Produce request, as far as the server can tell
	for i := range n {
		conn, err := c.dial()
		if err == nil {
			_, err = conn.Write(frame)
		}
		if err != nil {
			c.t.Fatalf("half a frame, client %d: %v", i, err)
		}
	}
}

// mute asks for all records of a topic, several times, and reads no answer.
func (c *crowd) mute(n int, topic string) {
	c.t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(4)
	req.MaxBytes = bulk
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = bulk
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
	for i := range n {
		conn, err := c.dial()
		for range 4 {
			if err == nil {
				_, err = conn.Write(frame)
			}
		}
		if err != nil {
			c.t.Fatalf("mute client %d: %v", i, err)
		}
	}
}

// babble sends garbage on one connection after the other until ctx ends.
func (c *crowd) babble(ctx context.Context, n int, seed uint64) {
	for i := range n {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		c.wg.Go(func() {
			garbage := make([]byte, 4<<10)
			tick := time.NewTicker(babblePace)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				conn, err := net.DialTimeout("tcp", c.address, time.Minute)
				if err != nil {
					continue
				}
				for j := range garbage {
					garbage[j] = byte(rng.Uint32())
				}
				if rng.IntN(2) == 0 { // a length that holds: the garbage gets as far as the decoders
					binary.BigEndian.PutUint32(garbage, uint32(len(garbage)-4))
					garbage[4], garbage[6] = 0, 0
				}
				_ = conn.SetDeadline(time.Now().Add(time.Second))
				_, _ = conn.Write(garbage) // the server may close at any byte
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}
		})
	}
}

// fitting is how many idle clients there are, as far as the limit of open files leaves room for them, here and in the server, which inherits it.
func fitting(t *testing.T) int {
	t.Helper()
	idlers := int64(defaultIdlers)
	if text := os.Getenv("MILLRACE_HOSTILE_IDLERS"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			t.Fatalf("MILLRACE_HOSTILE_IDLERS=%s: want a number", text)
		}
		idlers = n
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	room := int64(min(limit.Max, 1<<20)) - halves - mutes - 2*babblers - ours
	if room < idlers {
		t.Logf("the limit of %d open files leaves room for %d idle clients of %d", limit.Max, room, idlers)
	}
	return int(max(min(room, idlers), 0))
}

func TestHostileClientsHarmNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections; left out with -short")
	}
	idle := fitting(t)
	server, address := proctest.Broker(t, t.TempDir(), "", "--set", "max.connections.per.ip=10000")
	fill(t, address)
	all := newWorkers(t, address)
	work(t, all) // makes topics and connections
	quiet := work(t, all)
	before := server.ResidentBytes(t)

	ctx, cancel := context.WithCancel(t.Context())
	c := &crowd{t: t, address: address}
	t.Cleanup(func() {
		cancel()
		c.leave()
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c.idle(idle)
	c.halve(halves)
	c.mute(mutes, "bulk")
	c.babble(ctx, babblers, seed)
	beside := work(t, all)
	after := server.ResidentBytes(t)

	t.Logf("%d idle clients, %d halves of frames, %d mute, %d babbling", idle, halves, mutes, babblers)
	t.Logf("99 of 100 trips take at most %v alone and %v beside the others (%.2f times)", quiet, beside, float64(beside)/float64(quiet))
	t.Logf("the server takes %d MiB alone and %d MiB beside the others", before>>20, after>>20)
	if limit := before + slack + int64(idle*perIdler+halves*perHalf+babblers*perBabbler+mutes*perMute); after > limit {
		t.Errorf("the server takes %d MiB, allowed are %d MiB", after>>20, limit>>20)
	}
	cancel()
	c.leave()
	work(t, all)
	if text := server.Stderr.String(); strings.Contains(text, "panic") || strings.Count(text, "\n") > 100 {
		t.Errorf("the server wrote: %.5000s", text)
	}
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)
}

// fill makes a topic that is worth asking for.
func fill(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), workTimeout)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic("bulk"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, "bulk"); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 512<<10)
	var errs []error
	for range bulk / len(value) {
		errs = append(errs, cl.ProduceSync(ctx, kgo.SliceRecord(value)).FirstErr())
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
