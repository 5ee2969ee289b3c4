package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// system is a log server in a process of its own.
type system struct {
	name    string
	address string
	pid     int
	stop    func() error
	clients *cluster // by cluster
}

// cluster addresses the system as clients do.
func (s *system) cluster(b *bench) *cluster {
	if s.clients == nil {
		s.clients = &cluster{brokers: []string{s.address}, prefix: fmt.Sprintf("%s-%d", b.cluster.prefix, s.pid)}
	}
	return s.clients
}

// program builds the broker, once for the run.
func (b *bench) program(ctx context.Context) (string, error) {
	path := filepath.Join(b.dir, "millrace")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/millrace-io/millrace/cmd/millrace").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the broker: %w\n%s", err, out)
	}
	return path, nil
}

// process is a broker that runs.
type process struct {
	cmd     *exec.Cmd
	address string
	began   time.Time
	ready   time.Duration // from exec to the line that says so
}

// launch runs `millrace broker` on a directory, at a free port, and returns when it says that it is ready.
func (b *bench) launch(ctx context.Context, data string, flags ...string) (*process, error) {
	path, err := b.program(ctx)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(path, append([]string{"broker", "--data", data, "--listen", "127.0.0.1:0"}, flags...)...)}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	timeout := time.AfterFunc(readyTimeout, func() { _ = p.cmd.Process.Kill() })
	line := make([]byte, 256)
	n, err := stdout.Read(line)
	p.ready = time.Since(p.began)
	timeout.Stop()
	_, rest, found := strings.Cut(string(line[:n]), "ready at ")
	if err != nil || !found {
		return nil, fmt.Errorf("the broker says %q: %w", line[:n], errors.Join(err, p.end(syscall.SIGKILL)))
	}
	p.address, _, _ = strings.Cut(rest, ",")
	go func() { _, _ = io.Copy(io.Discard, stdout) }() // ends with the process
	return p, nil
}

// end sends a signal and waits; a broker that was told to stop must do so without a complaint.
func (p *process) end(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return err
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if s == syscall.SIGKILL && errors.As(err, &exit) {
		return nil
	}
	return err
}

// millrace starts a broker for the whole run.
func (b *bench) millrace(ctx context.Context, flush string) (*system, error) {
	data := filepath.Join(b.dir, "millrace-"+flush)
	p, err := b.launch(ctx, data, "--flush", flush)
	if err != nil {
		return nil, err
	}
	name := "millrace"
	if flush != "os" {
		name += ", flush=" + flush
	}
	return &system{name: name, address: p.address, pid: p.cmd.Process.Pid, stop: func() error { return p.end(syscall.SIGTERM) }}, nil
}

// kafka starts Apache Kafka for the whole run; nil when it is not to be had here.
func (b *bench) kafka(ctx context.Context) (*system, error) {
	script, ok, err := b.kafkaScript(ctx)
	if err != nil || !ok {
		return nil, err
	}
	dir := filepath.Join(b.dir, "kafka")
	port, err := freePorts()
	if err != nil {
		return nil, err
	}
	start := exec.CommandContext(ctx, script, "start", dir, fmt.Sprint(port))
	start.Env = append(os.Environ(), "KAFKA_HEAP="+kafkaHeap)
	stop := func() error { return exec.Command(script, "stop", dir).Run() }
	if out, err := start.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w\n%s", errors.Join(err, stop()), out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	s := &system{name: kafkaName, address: fmt.Sprintf("127.0.0.1:%d", port), stop: stop}
	if _, err := fmt.Sscan(string(text), &s.pid); err != nil {
		return nil, errors.Join(err, stop())
	}
	return s, nil
}

const (
	kafkaName = "kafka"
	kafkaHeap = "-Xmx1g"
)

// kafkaScript finds the script of the interoperability tests that fetches and runs Apache Kafka. ok is false when Kafka was not asked for and there is no Java.
func (b *bench) kafkaScript(ctx context.Context) (path string, ok bool, err error) {
	if b.peer == "off" || b.peer == "auto" && b.short {
		return "", false, nil
	}
	for _, needed := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(needed); err != nil {
			if b.peer == "on" {
				return "", false, fmt.Errorf("-kafka on: %w", err)
			}
			return "", false, nil
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/millrace-io/millrace/internal/kafkatest").Output()
	if err != nil {
		return "", false, fmt.Errorf("find the script that runs Apache Kafka: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "kafka"), true, nil
}

// freePorts returns a port that is free as the one behind it is: Kafka's controller takes that.
func freePorts() (int, error) {
	const tries = 100
	for range tries {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		first.Close()
		if err == nil {
			second.Close()
			return port, nil
		}
	}
	return 0, errors.New("no two free ports in a row")
}
