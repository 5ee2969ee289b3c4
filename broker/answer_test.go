package broker_test

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// overheard is a listener that tells of each write how many answers it had.
type overheard struct {
	net.Listener
	writes chan int
}

func (l *overheard) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &overheardConn{Conn: c, writes: l.writes}, nil
}

type overheardConn struct {
	net.Conn
	writes chan int
}

func (c *overheardConn) Write(b []byte) (int, error) {
	n := 0
	for rest := b; len(rest) > 0; n++ {
		rest = rest[min(4+int(binary.BigEndian.Uint32(rest)), len(rest)):] // a fetch's answer leaves in pieces
	}
	c.writes <- n
	return c.Conn.Write(b)
}

// overhear connects to b through an overheard listener.
func overhear(t *testing.T, b *brokertest.Broker) (net.Conn, <-chan int) {
	t.Helper()
	inner, err := b.Net.Listen("overheard:9092")
	if err != nil {
		t.Fatal(err)
	}
	ln := &overheard{Listener: inner, writes: make(chan int, 100)}
	go b.Server.Serve(ln)
	c, err := b.Net.Dial(t.Context(), "", "overheard:9092")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, ln.writes
}

// TestAnswersOfBatchesThatCameTogetherLeaveTogether: and those that the next request could hold up do not wait for it.
func TestAnswersOfBatchesThatCameTogetherLeaveTogether(t *testing.T) {
	produce := produceRequest("t", 1, readyBatch(1, 100))
	unanswered := produceRequest("t", 1, readyBatch(1, 100))
	unanswered.Acks = 0
	transactional := produceRequest("t", 1, readyBatch(1, 100))
	transactional.TransactionID = kmsg.StringPtr("x")
	refused := produceRequest("no such topic", 200, nil) // with an answer that is larger than what may be held
	longPoll := fetchAll("t")
	longPoll.MaxWaitMillis, longPoll.MinBytes = 300_000, 1<<20
	for name, c := range map[string]struct {
		requests []kmsg.Request
		cut      int // bytes of the last request that come after the answers to the others
		writes   []int
		rest     []int // behind the cut
	}{
		"one":                              {requests: []kmsg.Request{produce}, writes: []int{1}},
		"several":                          {requests: []kmsg.Request{produce, produce, produce}, writes: []int{3}},
		"one that is not wanted between":   {requests: []kmsg.Request{produce, unanswered, produce}, writes: []int{2}},
		"one that is not wanted at last":   {requests: []kmsg.Request{produce, unanswered}, writes: []int{1}},
		"a large one first":                {requests: []kmsg.Request{refused, produce}, writes: []int{1, 1}},
		"a large one at last":              {requests: []kmsg.Request{produce, refused}, writes: []int{2}},
		"before a request that waits":      {requests: []kmsg.Request{produce, produce, longPoll}, writes: []int{2}},
		"before a transaction":             {requests: []kmsg.Request{produce, transactional, produce}, writes: []int{1, 2}},
		"before a part of a request":       {requests: []kmsg.Request{produce, produce, produce}, cut: 1, writes: []int{2}, rest: []int{1}},
		"before the beginning of a length": {requests: []kmsg.Request{produce, produce}, cut: len(frameOf(produce)) - 3, writes: []int{1}, rest: []int{1}},
		"before other requests":            {requests: []kmsg.Request{produce, kmsg.NewPtrMetadataRequest(), produce}, writes: []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.Start(t, broker.Config{})
			createTopic(t, b, "t", 1, nil)
			client, writes := overhear(t, b)
			var sent []byte
			for _, r := range c.requests {
				sent = append(sent, frameOf(r)...)
			}
			if len(sent) > 4<<10 {
				t.Fatalf("%d bytes do not come together", len(sent))
			}
			ctx := testContext(t)
			if _, err := client.Write(sent[:len(sent)-c.cut]); err != nil {
				t.Fatal(err)
			}
			expectWrites(ctx, t, writes, c.writes)
			if c.cut == 0 {
				return
			}
			if _, err := client.Write(sent[len(sent)-c.cut:]); err != nil {
				t.Fatal(err)
			}
			expectWrites(ctx, t, writes, c.rest)
		})
	}
}

// frameOf is a request as it is sent.
func frameOf(r kmsg.Request) []byte { return kmsg.NewRequestFormatter().AppendRequest(nil, r, 1) }

