package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/internal/memnet"
)

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
	server := &broker.Server{Config: broker.Config{Dir: dir, Set: map[string]string{"group.initial.rebalance.delay.ms": "0"}}}
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
		err := server.Close()
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
	dir, err := os.MkdirTemp("", "millrace-start-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "millrace")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/millrace-io/millrace/cmd/millrace").CombinedOutput(); err != nil {
		return fmt.Errorf("build the broker: %w\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "broker", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	line := make([]byte, 256)
	n, err := stdout.Read(line)
	ready := time.Since(began)
	if err != nil || !strings.Contains(string(line[:n]), "ready at ") {
		cancel()
		return fmt.Errorf("the broker says %q: %w", line[:n], errors.Join(err, cmd.Wait()))
	}
	timer := time.NewTimer(idleFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	b.report.addFact("broker, exec to ready", "ms", float64(ready.Microseconds())/1000)
	b.report.addFact("broker, memory at rest", "MiB", residentMiB(cmd.Process.Pid))
	cancel()
	if err := cmd.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("the broker ended badly: %w", err)
	}
	return nil
}
