package faulttest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/internal/memnet"
)

// way is how calls fail.
type way int

const (
	never way = iota
	once
	forGood
	full
)

func (w way) String() string { return [...]string{"never", "once", "for good", "full"}[w] }

// fault fails calls into the file system from the n-th on.
type fault struct {
	way   way
	at    int64
	calls atomic.Int64
	over  atomic.Bool // nothing fails any more
	hit   atomic.Pointer[errorfs.Op]
}

func (f *fault) String() string { return fmt.Sprintf("call %d fails, %v", f.at, f.way) }

func (f *fault) MaybeError(op errorfs.Op) error {
	n := f.calls.Add(1)
	if f.way == never || n < f.at || f.over.Load() {
		return nil
	}
	switch f.way {
	case once:
		if n > f.at {
			return nil
		}
	case full:
		if !takesRoom(op) {
			return nil
		}
	}
	f.hit.CompareAndSwap(nil, &op)
	if f.way == full {
		return syscall.ENOSPC
	}
	return syscall.EIO
}

// takesRoom tells whether a call is one that a file system without room refuses.
func takesRoom(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpMkdirAll, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFilePreallocate:
		return true
	}
	return false
}

// news tells what the server's log says of its compaction, which is waited for, and of bugs.
type news struct {
	settled chan struct{} // closed when a log was cleaned, or cannot be
	once    sync.Once
	panics  atomic.Bool
}

func (n *news) Enabled(context.Context, slog.Level) bool { return true }
func (n *news) WithAttrs([]slog.Attr) slog.Handler       { return n }
func (n *news) WithGroup(string) slog.Handler            { return n }

func (n *news) Handle(_ context.Context, r slog.Record) error {
	switch {
	case strings.Contains(r.Message, "panic"):
		n.panics.Store(true)
	case r.Message == "log cleaned", strings.Contains(r.Message, "cannot be cleaned"), strings.Contains(r.Message, "is offline"):
		n.once.Do(func() { close(n.settled) })
	}
	return nil
}

// settleTimeout bounds the wait for a compaction, which takes a tenth of a second.
const settleTimeout = time.Minute

// wait returns when a log was cleaned, or the server said why it was not.
func (n *news) wait() error {
	select {
	case <-n.settled:
		return nil
	case <-time.After(settleTimeout):
		return errors.New("the log was not compacted, and nothing was said of it")
	}
}

// server is one life of the server.
type server struct {
	*broker.Server
	served chan error
}

const address = "server:9092"

func start(net *memnet.Network, fs vfs.FS, n *news) (*server, error) {
	s := &server{Server: &broker.Server{Config: broker.Config{
		FS: fs, Dir: "/data", Flush: broker.FlushAlways, Logger: slog.New(n),
		Set: map[string]string{"offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1", "log.cleaner.backoff.ms": "0"},
	}}, served: make(chan error, 1)}
	if err := s.Start(); err != nil {
		return nil, err
	}
	ln, err := net.Listen(address)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	go func() { s.served <- s.Serve(ln) }()
	return s, nil
}

// kill ends the server as SIGKILL does.
func (s *server) kill() {
	s.Kill()
	<-s.served
}

// stop ends the server cleanly, as far as it can.
func (s *server) stop() {
	_ = s.Close()
	<-s.served
}

// healthy tells whether the server says so.
func (s *server) healthy() bool {
	w := httptest.NewRecorder()
	s.Metrics().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	return w.Code == http.StatusOK
}

// play goes through the script with a fault and returns what was not as promised.
func play(f *fault) error {
	mem, net := vfs.NewMem(), new(memnet.Network)
	n := &news{settled: make(chan struct{})}
	c := &client{net: net, addr: address}
	s := newScript(c)
	fs := errorfs.Wrap(mem, f)
	var faults []error
	if srv, err := start(net, fs, n); err == nil {
		s.first()
		if len(s.acked[compacted]) == 4 {
			faults = append(faults, n.wait())
		}
		if f.way == full {
			f.over.Store(true)
			faults = append(faults, s.goesOn(srv))
			f.over.Store(false)
		}
		c.close()
		srv.stop()
	}
	if srv, err := start(net, fs, n); err == nil {
		s.second()
		if f.way == full {
			f.over.Store(true)
			faults = append(faults, s.goesOn(srv))
		}
		c.close()
		srv.kill()
	}
	f.over.Store(true)
	srv, err := start(net, fs, n)
	if err != nil {
		return errors.Join(append(faults, s.bad, fmt.Errorf("the last start: %w", err))...)
	}
	defer srv.kill()
	defer c.close()
	faults = append(faults, s.bad, s.audit(), s.works(), s.audit())
	if n.panics.Load() {
		faults = append(faults, errors.New("a handler panicked"))
	}
	return errors.Join(faults...)
}

// goesOn checks a server whose disk has room again.
func (s *script) goesOn(srv *server) error {
	if !srv.healthy() {
		return errors.New("a full disk took the server down for good")
	}
	if err := errors.Join(s.works(), s.audit()); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	return nil
}

// manage tries until it is done.
func (s *script) manage(do func() bool) bool {
	for range tries {
		if do() {
			return true
		}
		if s.bad != nil {
			return false
		}
	}
	return false
}

// players is how many scripts are played at a time: each waits for a compaction most of its time.
const players = 8

func TestTheServerOutlivesAFaultAtEveryCall(t *testing.T) {
	stride := int64(7)
	if text := os.Getenv("MILLRACE_FAULT_STRIDE"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			t.Fatalf("MILLRACE_FAULT_STRIDE is %q", text)
		}
		stride = n
	}
	none := &fault{way: never}
	if err := play(none); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	total := none.calls.Load()
	if total < 300 {
		t.Fatalf("the script makes %d calls only", total)
	}
	t.Logf("%d calls", total)
	faults := make(chan *fault)
	var wg sync.WaitGroup
	var hits [full + 1]atomic.Int64
	for range players {
		wg.Go(func() {
			for f := range faults {
				if err := play(f); err != nil {
					t.Errorf("%v: %v\n%v", f, describe(f), err)
				}
				if f.hit.Load() != nil {
					hits[f.way].Add(1)
				}
			}
		})
	}
	for at := int64(1); at <= total; at += stride {
		for _, w := range []way{once, forGood, full} {
			faults <- &fault{way: w, at: at}
		}
	}
	close(faults)
	wg.Wait()
	for _, w := range []way{once, forGood, full} {
		if n := hits[w].Load(); n < total/stride/2 {
			t.Errorf("%v: of %d faults %d were met", w, total/stride, n)
		}
	}
}

// describe names the call that failed first.
func describe(f *fault) string {
	if op := f.hit.Load(); op != nil {
		return fmt.Sprintf("%v %s", op.Kind, op.Path)
	}
	return "nothing failed"
}