// expectWrites waits for as many writes as are wanted.
func expectWrites(ctx context.Context, t *testing.T, writes <-chan int, want []int) {
	t.Helper()
	var got []int
	for len(got) < len(want) {
		select {
		case n := <-writes:
			got = append(got, n)
		case <-ctx.Done():
			t.Fatalf("answers left by %v, want %v", got, want)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("answers left by %v, want %v", got, want)
	}
}

// What ends a connection does not take back what was answered before it.
func TestAnswersLeaveBeforeTheConnectionEnds(t *testing.T) {
	produce := produceRequest("t", 1, readyBatch(1, 100))
	unknown := produceRequest("no such topic", 1, readyBatch(1, 100))
	unknown.Acks = 0
	for name, last := range map[string][]byte{
		"at what is no request":                   []byte("\x00\x00\x00\x08\x00\x00\x7f\xff\x00\x00\x00\x01"), // Produce, of a version that nobody knows
		"at a request of no length":               []byte("\x00\x00\x00\x00\x00\x00"),
		"at a batch that could not be taken back": frameOf(unknown),
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.Start(t, broker.Config{})
			createTopic(t, b, "t", 1, nil)
			c := b.Dial(t)
			if _, err := c.Write(slices.Concat(frameOf(produce), frameOf(produce), last)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				resp := c.Receive(produce).(*kmsg.ProduceResponse)
				if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
					t.Errorf("error %d", code)
				}
			}
			if !c.Closed() {
				t.Error("the connection goes on")
			}
		})
	}
}

// holdSecond returns files whose second operation of a kind on a topic's log waits until open is called. entered is closed when it begins to.
func holdSecond(kind errorfs.OpKind) (files vfs.FS, entered <-chan struct{}, open func()) {
	var seen atomic.Int32
	begun, gate := make(chan struct{}), make(chan struct{})
	files = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == kind && strings.Contains(op.Path, "/topics/") && strings.HasSuffix(op.Path, ".log") && seen.Add(1) == 2 {
			close(begun)
			<-gate
		}
		return nil
	}))
	return files, begun, sync.OnceFunc(func() { close(gate) })
}

// A batch that waits for the disk holds up no answer to those before it.
func TestAnAnswerDoesNotWaitForTheNextBatchesFlush(t *testing.T) {
	files, entered, open := holdSecond(errorfs.OpFileSyncData)
	defer open()
	b := brokertest.Start(t, broker.Config{Flush: broker.FlushAlways, FS: files})
	createTopic(t, b, "t", 1, nil)
	c := b.Dial(t)
	produce := produceRequest("t", 1, readyBatch(1, 100))
	if _, err := c.Write(slices.Concat(frameOf(produce), frameOf(produce))); err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	select {
	case <-entered:
	case <-ctx.Done():
		t.Fatal("the second batch is not flushed")
	}
	c.SetReadDeadline(time.Now().Add(time.Minute))
	for want := range int64(2) {
		got := c.Receive(produce).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if got.ErrorCode != 0 || got.BaseOffset != want {
			t.Errorf("error %d, offset %d, want none and %d", got.ErrorCode, got.BaseOffset, want)
		}
		open() // the second answer may wait from here on
	}
}

// A server that shuts down between two batches that came together answers those that it took.
func TestShutdownAnswersTheBatchesThatItTook(t *testing.T) {
	files, entered, open := holdSecond(errorfs.OpFileWrite)
	defer open()
	b := brokertest.Start(t, broker.Config{FS: files})
	createTopic(t, b, "t", 1, nil)
	c := b.Dial(t)
	produce := produceRequest("t", 1, readyBatch(1, 100))
	if _, err := c.Write(slices.Concat(frameOf(produce), frameOf(produce), frameOf(produce))); err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	select {
	case <-entered:
	case <-ctx.Done():
		t.Fatal("the second batch is not appended")
	}
	down := make(chan error, 1)
	go func() { down <- b.Server.Shutdown(ctx) }()
	for { // no new connection: the others were told
		other, err := b.Net.Dial(ctx, "", b.Addr)
		if err != nil {
			break
		}
		other.Close()
	}
	open()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	for want := range int64(2) {
		got := c.Receive(produce).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if got.ErrorCode != 0 || got.BaseOffset != want {
			t.Errorf("error %d, offset %d, want none and %d", got.ErrorCode, got.BaseOffset, want)
		}
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	b.Ended()
}
