package broker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/internal/capture"
	"github.com/millrace-io/millrace/internal/memtest"
)

const (
	// A conversation may make the broker allocate this much, and so much for each of its bytes: a request for a topic costs a log with its buffers.
	conversationBase = 64 << 20
	conversationEach = 4 << 10

	// answersWithin is how long the fuzz target waits for the answers of a conversation before it goes on: some requests wait for others.
	answersWithin = 30 * time.Millisecond

	lastWord = 0x7eadbeef // correlation id of the request that ends a conversation
)

// loud counts the errors that a broker logs.
type loud struct {
	slog.Handler
	errors *atomic.Int64
	text   *atomic.Pointer[string]
}

func (h loud) Enabled(context.Context, slog.Level) bool { return true }
func (h loud) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h loud) WithGroup(string) slog.Handler            { return h }
func (h loud) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		h.errors.Add(1)
		text := r.Message
		r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
		h.text.Store(&text)
	}
	return nil
}

// conversation turns bytes into what is sent: frames, each with a length of two bytes before it; a length that is not kept is sent as it is, for the server to find out.
func conversation(data []byte) []byte {
	var out []byte
	for len(data) >= 2 {
		n := int(binary.BigEndian.Uint16(data))
		data = data[2:]
		if n > len(data) {
			return append(binary.BigEndian.AppendUint32(out, uint32(n)), data...)
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(n)), data[:n]...)
		data = data[n:]
	}
	return append(out, data...)
}

// FuzzServerConversation sends frames to a server of its own. Whatever they are: nothing panics, others are served, memory stays within a multiple of the bytes,
// and no goroutine is left when the server has ended.
func FuzzServerConversation(f *testing.F) {
	frames, err := capture.Frames()
	if err != nil {
		f.Fatal(err)
	}
	const together = 12
	var several []byte
	for i, frame := range frames {
		one := append(binary.BigEndian.AppendUint16(nil, uint16(len(frame))), frame...)
		f.Add(one)
		if several = append(several, one...); i%together == together-1 {
			f.Add(several)
			several = nil
		}
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{0, 200, 0, 3, 0, 1}) // a frame that ends too soon
	f.Fuzz(func(t *testing.T, data []byte) {
		var errs atomic.Int64
		var text atomic.Pointer[string]
		b := brokertest.Start(t, broker.Config{Logger: slog.New(loud{slog.DiscardHandler, &errs, &text}), Set: map[string]string{
			"offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1",
		}})
		took := memtest.Allocated(func() { converse(t, b, conversation(data)) })
		if limit := int64(conversationBase + len(data)*conversationEach); took > limit {
			t.Errorf("%d bytes made the server allocate %d, allowed are %d", len(data), took, limit)
		}
		alive(t, b)
		if errs.Load() > 0 {
			t.Errorf("the server logged an error: %s", *text.Load())
		}
		b.Stop()
		ended(t)
	})
}

// converse sends bytes and reads what comes back, until the last word is answered, the server closes the connection, or it takes too long.
func converse(t *testing.T, b *brokertest.Broker, sent []byte) {
	t.Helper()
	c := b.Dial(t)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		var head [8]byte
		for {
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return
			}
			n := int64(binary.BigEndian.Uint32(head[:]))
			if _, err := io.CopyN(io.Discard, c, n-4); err != nil || binary.BigEndian.Uint32(head[4:]) == lastWord {
				return
			}
		}
	}()
	last := []byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 0, 0xff, 0xff} // ApiVersions, version 0, without a client id
	binary.BigEndian.PutUint32(last[8:], lastWord)
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.Copy(c, bytes.NewReader(append(sent, last...))) // the server may close the connection at any byte
	}()
	timer := time.NewTimer(answersWithin)
	defer timer.Stop()
	select {
	case <-answered:
	case <-timer.C:
	}
	c.Close()
	<-answered
	<-written
}

// ended waits until no goroutine runs the server's code any more.
func ended(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	stacks := make([]byte, 1<<20)
	for {
		var left []string
		for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(stack, "millrace/broker.") || strings.Contains(stack, "millrace/broker/internal/") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("%d goroutines of the server are left:\n%s", len(left), strings.Join(left, "\n\n"))
		}
	}
}

func TestRecordedClientsAreServedInOneConversation(t *testing.T) {
	frames, err := capture.Frames()
	if err != nil {
		t.Fatal(err)
	}
	b := brokertest.Start(t, broker.Config{})
	for _, frame := range frames {
		converse(t, b, append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	}
	alive(t, b)
}
