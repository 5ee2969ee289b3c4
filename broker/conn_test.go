package broker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// alive fails the test when the broker does not answer a new connection.
func alive(t *testing.T, b *brokertest.Broker) {
	t.Helper()
	req := kmsg.NewPtrApiVersionsRequest()
	if resp := b.Dial(t).Ask(req).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 0 || len(resp.ApiKeys) == 0 {
		t.Fatalf("the broker answers with error %d and %d keys", resp.ErrorCode, len(resp.ApiKeys))
	}
}

func TestGarbageCostsItsConnectionOnly(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	for name, bytes := range map[string]string{
		"http":                   "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"negative length":        "\xff\xff\xff\xff",
		"zero length":            "\x00\x00\x00\x00",
		"length above the limit": "\x7f\xff\xff\xff",
		"tls hello":              "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"no header":              "\x00\x00\x00\x02\x00\x03",
		"unknown key":            "\x00\x00\x00\x0a\x03\xe7\x00\x00\x00\x00\x00\x01\xff\xff",
		"huge array":             "\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\x7f\xff\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			c := b.Dial(t)
			if _, err := c.Write([]byte(bytes)); err != nil {
				t.Fatal(err)
			}
			if !c.Closed() {
				t.Error("the connection was not closed")
			}
			alive(t, b)
		})
	}
}

// A count of tagged fields is a promise of bytes: one that the frame cannot keep must not be counted down.
func TestHugeTagCountsCostNoTime(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	const header = "\x00\x0c\x00\x04\x00\x00\x00\x01\xff\xff" // Heartbeat v4, no client id
	const body = "\x02g\x00\x00\x00\x01\x02m\x00"
	const huge = "\xff\xff\xff\xff\x0f"
	for name, frame := range map[string]string{
		"in the header": header + huge,
		"in the body":   header + "\x00" + body + huge,
	} {
		t.Run(name, func(t *testing.T) {
			c := b.Dial(t)
			if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(5 * time.Second)) // counting to 2³² takes longer by far
			if !c.Closed() {
				t.Error("the connection is still open: the server counts")
			}
		})
	}
}

func TestRandomBytesNeverStopTheServer(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		frame := make([]byte, 12+rng.IntN(60))
		for i := range frame {
			frame[i] = byte(rng.IntN(256))
		}
		binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
		binary.BigEndian.PutUint16(frame[4:], uint16(rng.IntN(80))) // key
		binary.BigEndian.PutUint16(frame[6:], uint16(rng.IntN(14))) // version
		c := b.Dial(t)
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	alive(t, b)
}

func TestAFrameMayComeByteByByte(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	c := b.Dial(t)
	req := kmsg.NewPtrApiVersionsRequest()
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("slow")).AppendRequest(nil, req, 1)
	for i := range frame {
		if _, err := c.Write(frame[i : i+1]); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	if resp := c.Receive(req).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 0 {
		t.Fatalf("error %d", resp.ErrorCode)
	}
}

func TestAnswersLeaveInTheOrderOfTheRequests(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	c := b.Dial(t)
	fetch := kmsg.NewPtrFetchRequest()
	fetch.SetVersion(12)
	fetch.MaxWaitMillis, fetch.MinBytes, fetch.MaxBytes, fetch.SessionEpoch = 50, 1, 1<<20, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = "t"
	part := kmsg.NewFetchRequestTopicPartition()
	part.PartitionMaxBytes = 1 << 20
	topic.Partitions = append(topic.Partitions, part)
	fetch.Topics = append(fetch.Topics, topic)
	createTopic(t, b, "t", 1, nil)
	versions := kmsg.NewPtrApiVersionsRequest()
	c.Send(fetch)
	c.Send(versions)
	c.Send(versions)
	if resp := c.Receive(fetch).(*kmsg.FetchResponse); resp.ErrorCode != 0 || len(resp.Topics) != 1 {
		t.Fatalf("the long poll was answered with error %d and %d topics", resp.ErrorCode, len(resp.Topics))
	}
	c.Receive(versions)
	c.Receive(versions)
}

// createTopic makes a topic or fails the test.
func createTopic(t testing.TB, b *brokertest.Broker, name string, partitions int32, configs map[string]string) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(7)
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for k, v := range configs {
		topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: k, Value: &v})
	}
	req.Topics = append(req.Topics, topic)
	resp := b.Dial(t).Ask(req).(*kmsg.CreateTopicsResponse)
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		t.Fatalf("creating %s: %v", name, err)
	}
}

func TestTooManyConnectionsFromOneAddressAreRefused(t *testing.T) {
	b := brokertest.Start(t, broker.Config{Set: map[string]string{"max.connections.per.ip": "3"}})
	req := kmsg.NewPtrApiVersionsRequest()
	var held []*brokertest.Conn
	for range 3 {
		c := b.Dial(t)
		c.Ask(req)
		held = append(held, c)
	}
	if !b.Dial(t).Closed() {
		t.Fatal("a fourth connection was taken")
	}
	held[0].Ask(req) // the others live on
}

func TestShutdownEndsLongPollsAndLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 4, nil)
	cl, err := kgo.NewClient(append(b.Opts(), kgo.ConsumeTopics("t"), kgo.FetchMaxWait(time.Minute))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var polling sync.WaitGroup
	polling.Go(func() { cl.PollFetches(ctx) })
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	b.Stop()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the shutdown took %v with a long poll of a minute open", took)
	}
	cancel()
	polling.Wait()
	cl.Close()
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		buf := make([]byte, 1<<20)
		t.Fatalf("%d goroutines before, %d after:\n%s", before, n, buf[:runtime.Stack(buf, true)])
	}
	if err := b.Server; err != nil {
		t.Error("the broker is still there")
	}
}

func TestServeAfterShutdownIsRefused(t *testing.T) {
	var s broker.Server
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(ln); err == nil || !strings.Contains(err.Error(), broker.ErrServerClosed.Error()) {
		t.Fatalf("Serve after Shutdown returned %v", err)
	}
	if _, err := ln.Accept(); err == nil {
		t.Fatal("the listener was left open")
	}
}

func TestClientsAreToldTheListenerThatTheyCameInOn(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	addr := b.Listen()
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(12)
	inMemory := b.Dial(t).Ask(req).(*kmsg.MetadataResponse).Brokers[0]
	if got := net.JoinHostPort(inMemory.Host, fmt.Sprint(inMemory.Port)); got != b.Addr {
		t.Errorf("a client in memory is told %s, want %s", got, b.Addr)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	if got := net.JoinHostPort(resp.Brokers[0].Host, fmt.Sprint(resp.Brokers[0].Port)); got != addr {
		t.Errorf("a client on the socket is told %s, want %s", got, addr)
	}
}

func TestManyBadClientsMakeOneLogLine(t *testing.T) {
	var log lockedBuffer
	b := brokertest.Start(t, broker.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 50 {
		c := b.Dial(t)
		c.Write([]byte("\xff\xff\xff\xff"))
		c.Closed()
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines for 50 clients, want 1:\n%s", n, log.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
