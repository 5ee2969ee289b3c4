package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/internal/memnet"
)

// place is where a word count happens: a cluster, and a directory for the state. The cluster may be a log inside this process.
type place struct {
	cluster cluster
	dir     string // of log and state
	temp    bool   // dir goes at the end
	server  *broker.Server
	served  chan error // the ends of the server's listeners
	serving int
}

// shutdownTimeout keeps Ctrl-C quick: what is not answered by then is not waited for. Nothing is lost by it.
const shutdownTimeout = 500 * time.Millisecond

// memoryAddress is what clients inside this process dial. It is no port.
const memoryAddress = "log:9092"

func openPlace(o options) (*place, error) {
	p := &place{cluster: cluster{brokers: o.brokers}, dir: o.data, served: make(chan error, 2)}
	if p.dir == "" {
		dir, err := os.MkdirTemp("", "millrace-wordcount-")
		if err != nil {
			return nil, err
		}
		p.dir, p.temp = dir, true
	}
	if len(o.brokers) > 0 {
		return p, nil
	}
	if err := p.startLog(o.listen); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// startLog runs a log server in this process and points the cluster at it.
func (p *place) startLog(listen string) error {
	var ln net.Listener
	if listen != "" {
		var err error
		if ln, err = net.Listen("tcp", listen); err != nil {
			return fmt.Errorf("%w: choose another address with --listen", err)
		}
	}
	p.server = &broker.Server{Config: broker.Config{Dir: filepath.Join(p.dir, "log"), Set: map[string]string{
		"group.initial.rebalance.delay.ms": "0", // all members are here: there is nobody to wait for
	}}}
	if err := p.server.Start(); err != nil {
		p.server = nil
		if ln != nil {
			ln.Close()
		}
		return err
	}
	network := &memnet.Network{}
	memory, err := network.Listen(memoryAddress)
	if err != nil {
		return err
	}
	p.serve(memory)
	if ln != nil {
		p.serve(ln)
	}
	p.cluster.brokers = []string{memoryAddress}
	p.cluster.dial = network.Dial
	return nil
}

func (p *place) serve(ln net.Listener) {
	p.serving++
	go func() { p.served <- p.server.Serve(ln) }()
}

// stateDir is the directory of an app instance's state.
func (p *place) stateDir(instance int) string {
	return filepath.Join(p.dir, "state", strconv.Itoa(instance))
}

// close ends the log and removes what was temporary.
func (p *place) close() error {
	var errs []error
	if p.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if err := p.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, err)
		}
		for range p.serving {
			if err := <-p.served; !errors.Is(err, broker.ErrServerClosed) {
				errs = append(errs, err)
			}
		}
	}
	if p.temp {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	return errors.Join(errs...)
}
