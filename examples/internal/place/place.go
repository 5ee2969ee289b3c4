package place

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

// Place is where an example happens: a cluster, and a directory for the state. The cluster may be a log inside this process.
type Place struct {
	Cluster Cluster
	dir     string // of log and state
	temp    bool   // dir goes at the end
	server  *broker.Server
	served  chan error // the ends of the server's listeners
	serving int
	address string // where the log listens for others
}

// Address is where other processes reach the log: as it was asked for with Listen, or the first of the cluster's.
func (p *Place) Address() string {
	if p.address == "" {
		return p.Cluster.Brokers[0]
	}
	return p.address
}

// shutdownTimeout keeps Ctrl-C quick: what is not answered by then is not waited for. Nothing is lost by it.
const shutdownTimeout = 500 * time.Millisecond

// memoryAddress is what clients inside this process dial. It is no port.
const memoryAddress = "log:9092"

// Options say where it is to be.
type Options struct {
	Name    string   // of the example, for the temporary directory
	Brokers []string // of a running cluster; without them a log is started in this process
	Data    string   // directory of log and state; empty for a temporary one, which Close removes
	Listen  string   // also serve the log at this HOST:PORT
}

// Open starts what is needed.
func Open(o Options) (*Place, error) {
	p := &Place{Cluster: Cluster{Brokers: o.Brokers}, dir: o.Data, served: make(chan error, 2)}
	if p.dir == "" {
		dir, err := os.MkdirTemp("", "millrace-"+o.Name+"-")
		if err != nil {
			return nil, err
		}
		p.dir, p.temp = dir, true
	}
	if len(o.Brokers) > 0 {
		return p, nil
	}
	if err := p.startLog(o.Listen); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// startLog runs a log server in this process and points the cluster at it.
func (p *Place) startLog(listen string) error {
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
	if ln != nil {
		p.address = ln.Addr().String()
	}
	p.Cluster.Brokers = []string{memoryAddress}
	p.Cluster.Dial = network.Dial
	return nil
}

func (p *Place) serve(ln net.Listener) {
	p.serving++
	go func() { p.served <- p.server.Serve(ln) }()
}

// Dir is the directory of everything that the example keeps.
func (p *Place) Dir() string { return p.dir }

// StateDir is the directory of an app instance's state.
func (p *Place) StateDir(instance int) string {
	return filepath.Join(p.dir, "state", strconv.Itoa(instance))
}

// Close ends the log and removes what was temporary.
func (p *Place) Close() error {
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
