package broker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/api"
	"github.com/millrace-io/millrace/broker/internal/frame"
	"github.com/millrace-io/millrace/broker/internal/meter"
)

// conn is one client's connection. It is served by one goroutine: a request is read, handled and answered before the next one is handled, so that
// answers leave in the order of the requests.
type conn struct {
	server *Server
	net    net.Conn
	read   *bufio.Reader
	api    api.Conn
	ip     string
	in     incoming // the request in process; owned by the serving goroutine
	out    outgoing // the answers that are not written yet; owned by the serving goroutine

	sequel sequel // what follows the answers

	mu   sync.Mutex
	busy bool // a request is in process, or an answer not written; guarded by mu
	last bool // no request after this one; guarded by mu
}

// errBadFrame is what clients do that do not speak the protocol.
var errBadFrame = errors.New("bad frame")

// errNobodyReads is a shortage that clients make who ask and do not read.
var errNobodyReads = errors.New("too many answers that were not read yet")

// serve handles requests until the client goes, does something wrong, or the server shuts down.
func (c *conn) serve(ctx context.Context) {
	defer c.net.Close()
	err := c.loop(ctx)
	if e := c.flush(); err == nil { // whatever ended the connection: what was done before is answered
		err = e
	}
	switch {
	case err == nil, gone(err):
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.server.node.Meter.Dropped.Add(1)
		c.server.log.Debug("connection timed out", "client", c.api.Remote)
	default:
		c.server.node.Meter.Dropped.Add(1)
		c.server.complain(c.api.Remote, err)
	}
}

