package broker_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/internal/record"
)

// Every limit of limits.go has its test: here, or in hostile_test.go (memory of frames, answers that nobody reads), conn_test.go (lengths, connections of one
// address, one request at a time) and write_test.go (memory of answers).

// takes fails the test when the server does not close the connection after exactly this long.
func takes(t *testing.T, c *brokertest.Conn, want time.Duration) {
	t.Helper()
	begun := time.Now()
	if !c.Closed() {
		t.Error("the server sends something")
	}
	if took := time.Since(begun); took != want {
		t.Errorf("the connection was closed after %v, want %v", took, want)
	}
}

func TestAClientThatSaysNothingIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, broker.Config{})
		takes(t, b.Dial(t), time.Minute)
	})
}

func TestAClientThatSendsHalfAFrameIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, broker.Config{})
		for name, bytes := range map[string]string{"half a length": "\x00\x00", "half a header": "\x00\x00\x10\x00\x00\x12", "half a body": "\x00\x00\x10\x00" + strings.Repeat("x", 100)} {
			c := b.Dial(t)
			if _, err := c.Write([]byte(bytes)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			takes(t, c, 30*time.Second)
		}
	})
}

// A frame of many chunks may take longer than one of few, as long as each comes in time.
func TestALargeFrameMayTakeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, broker.Config{})
		const size = 512 << 10 // chunks of 64, 64, 128 and 256 KiB
		c := b.Dial(t)
		frame := binary.BigEndian.AppendUint32(nil, size)
		frame = append(frame, 0, 0, 0, 9) // Produce version 9, then garbage
		frame = append(frame, make([]byte, size-4)...)
		for len(frame) > 0 {
			n := min(64<<10, len(frame))
			time.Sleep(5 * time.Second)
			if _, err := c.Write(frame[:n]); err != nil {
				t.Fatalf("with %d bytes left to send: %v", len(frame), err)
			}
			frame = frame[n:]
		}
		takes(t, c, 0) // for what is in it
	})
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, broker.Config{Set: map[string]string{"connections.max.idle.ms": "7000"}})
		c := b.Dial(t)
		for range 3 { // each request begins the time anew
			c.Ask(kmsg.NewPtrApiVersionsRequest())
			time.Sleep(6 * time.Second)
		}
		c.Ask(kmsg.NewPtrApiVersionsRequest())
		takes(t, c, 7*time.Second)
	})
}

func TestAClientThatDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := testContext(t)
		b := brokertest.Start(t, broker.Config{})
		createTopic(t, b, "t", 1, nil)
		cl := b.Client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
		for range 8 {
			produceAll(ctx, t, cl, "t", strings.Repeat("x", 900_000))
		}
		cl.Close()
		c := b.Dial(t)
		c.Send(fetchAll("t"))
		const open = `kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"}`
		// 7 MB at 128 KiB/s are 54 s beside the 30. The one that stays made the topic.
		for _, at := range []struct {
			after time.Duration
			conns float64
		}{{80 * time.Second, 2}, {10 * time.Second, 1}} {
			time.Sleep(at.after)
			synctest.Wait()
			if samples, _ := scrape(t, b); samples[open] != at.conns {
				t.Errorf("%v connections are open, want %v", samples[open], at.conns)
			}
		}
	})
}

func TestTooManyConnectionsAreRefused(t *testing.T) {
	b := brokertest.Start(t, broker.Config{Set: map[string]string{"max.connections": "2"}})
	first, second := b.Dial(t), b.Dial(t)
	first.Ask(kmsg.NewPtrApiVersionsRequest())
	second.Ask(kmsg.NewPtrApiVersionsRequest())
	if !b.Dial(t).Closed() {
		t.Error("a third connection is served")
	}
	first.Close()
	for ctx := testContext(t); ; { // the server takes note in its own time
		if samples, _ := scrape(t, b); samples[`kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"}`] == 1 {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("a closed connection is counted for ever")
		}
	}
	alive(t, b)
	if samples, _ := scrape(t, b); samples["millrace_connections_refused_total"] != 1 {
		t.Errorf("%v connections were refused, want 1", samples["millrace_connections_refused_total"])
	}
}

// Long polls are bounded by the connections: a connection has one request in process, and its next ones are not even read.
func TestAConnectionHasOneLongPoll(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, nil)
	poll := fetchAll("t")
	poll.MaxWaitMillis, poll.MinBytes = 60_000, 1
	c := b.Dial(t)
	for range 5 {
		c.Send(poll)
	}
	const waiting = `kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation="Fetch"}`
	for ctx := testContext(t); ; {
		samples, _ := scrape(t, b)
		if samples[waiting] > 1 {
			t.Fatalf("%v fetches of one connection wait", samples[waiting])
		}
		if samples[waiting] == 1 {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("no fetch waits")
		}
	}
	produceAll(testContext(t), t, b.Client(t), "t", "x")
	for range 5 {
		c.Receive(poll) // in turn, now that there is something
	}
}

// A batch that is small on the wire and huge in memory is refused before it is unpacked in full.
func TestABatchThatUnpacksToTooMuchIsRefused(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, map[string]string{"max.message.bytes": "200000000"})
	var builder record.Builder
	builder.AppendRecord(time.Now().UnixMilli(), []byte("k"), make([]byte, record.DefaultMaxDecompressed+1), nil)
	batch := builder.Finish(record.NoProducer, 0, record.Zstd) // the other codecs have their tests in package record
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(9)
	req.Acks, req.TimeoutMillis = -1, 10_000
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: batch}}}}
	resp := b.Dial(t).Ask(req).(*kmsg.ProduceResponse)
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err == nil {
		t.Errorf("%d bytes that unpack to more than %d were taken", len(batch), record.DefaultMaxDecompressed)
	}
	alive(t, b)
}
