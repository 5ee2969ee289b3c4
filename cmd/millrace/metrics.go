package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"
)

// What a scraper may take. It asks for a page a few times a minute; one that sends slower than this, or more, is none.
const (
	metricsHeaderTimeout = 5 * time.Second
	metricsWriteTimeout  = 30 * time.Second
	metricsIdleTimeout   = 2 * time.Minute
	metricsHeaderBytes   = 16 << 10
)

// metricsServer answers scrapers on a port of its own.
type metricsServer struct {
	http   http.Server
	ln     net.Listener
	served chan struct{} // closed when Serve returned
}

// listenMetrics takes the port; nil without an address.
func listenMetrics(address string) (*metricsServer, error) {
	if address == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the port of %s is taken by another server: choose another one with --metrics", address)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: choose an address of this machine with --metrics", err)
	}
	m := &metricsServer{ln: ln, served: make(chan struct{})}
	m.http.ReadHeaderTimeout, m.http.ReadTimeout = metricsHeaderTimeout, metricsHeaderTimeout
	m.http.WriteTimeout, m.http.IdleTimeout, m.http.MaxHeaderBytes = metricsWriteTimeout, metricsIdleTimeout, metricsHeaderBytes
	return m, nil
}

// serve begins to answer.
func (m *metricsServer) serve(h http.Handler) {
	if m == nil {
		return
	}
	m.http.Handler = h
	go func() {
		defer close(m.served)
		// It returns when the server is shut down; a listener that fails for good leaves the log server as it is.
		_ = m.http.Serve(m.ln)
	}()
}

// abandon gives the port back when nothing was served.
func (m *metricsServer) abandon() {
	if m != nil {
		m.ln.Close()
	}
}

// shutdown answers what was asked and ends.
func (m *metricsServer) shutdown(ctx context.Context) error {
	if m == nil {
		return nil
	}
	err := m.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, m.http.Close())
	}
	<-m.served
	return err
}

// address is where the pages are; "" when they are not served.
func (m *metricsServer) address() string {
	if m == nil {
		return ""
	}
	return m.ln.Addr().String()
}
