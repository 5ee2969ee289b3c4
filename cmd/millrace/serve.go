package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/broker"
)

// shutdownTimeout is how long clients get to see their last answers.
const shutdownTimeout = 10 * time.Second

// serveOptions are the flags of the commands that run a server.
type serveOptions struct {
	listen    string
	advertise string
	data      string
	flush     string
	metrics   string
	settings  []string
	verbose   bool
	defaults  map[string]string // settings that hold unless --set says otherwise
}

func (o *serveOptions) flags(cmd *cobra.Command, dataUsage string) {
	cmd.Flags().StringVar(&o.listen, "listen", defaultBroker, "serve clients at `HOST:PORT`; port 0 takes a free one")
	cmd.Flags().StringVar(&o.advertise, "advertise", "", "tell clients to connect to `HOST:PORT` instead of the address that they came in on")
	cmd.Flags().StringVar(&o.data, "data", "", dataUsage)
	cmd.Flags().StringVar(&o.flush, "flush", "", "when what was acknowledged is on disk: `always|interval|os` (default os: it survives a kill, not a power loss)")
	cmd.Flags().StringVar(&o.metrics, "metrics", "", "serve Prometheus' /metrics, and /healthz, at `HOST:PORT`")
	cmd.Flags().StringArrayVar(&o.settings, "set", nil, "setting of the broker, `KEY=VALUE`, by Kafka's names; may be repeated")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "log what happens, not only what is wrong")
}

func (o *serveOptions) config(stderr io.Writer) (broker.Config, error) {
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelInfo
	}
	c := broker.Config{
		Dir: o.data, Advertise: o.advertise, Flush: broker.FlushMode(o.flush), Set: maps.Clone(o.defaults),
		Logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})),
	}
	if c.Set == nil {
		c.Set = map[string]string{}
	}
	for _, pair := range o.settings {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return c, usagef("--set %s: want KEY=VALUE", pair)
		}
		c.Set[key] = value
	}
	if _, _, err := net.SplitHostPort(o.listen); err != nil {
		return c, usagef("--listen %s: want HOST:PORT", o.listen)
	}
	if _, _, err := net.SplitHostPort(o.metrics); err != nil && o.metrics != "" {
		return c, usagef("--metrics %s: want HOST:PORT", o.metrics)
	}
	if err := c.Validate(); err != nil {
		return c, usagef("%v", err)
	}
	return c, nil
}

// serve runs a server until ctx ends. announce is called with its address, and that of its metrics, once it answers.
func (o *serveOptions) serve(cmd *cobra.Command, announce func(address, metrics string)) error {
	ctx := cmd.Context()
	config, err := o.config(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	// The port comes first: a server that cannot be reached must not touch the data.
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("the port of %s is taken by another server: stop that one, or choose another port with --listen", o.listen)
		}
		return fmt.Errorf("%w: choose an address of this machine with --listen", err)
	}
	metrics, err := listenMetrics(o.metrics)
	if err != nil {
		ln.Close()
		return err
	}
	keepToContainer()
	server := &broker.Server{Config: config}
	if err := server.Start(); err != nil {
		metrics.abandon()
		ln.Close()
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	metrics.serve(server.Metrics())
	announce(ln.Addr().String(), metrics.address())
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	// The metrics go last, so that health tells of the shutdown; they have nothing to lose.
	defer metrics.shutdown(stop)
	if shut := server.Shutdown(stop); shut != nil {
		return errors.Join(err, fmt.Errorf("the server did not end cleanly: %w", shut))
	}
	if err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, broker.ErrServerClosed) {
		return err
	}
	return nil
}

func brokerCommand() *cobra.Command {
	o := &serveOptions{}
	cmd := &cobra.Command{
		Use:   "broker --data DIR",
		Short: "Run a log server that keeps its data",
		Long: `Run a log server that keeps its data. One line with its address says that it is ready; SIGTERM and Ctrl-C close it cleanly.
A kill at any moment loses nothing that was acknowledged; what a power loss takes is the choice of --flush. With --metrics it serves what Prometheus scrapes at /metrics, under the names that Apache Kafka's metrics
have behind their usual exporter, and at /healthz whether it can do its work.

When a write or flush fails, the data directory is offline: clients are told to try again, /healthz says 503, and a restart reads every byte before it goes on. The
same goes for a directory that somebody removes, moves or unmounts while the server runs, which is noticed within a second. The last 64 MiB of the
disk, or 2 % of a small one, are kept for offsets, transactions and metadata: from there on producers are told to try again, while consumers go on and topics can be deleted or given a
shorter retention. A full disk or a read-only one refuses what has to be written, and everything goes on when there is room again.

In a container with little memory the collector keeps the heap to 70 % of it, unless GOMEMLIMIT says otherwise. What clients can make the server hold at a time is bounded, see
millrace_memory_limit_bytes among the metrics: give it that much where you do not trust them.`,
		Args: exactly(),
		Example: `  millrace broker --data /var/lib/millrace
  millrace broker --data ./data --listen 127.0.0.1:9093 --flush always
  millrace broker --data ./data --metrics 127.0.0.1:9404
  millrace broker --data ./data --set log.retention.hours=24 --set num.partitions=4`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.data == "" {
				return usagef("--data is missing: name the directory that keeps the data, or use millrace dev to try things in memory")
			}
			return o.serve(cmd, func(address, metrics string) {
				if metrics != "" {
					metrics = ", metrics at http://" + metrics + "/metrics"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "millrace broker: ready at %s%s, data in %s\n", address, metrics, o.data)
			})
		},
	}
	o.flags(cmd, "keep the data in this `DIR`")
	return cmd
}

func devCommand() *cobra.Command {
	// A first member that waits 3 s for others would make every program that is tried here look slow.
	o := &serveOptions{defaults: map[string]string{"group.initial.rebalance.delay.ms": "0"}}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a log server to try things with",
		Long:  "Run a log server to try things with: one node, no security, data in memory unless --data names a directory.",
		Args:  exactly(),
		Example: `  millrace dev
  millrace dev --listen 127.0.0.1:0
  millrace dev --data ./data`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.serve(cmd, func(address, metrics string) { fmt.Fprint(cmd.OutOrStdout(), devText(address, metrics, o.data)) })
		},
	}
	o.flags(cmd, "keep the data in this `DIR` instead of in memory")
	return cmd
}

// devText is what a newcomer needs to know, in five lines, and one more when there are metrics.
func devText(address, metrics, data string) string {
	where := "data in memory (--data DIR keeps it)"
	if data != "" {
		where = "data in " + data
	}
	if metrics != "" {
		metrics = "Metrics http://" + metrics + "/metrics\n"
	}
	brokers := ""
	if address != defaultBroker {
		brokers = " --brokers " + address
	}
	return fmt.Sprintf("%s, for development, %s\n", version(), where) +
		fmt.Sprintf("Kafka   %s\n", address) +
		fmt.Sprintf("Try     echo hello | millrace topic produce hello --create%s; millrace topic consume hello%s\n", brokers, brokers) +
		fmt.Sprintf("Count   go run ./examples/wordcount --brokers %s\n", address) +
		metrics +
		"Stop    Ctrl-C\n"
}
