package memnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
)

// backlog is how many dialled connections wait for an Accept before Dial has to.
const backlog = 128

// ErrRefused is the cause when nobody listens at the address.
var ErrRefused = errors.New("connection refused")

// Network is a set of listeners that can be dialled by address. The zero Network is empty and ready. It is safe for concurrent use.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*Listener // guarded by mu
	ports     atomic.Int32         // names for clients' ends
}

// Addr is an address of a Network: HOST:PORT.
type Addr string

// Network returns "mem".
func (a Addr) Network() string { return "mem" }

// String returns HOST:PORT.
func (a Addr) String() string { return string(a) }

// Listen takes an address, HOST:PORT with a numeric port; port 0 picks one that is free.
func (n *Network) Listen(addr string) (*Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("memnet: listen %q: %w", addr, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = map[string]*Listener{}
	}
	for p := 9092; port == "0"; p++ {
		if a := net.JoinHostPort(host, strconv.Itoa(p)); n.listeners[a] == nil {
			addr, port = a, strconv.Itoa(p)
		}
	}
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("memnet: listen %s: address already in use", addr)
	}
	l := &Listener{net: n, addr: Addr(addr), queue: make(chan *conn, backlog), done: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

// Dial connects to a listener. The name of the network is not looked at, so that Dial fits where net.Dialer.DialContext does.
func (n *Network) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[addr]
	n.mu.Unlock()
	if l == nil {
		return nil, dialError(addr, ErrRefused)
	}
	local := Addr(net.JoinHostPort("client", strconv.Itoa(int(n.ports.Add(1)))))
	client, server := newConns(local, l.addr)
	select {
	case l.queue <- server:
	case <-l.done:
		return nil, dialError(addr, ErrRefused)
	case <-ctx.Done():
		return nil, dialError(addr, ctx.Err())
	}
	select {
	case <-l.done: // Close may have emptied the queue before this one came into it
		server.Close()
		return nil, dialError(addr, ErrRefused)
	default:
		return client, nil
	}
}

func dialError(addr string, err error) error {
	return &net.OpError{Op: "dial", Net: "mem", Addr: Addr(addr), Err: err}
}

// Listener is a net.Listener of a Network.
type Listener struct {
	net   *Network
	addr  Addr
	queue chan *conn
	done  chan struct{}
	once  sync.Once
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.addr, Err: net.ErrClosed}
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close frees the address. Connections that nobody accepted are closed, others live on.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, string(l.addr))
		l.net.mu.Unlock()
		close(l.done)
		for {
			select {
			case c := <-l.queue:
				c.Close()
				continue
			default:
			}
			return
		}
	})
	return nil
}

// Addr is the address that was listened on.
func (l *Listener) Addr() net.Addr { return l.addr }