// gone reports whether an error says no more than that the other side, or this one, closed the connection.
func gone(err error) bool {
	for _, e := range []error{io.EOF, io.ErrClosedPipe, net.ErrClosed, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (c *conn) loop(ctx context.Context) error {
	wait := firstRequestTimeout
	for {
		if c.read.Buffered() == 0 {
			c.net.SetReadDeadline(time.Now().Add(wait))
		}
		if _, err := c.read.Peek(1); err != nil {
			return err
		}
		if !c.begin() {
			return nil
		}
		err := c.one(ctx)
		if last := c.end(); err != nil || last {
			return err
		}
		wait = c.server.node.Settings().Duration("connections.max.idle.ms")
	}
}

// begin marks a request in process; false when the server is going down.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = !c.last || c.out.held()
	return !c.last
}

func (c *conn) end() (last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = c.out.held()
	return c.last
}

// finish lets the connection end after the request in process, or at once when there is none.
func (c *conn) finish() {
	c.mu.Lock()
	c.last = true
	idle := !c.busy
	c.mu.Unlock()
	if idle {
		c.net.Close()
	}
}

// one reads, handles and answers one request.
func (c *conn) one(ctx context.Context) error {
	in := &c.in
	defer c.release(in)
	if err := c.readFrame(ctx, in); err != nil {
		return err
	}
	arrived := time.Now()
	req, answer, more, err := c.decode(ctx, in.bytes)
	in.taken += more
	if err != nil || answer != nil {
		return errors.Join(err, c.write(req, answer))
	}
	if in.taken > 0 {
		req.Forget = func() {
			c.release(in)
			req.Body = nil
		}
	}
	if err := c.flushBefore(req); err != nil {
		return err
	}
	resp, err := c.handle(ctx, req)
	if err != nil {
		return err
	}
	handled := time.Now()
	counts := c.server.node.Meter.Of(req.Key)
	api.CountErrors(counts, resp) // before write, which releases the answer
	if f, ok := resp.(api.Followed); ok {
		c.sequel.begin(f)
		defer c.sequel.done()
	}
	err = c.write(req, resp)
	sent := time.Now()
	counts.Done(sent, req.Version, meter.Spent{Total: sent.Sub(arrived), Wait: req.Waited, Send: sent.Sub(handled)})
	return err
}

// incoming is a frame and what it holds while it is read and handled.
type incoming struct {
	bytes []byte  // of the frame, as far as they came; in small or large
	small *[]byte // of framePool; nil when not needed
	large []byte  // of the server's frames; nil when not needed
	taken int64   // of the memory for all requests
}

// readFrame reads the next frame. What was kept of former requests serves it when it is large; otherwise memory grows as bytes arrive.
func (c *conn) readFrame(ctx context.Context, in *incoming) error {
	if !c.nextIsHere() {
		c.net.SetReadDeadline(time.Now().Add(chunkTimeout))
	}
	head, err := c.read.Peek(4)
	if err != nil {
		return err
	}
	size := int64(int32(binary.BigEndian.Uint32(head)))
	if limit := c.server.node.Settings().Int("socket.request.max.bytes"); size <= 0 || size > limit {
		return fmt.Errorf("%w: a length of %d bytes, allowed are 1 to %d", errBadFrame, size, limit)
	}
	if _, err := c.read.Discard(4); err != nil {
		return err
	}
	if size > firstChunk {
		in.large = c.server.frames.take(int(size))
		in.bytes = in.large[:0]
	}
	for chunk := int64(firstChunk); int64(len(in.bytes)) < size; chunk = int64(len(in.bytes)) {
		at := len(in.bytes)
		n := min(chunk, size-int64(at))
		if at > 0 {
			if err := c.takeMemory(ctx, n); err != nil {
				return err
			}
			in.taken += n
			c.net.SetReadDeadline(time.Now().Add(chunkTimeout))
		}
		c.server.grow(in, at+int(n))
		if _, err := io.ReadFull(c.read, in.bytes[at:]); err != nil {
			return err
		}
		if at == 0 && size > maxPlainRequest && binary.BigEndian.Uint16(in.bytes) != uint16(kmsg.Produce) {
			return fmt.Errorf("%w: a request of %d bytes for key %d", errBadFrame, size, int16(binary.BigEndian.Uint16(in.bytes)))
		}
	}
	return nil
}

// grow makes in.bytes n bytes long.
func (s *Server) grow(in *incoming, n int) {
	switch {
	case n <= cap(in.bytes):
		in.bytes = in.bytes[:n]
	case n <= firstChunk:
		if in.small == nil {
			in.small = framePool.Get().(*[]byte)
		}
		*in.small = slices.Grow((*in.small)[:0], n)[:n] // the first chunk: there is nothing to keep
		in.bytes = *in.small
	default:
		larger := s.frames.make(n)[:n]
		copy(larger, in.bytes)
		s.frames.give(in.large)
		in.large, in.bytes = larger, larger
	}
}

// release gives back what a frame held. It may be called again.
func (c *conn) release(in *incoming) {
	if in.small != nil {
		framePool.Put(in.small)
	}
	if in.large != nil {
		c.server.frames.give(in.large)
	}
	c.server.requests.Give(in.taken)
	*in = incoming{}
}

// takeMemory waits for n bytes of the memory that all requests share.
func (c *conn) takeMemory(ctx context.Context, n int64) error {
	got := c.server.requests.TakeUpTo(n)
	if got == n {
		return nil
	}
	c.server.requests.Give(got)
	if err := c.flush(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	if _, err := c.server.requests.Take(ctx, n); err != nil {
		return fmt.Errorf("no memory for a request: %w", err)
	}
	return nil
}

// decode makes a request of a frame. An answer beside it is to be sent instead of asking a handler. taken is what it took of the memory for all requests.
func (c *conn) decode(ctx context.Context, bytes []byte) (_ *api.Request, answer kmsg.Response, taken int64, err error) {
	b := kbin.Reader{Src: bytes}
	r := &api.Request{
		Key: b.Int16(), Version: b.Int16(), CorrelationID: b.Int32(), ClientID: b.NullableString(),
		Conn: &c.api, Received: c.server.cfg.Now(), Size: len(bytes),
	}
	if !b.Ok() {
		return nil, nil, 0, fmt.Errorf("%w: the request header does not end", errBadFrame)
	}
	row := c.server.rows[r.Key]
	if row == nil {
		return nil, nil, 0, fmt.Errorf("%w: request key %d is not served", errBadFrame, r.Key)
	}
	if r.Version < row.Min || r.Version > row.Max {
		if r.Key == int16(kmsg.ApiVersions) {
			r.Version = 0
			return r, unsupportedApiVersions(row), 0, nil
		}
		return nil, nil, 0, fmt.Errorf("%w: %s version %d is not served", errBadFrame, kmsg.NameForKey(r.Key), r.Version)
	}
	r.Body = kmsg.RequestForKey(r.Key)
	r.Body.SetVersion(r.Version)
	taken, err = c.decodeBody(ctx, r.Body, b.Src)
	return r, nil, taken, err
}

// decodeBody decodes what follows the client id. Nothing is decoded that was not checked before, and nothing large before its memory was taken.
func (c *conn) decodeBody(ctx context.Context, req kmsg.Request, b []byte) (taken int64, err error) {
	if req.IsFlexible() {
		if b, err = frame.HeaderTags(b); err != nil {
			return 0, badBody(req, err)
		}
	}
	memory, err := frame.Check(req.Key(), req.GetVersion(), b)
	if err != nil {
		return 0, badBody(req, err)
	}
	if memory > freeDecode {
		if err := c.takeMemory(ctx, int64(memory)); err != nil {
			return 0, err
		}
		taken = int64(memory)
	}
	if err := req.ReadFrom(b); err != nil {
		return taken, badBody(req, err)
	}
	return taken, nil
}

func badBody(req kmsg.Request, err error) error {
	return fmt.Errorf("%w: %s version %d: %w", errBadFrame, kmsg.NameForKey(req.Key()), req.GetVersion(), err)
}

// unsupportedApiVersions is the answer to an ApiVersions of a version that is not served: version 0, with the versions that are.
func unsupportedApiVersions(row *api.API) kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	key := kmsg.NewApiVersionsResponseApiKey()
	key.ApiKey, key.MinVersion, key.MaxVersion = row.Key, row.Min, row.Max
	resp.ApiKeys = append(resp.ApiKeys, key)
	return resp
}

// handle calls the handler. A panic in it is a bug of ours: it is logged and costs the connection, not the server.
func (c *conn) handle(ctx context.Context, r *api.Request) (resp kmsg.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.server.node.Meter.Panics.Add(1)
			c.server.log.Error("panic in a request handler", "api", kmsg.NameForKey(r.Key), "version", r.Version,
				"client", c.api.Remote, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in the handler of %s", kmsg.NameForKey(r.Key))
		}
	}()
	return c.server.rows[r.Key].Handle(ctx, c.server.node, r)
}
