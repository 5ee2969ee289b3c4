package broker

import (
	"context"
	"errors"
	"fmt"
)

// Shutdown ends the server cleanly: listeners close, requests in process are answered, waiting ones early; then coordinators, logs and metadata are
// closed so that the next start has nothing to recover. When ctx ends first, the connections that are left are cut, and the rest is still closed
// cleanly. Calling it again waits for the first call and returns the same.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.end(ctx, true)
}

// Close is Shutdown without waiting for requests in process.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return s.end(ctx, true)
}

// Kill ends the server as a kill of its process would: nothing is flushed, closed or written on the way. It is meant for tests.
func (s *Server) Kill() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// The error says that connections were cut, which is what was asked for.
	_ = s.end(ctx, false)
}

func (s *Server) end(ctx context.Context, clean bool) error {
	// A server that never started has nothing to close, and must not start any more.
	s.start.Do(func() { s.startErr = ErrServerClosed })
	if s.startErr != nil {
		return nil
	}
	s.stop.Do(func() {
		s.stopErr = s.down(ctx, clean)
		close(s.stopped)
	})
	<-s.stopped
	return s.stopErr
}

func (s *Server) down(ctx context.Context, clean bool) error {
	s.mu.Lock()
	s.closing = true
	for ln := range s.listeners {
		ln.Close() // its Serve returns, and closes it once more
	}
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	s.cancel() // long polls answer now
	for _, c := range conns {
		c.finish()
	}
	err := s.drain(ctx, conns)
	if !clean {
		s.parts.abandon()
		return errors.Join(err, s.dir.close())
	}
	if closeErr := s.parts.close(); closeErr != nil {
		return errors.Join(err, fmt.Errorf("broker: closing %s: %w", s.dir.path, closeErr), s.dir.close())
	}
	return errors.Join(err, s.dir.closeClean(s.parts.cluster.Image().Index()))
}

// drain waits until the connections have ended by themselves; when ctx ends first it cuts them.
func (s *Server) drain(ctx context.Context, conns []*conn) error {
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, c := range conns {
		c.net.Close()
	}
	<-done
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return fmt.Errorf("broker: requests were cut: %w", ctx.Err())
}
