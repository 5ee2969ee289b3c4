package brokertest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Conn is one connection that speaks the protocol without any of a client's wisdom: for tests of single answers.
type Conn struct {
	net.Conn
	t    testing.TB
	next int32
}

// Dial opens a connection that is closed with the test.
func (b *Broker) Dial(t testing.TB) *Conn {
	t.Helper()
	c, err := b.Net.Dial(context.Background(), "tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &Conn{Conn: c, t: t}
}

// Send writes a request of the version that it is set to.
func (c *Conn) Send(req kmsg.Request) {
	c.t.Helper()
	c.next++
	b := kbin.AppendInt16([]byte{0, 0, 0, 0}, req.Key())
	b = kbin.AppendInt16(b, req.GetVersion())
	b = kbin.AppendInt32(b, c.next)
	client := "brokertest"
	b = kbin.AppendNullableString(b, &client)
	if req.IsFlexible() {
		b = append(b, 0)
	}
	b = req.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("sending %s: %v", kmsg.NameForKey(req.Key()), err)
	}
}

// Receive reads the next answer, which must be to a request of req's kind and version.
func (c *Conn) Receive(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	resp, err := c.receive(req)
	if err != nil {
		c.t.Fatalf("the answer to %s version %d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp
}

func (c *Conn) receive(req kmsg.Request) (kmsg.Response, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, err
	}
	skip := 4
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		skip++
	}
	if len(body) < skip {
		return nil, fmt.Errorf("%d bytes are no header", len(body))
	}
	return resp, resp.ReadFrom(body[skip:])
}

// Ask sends a request and returns its answer.
func (c *Conn) Ask(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	c.Send(req)
	return c.Receive(req)
}

// Closed reports whether the broker closes the connection without another answer; it waits for either.
func (c *Conn) Closed() bool {
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe)
}
