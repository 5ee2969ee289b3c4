package broker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-io/millrace/broker/internal/api"
	"github.com/millrace-io/millrace/broker/internal/budget"
)

// Server is a log server. The zero Server is ready to serve, in memory; set Config before the first call. A Server is used once: after Shutdown it
// cannot serve again.
type Server struct {
	Config Config

	start    sync.Once
	startErr error

	// The fields below are set by start and immutable after.
	cfg    *resolved
	log    *slog.Logger
	dir    *dataDir
	node   *api.Node
	parts  *parts
	rows   map[int16]*api.API
	ctx    context.Context // of all requests; ends when the server goes down
	cancel context.CancelFunc

	requests   *budget.Budget // memory of all requests
	frames     buffers
	replies    *budget.Budget // memory of all answers but fetches
	complaints complaints

	mu sync.Mutex
	// The fields below are guarded by mu.
	closing   bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	perIP     map[string]int

	serving sync.WaitGroup // connections
	stop    sync.Once
	stopErr error
	stopped chan struct{} // closed when everything is down; made by start
}

// Start opens the data directory and recovers what is in it. Serve does it when it was not done before; call it to learn of a fault before there is a
// listener.
func (s *Server) Start() error {
	s.start.Do(func() { s.startErr = s.open() })
	return s.startErr
}

func (s *Server) open() error {
	cfg, err := s.Config.resolve()
	if err != nil {
		return err
	}
	s.cfg, s.log = cfg, cfg.Logger
	s.requests, s.replies = budget.New(requestMemory), budget.New(replyMemory)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.stopped = make(chan struct{})
	s.listeners, s.conns, s.perIP = map[net.Listener]struct{}{}, map[*conn]struct{}{}, map[string]int{}
	path := cfg.Dir
	if path == "" {
		path = inMemoryDir
	}
	if s.dir, err = openDataDir(cfg.FS, path); err != nil {
		return err
	}
	if s.node, s.parts, err = s.assemble(); err != nil {
		return errors.Join(err, s.dir.close())
	}
	s.rows = make(map[int16]*api.API, len(s.node.APIs))
	for i := range s.node.APIs {
		s.rows[s.node.APIs[i].Key] = &s.node.APIs[i]
	}
	return nil
}

// Serve accepts connections from ln until the server is shut down, and then returns ErrServerClosed. Several listeners may be served at a time; each is
// closed when its Serve returns. Clients are told to connect to the listener's own address, or to Config.Advertise.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.Start(); err != nil {
		return errors.Join(err, ln.Close())
	}
	if !s.addListener(ln) {
		return errors.Join(ErrServerClosed, ln.Close())
	}
	defer s.dropListener(ln)
	var pause time.Duration
	for {
		c, err := ln.Accept()
		if err != nil {
			if s.isClosing() {
				return ErrServerClosed
			}
			if pause = nextPause(pause, err); pause == 0 {
				return fmt.Errorf("broker: accepting connections on %s: %w", ln.Addr(), err)
			}
			s.log.Error("a connection could not be accepted", "listener", ln.Addr().String(), "error", err)
			select {
			case <-time.After(pause):
			case <-s.ctx.Done():
			}
			continue
		}
		pause = 0
		s.accept(ln, c)
	}
}

// nextPause tells how long to wait after a failed Accept; 0 when trying again has no point.
func nextPause(last time.Duration, err error) time.Duration {
	var temporary interface{ Temporary() bool }
	if !errors.As(err, &temporary) || !temporary.Temporary() {
		return 0
	}
	return min(max(2*last, acceptPause), maxAcceptPause)
}

// accept takes a connection on, unless there are too many.
func (s *Server) accept(ln net.Listener, nc net.Conn) {
	listener, err := s.advertised(ln, nc)
	if err != nil {
		s.complain(nc.RemoteAddr().String(), err)
		nc.Close()
		return
	}
	host := nc.RemoteAddr().String()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	c := &conn{
		server: s, net: nc, ip: host, read: bufio.NewReaderSize(nc, readBuffer),
		api: api.Conn{Listener: listener, Remote: nc.RemoteAddr().String(), Host: "/" + host},
	}
	if !s.addConn(c) {
		nc.Close()
		return
	}
	go func() {
		defer s.serving.Done()
		defer s.dropConn(c)
		c.serve(s.ctx)
	}()
}

// advertised is the address that a client of this connection is told to use.
func (s *Server) advertised(ln net.Listener, nc net.Conn) (api.Listener, error) {
	addr := s.cfg.Advertise
	if addr == "" {
		addr = ln.Addr().String()
		// A listener on all addresses is told as the one that the client came in on.
		if tcp, ok := ln.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
			addr = nc.LocalAddr().String()
		}
	}
	host, port, err := splitAddress(addr)
	return api.Listener{Name: "PLAINTEXT", Host: host, Port: port}, err
}

func splitAddress(addr string) (string, int32, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("the address %q is not HOST:PORT: %w", addr, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("the address %q has no numeric port", addr)
	}
	return host, int32(n), nil
}

func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

// addresses are what the server listens on, as Kafka's setting listeners says it.
func (s *Server) addresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for ln := range s.listeners {
		all = append(all, "PLAINTEXT://"+ln.Addr().String())
	}
	slices.Sort(all)
	return all
}

func (s *Server) dropListener(ln net.Listener) {
	s.mu.Lock()
	delete(s.listeners, ln)
	s.mu.Unlock()
	ln.Close()
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) addConn(c *conn) bool {
	set := s.node.Settings()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if len(s.conns) >= int(set.Int("max.connections")) || s.perIP[c.ip] >= int(set.Int("max.connections.per.ip")) {
		s.node.Meter.Refused.Add(1)
		s.complain(c.api.Remote, errTooMany)
		return false
	}
	s.conns[c] = struct{}{}
	s.perIP[c.ip]++
	s.serving.Add(1)
	return true
}

func (s *Server) dropConn(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.perIP[c.ip]--; s.perIP[c.ip] == 0 {
		delete(s.perIP, c.ip)
	}
}

var errTooMany = errors.New("too many connections")

// complaints keeps clients from filling the log.
type complaints struct {
	mu      sync.Mutex
	last    time.Time
	dropped int
}

// complain logs what a client did wrong, at most one line in complaintInterval.
func (s *Server) complain(client string, err error) {
	c := &s.complaints
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.last) < complaintInterval {
		c.dropped++
		return
	}
	s.log.Warn("connection closed", "client", client, "error", err, "others", c.dropped)
	c.last, c.dropped = now, 0
}
