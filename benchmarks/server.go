package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/internal/memnet"
)

// joinDelay, in milliseconds, lets all workers of an application join before the first has work that it would have to hand over.
const joinDelay = "100"

// open points the bench at a cluster: the one at the addresses, or a log server of its own in this process, on disk. done ends the latter.
func (b *bench) open(brokers string) (done func() error, err error) {
	b.cluster = &cluster{prefix: fmt.Sprintf("bench-%d", os.Getpid())}
	if brokers != "" {
		b.cluster.brokers, b.system = strings.Split(brokers, ","), brokers
		return func() error { return nil }, nil
	}
	b.system, b.own = "millrace", true
	dir, err := os.MkdirTemp("", "millrace-benchmarks-")
	if err != nil {
		return nil, err
	}
	b.dir = dir
	server := &broker.Server{Config: broker.Config{Dir: filepath.Join(dir, "own"), Set: map[string]string{"group.initial.rebalance.delay.ms": joinDelay}}}
	if err := server.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	network := &memnet.Network{}
	const address = "log:9092"
	ln, err := network.Listen(address)
	if err != nil {
		return nil, errors.Join(err, server.Close(), os.RemoveAll(dir))
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	b.cluster.brokers, b.cluster.dial = []string{address}, network.Dial
	return func() error {
		err := errors.Join(b.stopSystems(), server.Close())
		if end := <-served; !errors.Is(end, broker.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		return errors.Join(err, os.RemoveAll(dir))
	}, nil
}

const (
	// idleFor is how long a broker rests before its memory is read.
	idleFor = 2 * time.Second
	// readyTimeout is when a broker that says nothing is given up.
	readyTimeout = 30 * time.Second
)

// startBroker measures a broker process from exec to its ready line, and its memory at rest.
func startBroker(ctx context.Context, b *bench) error {
	data, err := os.MkdirTemp(b.dir, "rest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	p, err := b.launch(ctx, data)
	if err != nil {
		return err
	}
	rest(ctx, idleFor)
	b.report.addFact("broker, exec to ready", "ms", milliseconds(p.ready))
	b.report.addFact("broker, memory at rest", "MiB", residentMiB(p.cmd.Process.Pid))
	if err := p.end(syscall.SIGTERM); err != nil && ctx.Err() == nil {
		return fmt.Errorf("the broker ended badly: %w", err)
	}
	return nil
}
