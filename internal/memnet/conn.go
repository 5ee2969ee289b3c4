package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBytes bounds what lies between a writer and a reader, about a socket's buffer.
const pipeBytes = 256 << 10

// firstBytes is what a pipe holds before it grows: most connections carry small messages.
const firstBytes = 4 << 10

// conn is one end of a connection: it reads from one pipe and writes to the other.
type conn struct {
	local, remote Addr
	in, out       *pipe
}

func newConns(client, server Addr) (c, s *conn) {
	up, down := newPipe(), newPipe()
	return &conn{client, server, down, up}, &conn{server, client, up, down}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	if err != nil && err != io.EOF {
		err = &net.OpError{Op: "read", Net: "mem", Source: c.local, Addr: c.remote, Err: err}
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	if err != nil {
		err = &net.OpError{Op: "write", Net: "mem", Source: c.local, Addr: c.remote, Err: err}
	}
	return n, err
}

// Close ends both directions: the peer reads what was written and then EOF, and its writes fail.
func (c *conn) Close() error {
	c.out.closeWrite()
	c.in.closeRead()
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.in.reader.set(c.in, t)
	c.out.writer.set(c.out, t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error  { c.in.reader.set(c.in, t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.out.writer.set(c.out, t); return nil }

// pipe is one direction: a ring buffer with a reader and a writer.
type pipe struct {
	mu   sync.Mutex
	cond *sync.Cond // something below changed

	// guarded by mu
	buf         []byte // ring
	start, size int    // the bytes written and not read are [start, start+size) of the ring
	noMore      bool   // the writer closed
	gone        bool   // the reader closed
	reader      deadline
	writer      deadline
}

func newPipe() *pipe {
	p := &pipe{}
	p.cond = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.gone:
			return 0, net.ErrClosed
		case p.reader.passed():
			return 0, os.ErrDeadlineExceeded
		case p.size > 0:
			n := p.take(b)
			p.cond.Broadcast()
			return n, nil
		case p.noMore:
			return 0, io.EOF
		case len(b) == 0:
			return 0, nil
		}
		p.cond.Wait()
	}
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	written := 0
	for {
		switch {
		case p.noMore:
			return written, net.ErrClosed
		case p.gone:
			return written, io.ErrClosedPipe
		case p.writer.passed():
			return written, os.ErrDeadlineExceeded
		case len(b) == 0:
			return written, nil
		case p.size < pipeBytes:
			n := p.put(b)
			b = b[n:]
			written += n
			p.cond.Broadcast()
			continue
		}
		p.cond.Wait()
	}
}

// take moves bytes from the ring to b.
func (p *pipe) take(b []byte) int {
	n := min(len(b), p.size)
	first := copy(b[:n], p.buf[p.start:])
	copy(b[first:n], p.buf)
	p.start = (p.start + n) % len(p.buf)
	p.size -= n
	return n
}

// put moves bytes from b to the ring, which grows up to pipeBytes.
func (p *pipe) put(b []byte) int {
	if want := min(p.size+len(b), pipeBytes); want > len(p.buf) {
		p.grow(want)
	}
	n := min(len(b), len(p.buf)-p.size)
	end := (p.start + p.size) % len(p.buf)
	first := copy(p.buf[end:], b[:n])
	copy(p.buf, b[first:n])
	p.size += n
	return n
}

func (p *pipe) grow(want int) {
	size := max(firstBytes, len(p.buf))
	for size < want {
		size *= 2
	}
	buf := make([]byte, min(size, pipeBytes))
	n := p.size
	if n > 0 {
		p.take(buf[:n])
	}
	p.buf, p.start, p.size = buf, 0, n
}

func (p *pipe) closeWrite() {
	p.mu.Lock()
	p.noMore = true
	p.writer.stop()
	p.mu.Unlock()
	p.cond.Broadcast()
}

func (p *pipe) closeRead() {
	p.mu.Lock()
	p.gone = true
	p.buf, p.start, p.size = nil, 0, 0
	p.reader.stop()
	p.mu.Unlock()
	p.cond.Broadcast()
}

// deadline wakes a pipe when its time has come. Its fields are guarded by the pipe's mu.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(p *pipe, t time.Time) {
	p.mu.Lock()
	d.stop()
	d.at = t
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), p.wake)
	}
	p.mu.Unlock()
	p.cond.Broadcast()
}

// wake makes whoever waits look again. It takes mu, since who has just looked and is about to wait would not hear it otherwise.
func (p *pipe) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cond.Broadcast()
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
