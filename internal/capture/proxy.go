package capture

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

const (
	maxFrame  = 4 << 10 // bytes of a request that is kept
	keepEach  = 3       // requests of each key and version
	sizeApart = 16      // by so many bytes at least do they differ in size
	readLimit = 1 << 20 // of a request that passes; the proxy is for tests
)

// Recording is what a proxy has kept. It is safe for concurrent use.
type Recording struct {
	mu   sync.Mutex
	kept map[[2]int16][]int // sizes, by key and version
	data []byte             // the kept frames with their lengths
}

// Bytes is the content of a frames file.
func (r *Recording) Bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]byte(nil), r.data...)
}

func (r *Recording) add(f Frame) {
	if len(f) < minFrame || len(f) > maxFrame {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil {
		r.kept = map[[2]int16][]int{}
	}
	at := [2]int16{f.Key(), f.Version()}
	if len(r.kept[at]) == keepEach {
		return
	}
	for _, n := range r.kept[at] {
		if d := len(f) - n; d < sizeApart && d > -sizeApart {
			return
		}
	}
	r.kept[at] = append(r.kept[at], len(f))
	r.data = append(binary.BigEndian.AppendUint32(r.data, uint32(len(f))), f...)
}

// Proxy passes connections on to a server and records the requests. The server must tell its clients the proxy's address, or they go past it.
type Proxy struct {
	Recording Recording

	ln net.Listener
	wg sync.WaitGroup

	mu sync.Mutex
	// The fields below are guarded by mu.
	closed bool
	conns  map[net.Conn]struct{}
}

// Listen opens a proxy on a free port of the loopback interface. It passes nothing on before Serve.
func Listen() (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &Proxy{ln: ln, conns: map[net.Conn]struct{}{}}, nil
}

// Addr is where clients connect to.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Serve passes connections on to the server at an address, until Close.
func (p *Proxy) Serve(server string) {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() {
			defer client.Close()
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				return
			}
			defer upstream.Close()
			if p.hold(client, upstream) {
				defer p.drop(client, upstream)
				p.pass(client, upstream)
			}
		})
	}
}

// Close ends all connections and returns when nothing is under way any more.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	err := p.ln.Close()
	p.wg.Wait()
	return err
}

func (p *Proxy) hold(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return !p.closed
}

func (p *Proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
	}
}

// pass copies in both directions until either side ends.
func (p *Proxy) pass(client, upstream net.Conn) {
	var answers sync.WaitGroup
	answers.Go(func() {
		_, _ = io.Copy(client, upstream) // whoever ends it, the connection is over
		client.Close()
	})
	_ = p.requests(client, upstream)
	upstream.Close()
	answers.Wait()
}

// requests passes frames on, one by one.
func (p *Proxy) requests(client io.Reader, upstream io.Writer) error {
	var head [4]byte
	for {
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n > readLimit {
			return errors.New("capture: a frame is too large for a test")
		}
		frame := make([]byte, 4+n)
		copy(frame, head[:])
		if _, err := io.ReadFull(client, frame[4:]); err != nil {
			return err
		}
		p.Recording.add(frame[4:])
		if _, err := upstream.Write(frame); err != nil {
			return err
		}
	}
}
