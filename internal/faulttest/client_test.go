package faulttest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/memnet"
)

// answerTimeout bounds the wait for one answer; it takes milliseconds.
const answerTimeout = time.Minute

// client asks one request after the other, on a connection that is made anew when the server closed the last. It tries nothing again.
type client struct {
	net  *memnet.Network
	addr string
	conn net.Conn // nil when there is none
	next int32
}

// errClosed: the server closed the connection without an answer.
var errClosed = errors.New("the connection was closed")

func (c *client) ask(req kmsg.Request) (kmsg.Response, error) {
	if c.conn == nil {
		conn, err := c.net.Dial(context.Background(), "tcp", c.addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errClosed, err)
		}
		c.conn = conn
	}
	resp, err := c.exchange(req)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%w: %w", errClosed, err)
	}
	return resp, nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *client) exchange(req kmsg.Request) (kmsg.Response, error) {
	c.next++
	c.conn.SetDeadline(time.Now().Add(answerTimeout))
	if _, err := c.conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("faulttest")).AppendRequest(nil, req, c.next)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c.conn, body); err != nil {
		return nil, err
	}
	skip := 4
	if req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		skip++
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	return resp, resp.ReadFrom(body[skip:])
}

// refused tells whether a request was answered by nothing worse than what may be tried again: then it may have happened or not. Anything else is an error.
func refused(err error) (bool, error) {
	if err == nil {
		return false, nil
	}
	if errors.Is(err, errClosed) {
		return true, nil
	}
	var k *kerr.Error
	if errors.As(err, &k) && (k.Retriable || k == kerr.ConcurrentTransactions) { // of which only the Java client knows that it may be tried again
		return true, nil
	}
	return true, err
}
