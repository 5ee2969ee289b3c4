package brokertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/internal/memnet"
)

// shutdownTimeout bounds a clean end in a test; it takes milliseconds.
const shutdownTimeout = 30 * time.Second

// Broker is a broker that lives as long as its test. Its methods are called by the test's goroutine.
type Broker struct {
	// Addr is HOST:PORT of the broker in Net.
	Addr string
	// Net is where the broker listens.
	Net *memnet.Network
	// FS holds the data: a crashable file system in memory, unless the Config said otherwise.
	FS vfs.FS
	// Server is the running server; another one after each restart.
	Server *broker.Server

	t      testing.TB
	cfg    broker.Config
	served chan error
}

// Start starts a broker. Groups do not wait for more members at their first join, unless cfg.Set says otherwise.
func Start(t testing.TB, cfg broker.Config) *Broker {
	t.Helper()
	if cfg.FS == nil && cfg.Dir == "" {
		cfg.FS = vfs.NewCrashableMem()
	}
	set := map[string]string{"group.initial.rebalance.delay.ms": "0"}
	for k, v := range cfg.Set {
		set[k] = v
	}
	cfg.Set = set
	b := &Broker{Net: new(memnet.Network), Addr: "broker-1:9092", FS: cfg.FS, t: t, cfg: cfg}
	b.start()
	t.Cleanup(b.Stop)
	return b
}

func (b *Broker) start() {
	b.t.Helper()
	server := &broker.Server{Config: b.cfg}
	if err := server.Start(); err != nil {
		b.t.Fatalf("the broker does not start: %v", err)
	}
	ln, err := b.Net.Listen(b.Addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Server, b.served = server, make(chan error, 1)
	go func(served chan error) { served <- server.Serve(ln) }(b.served)
}

// Stop ends the broker cleanly. Calling it again does nothing.
func (b *Broker) Stop() {
	b.t.Helper()
	if b.Server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := b.Server.Shutdown(ctx); err != nil {
		b.t.Errorf("the broker does not shut down cleanly: %v", err)
	}
	b.ended()
}

func (b *Broker) ended() {
	b.t.Helper()
	if err := <-b.served; !errors.Is(err, broker.ErrServerClosed) {
		b.t.Errorf("Serve returned %v, want ErrServerClosed", err)
	}
	b.Server = nil
}

// Restart stops the broker cleanly and starts it on the same data.
func (b *Broker) Restart() {
	b.t.Helper()
	b.Stop()
	b.start()
}

// Ended notes that the test ended the server itself.
func (b *Broker) Ended() {
	b.t.Helper()
	b.ended()
}

// Resume starts a broker that was stopped on the data that is there now.
func (b *Broker) Resume() {
	b.t.Helper()
	b.start()
}

// Kill ends the broker as SIGKILL would and starts it on the same data: what was written is there, flushed or not.
func (b *Broker) Kill() {
	b.t.Helper()
	b.Server.Kill()
	b.ended()
	b.start()
}

// PowerLoss ends the broker as a power failure would and starts it on what is left: what was flushed is there, of the rest each piece with the
// probability given, in percent.
func (b *Broker) PowerLoss(unflushedPercent int, rng *rand.Rand) {
	b.t.Helper()
	mem, ok := b.cfg.FS.(*vfs.MemFS)
	if !ok {
		b.t.Fatal("brokertest: a power loss needs the file system in memory")
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unflushedPercent, RNG: rng})
	b.Server.Kill()
	b.ended()
	b.FS, b.cfg.FS = left, left
	b.start()
}

// Opts are what a client needs to reach the broker.
func (b *Broker) Opts() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(b.Addr), kgo.Dialer(b.Net.Dial)}
}

// Client returns a client of the broker that is closed with the test.
func (b *Broker) Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(b.Opts(), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Listen makes the broker reachable on a real socket of the loopback interface too, and returns its address. Clients that come in there are told that
// address.
func (b *Broker) Listen() string {
	b.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	server := b.Server
	go server.Serve(ln)
	return ln.Addr().String()
}
