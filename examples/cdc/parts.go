package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/connect/postgres"
	"github.com/millrace-io/millrace/examples/internal/place"
	"github.com/millrace-io/millrace/runtime"
)

// appID names the application in the cluster.
const appID = "cdc"

// newConnector is the part that brings changes into the log.
func newConnector(c *place.Cluster, url string, fresh bool) (*postgres.Source, error) {
	cfg := connectorConfig(c, url)
	cfg.Resnapshot = fresh
	return postgres.New(cfg)
}

func connectorConfig(c *place.Cluster, url string) postgres.Config {
	return postgres.Config{
		Database: url, Tables: []string{schema + ".*"}, Brokers: c.Brokers, Dial: c.Dial, Name: connector, Partitions: partitions,
		Heartbeat: 200 * time.Millisecond, RetryFor: time.Minute,
	}
}

// newApp is the part that joins and sums.
func newApp(c *place.Cluster, state string) (*runtime.App, error) {
	built, err := topology()
	if err != nil {
		return nil, err
	}
	return runtime.New(built, runtime.Config{
		AppID: appID, Brokers: c.Brokers, Dial: c.Dial, StateDir: state, TaskTimeout: time.Minute,
		Logger: slog.New(slog.DiscardHandler), // what ends it is returned
	})
}

// child is the life of a part in a process of its own, which may be killed.
func child(ctx context.Context, o options) error {
	c := &place.Cluster{Brokers: o.brokers}
	if o.role == roleConnector {
		source, err := newConnector(c, o.postgres, o.fresh)
		if err != nil {
			return err
		}
		return source.Run(ctx)
	}
	app, err := newApp(c, filepath.Join(o.data, "app"))
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// part is connector or application, in a process of its own.
type part struct {
	role   string
	args   []string
	mu     sync.Mutex
	cmd    *exec.Cmd // guarded by mu
	ended  chan struct{}
	stderr bytes.Buffer // read after ended
	kills  int
}

// start runs the part's process. fail is called when it ends without having been asked to.
func (p *part) start(fail func(error), more ...string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(self, append(append([]string{"--role", p.role}, p.args...), more...)...)
	p.stderr.Reset()
	cmd.Stderr = &p.stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the %s: %w", p.role, err)
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.ended = cmd, ended
	p.mu.Unlock()
	go func() {
		defer close(ended)
		err := cmd.Wait()
		p.mu.Lock()
		asked := p.cmd != cmd
		p.mu.Unlock()
		if !asked {
			fail(fmt.Errorf("the %s ended by itself: %w: %s", p.role, err, strings.TrimSpace(p.stderr.String())))
		}
	}()
	return nil
}

// kill ends the process with SIGKILL.
func (p *part) kill() error {
	p.mu.Lock()
	cmd := p.cmd
	p.cmd = nil
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the %s: %w", p.role, err)
	}
	<-p.ended
	return nil
}
