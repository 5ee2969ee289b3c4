package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/connect/postgres"
)

func cdcCommand() *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "cdc",
		Short:   "Bring the changes of a database into the log",
		Example: `  millrace cdc postgres --database postgres://shop@db:5432/shop --tables orders,items`,
	})
	cmd.AddCommand(cdcPostgres())
	return cmd
}

type cdcOptions struct {
	config   postgres.Config
	metrics  string
	progress time.Duration
	verbose  bool
}

func cdcPostgres() *cobra.Command {
	o := cdcOptions{}
	cmd := &cobra.Command{
		Use:   "postgres --database URL --tables a,b",
		Short: "Bring the changes of Postgres tables into topics, exactly once",
		Long: `Bring the changes of Postgres tables into topics, exactly once: a snapshot first, then every change in commit order.
Each table has a topic NAME.SCHEMA.TABLE; a record's key is the primary key, its value Debezium's envelope, both JSON. The command runs until it is
stopped, and goes on where it was when it is started again. The server needs wal_level=logical, the user the REPLICATION attribute and SELECT on the tables.`,
		Example: `  millrace cdc postgres --database postgres://shop@db:5432/shop --tables orders,items
  millrace cdc postgres --database postgres://shop@db:5432/shop --tables 'public.*' --name shop --brokers 10.0.0.1:9092`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config.Database, "database", "", "the database, as psql takes it: `URL`")
	f.StringSliceVar(&o.config.Tables, "tables", nil, "`TABLE,…` to follow: names or patterns, in schema public unless they say otherwise")
	f.StringSliceVar(&o.config.Brokers, "brokers", []string{defaultBroker}, "brokers to ask first, `HOST:PORT,…` (also --bootstrap-server)")
	f.StringVar(&o.config.Name, "name", "millrace", "`NAME` of the connector: of its slot, its publication and the first part of its topics")
	f.IntVar(&o.config.Partitions, "partitions", 4, "partitions of a topic that is made")
	f.IntVar(&o.config.ReplicationFactor, "replication-factor", 0, "replicas of a topic that is made (default: the cluster's)")
	f.DurationVar(&o.config.Heartbeat, "heartbeat", 3*time.Second, "how often the slot advances when no change comes")
	f.DurationVar(&o.config.RetryFor, "retry-for", 5*time.Minute, "how long a database or log that is away is waited for")
	f.DurationVar(&o.config.TransactionTimeout, "transaction-timeout", 15*time.Minute, "how long the snapshot of one table, or one transaction, may take")
	f.BoolVar(&o.config.Resnapshot, "resnapshot", false, "make a new slot and take all snapshots again, after the slot was lost or a table truncated")
	f.BoolVar(&o.config.AcceptTypes, "accept-types", false, "go on when a column has changed its type")
	f.StringVar(&o.metrics, "metrics", "", "serve Prometheus' /metrics, and /healthz, at `HOST:PORT`")
	f.DurationVar(&o.progress, "progress", 10*time.Second, "how often a line tells how far it is; 0 for never")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log what happens, not only what is wrong")
	return cmd
}

func (o *cdcOptions) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelInfo
	}
	o.config.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	if _, _, err := net.SplitHostPort(o.metrics); err != nil && o.metrics != "" {
		return usagef("--metrics %s: want HOST:PORT", o.metrics)
	}
	source, err := postgres.New(o.config)
	if err != nil {
		return usagef("%v", err)
	}
	metrics, err := listenMetrics(o.metrics)
	if err != nil {
		return err
	}
	metrics.serve(cdcPages(source))
	if at := metrics.address(); at != "" {
		fmt.Fprintf(stderr, "millrace cdc postgres: metrics at http://%s/metrics\n", at)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		err = errors.Join(err, metrics.shutdown(ctx))
	}()
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx) }()
	return o.watch(source, done, stdout)
}

// watch prints a line of progress now and then until the source ends.
func (o *cdcOptions) watch(source *postgres.Source, done <-chan error, stdout io.Writer) error {
	var tick <-chan time.Time
	if o.progress > 0 {
		t := time.NewTicker(o.progress)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case err := <-done:
			return err
		case <-tick:
			fmt.Fprintln(stdout, cdcLine(source.Stats()))
		}
	}
}

// cdcLine is a source's figures in one line.
func cdcLine(s postgres.Stats) string {
	switch s.State {
	case postgres.Snapshot:
		if s.SnapshotTable == "" {
			return "snapshot: waiting for transactions that ran"
		}
		line := fmt.Sprintf("snapshot of %s: %d rows", s.SnapshotTable, s.SnapshotRows)
		if s.SnapshotOf > s.SnapshotRows {
			line += fmt.Sprintf(" of about %d", s.SnapshotOf)
		}
		if s.SnapshotLeft > 0 {
			line += fmt.Sprintf(", %v left", s.SnapshotLeft.Round(time.Second))
		}
		return line
	case postgres.Waiting:
		return "waiting: " + s.Detail
	default:
		return fmt.Sprintf("%s: %d rows in %d transactions, %d bytes behind (%v), %d bytes of write-ahead log kept", s.State, s.Rows, s.Transactions, s.LagBytes, s.Lag.Round(time.Millisecond), s.RetainedBytes)
	}
}

// cdcPages are /metrics and /healthz, which is 200 while the connector follows its database.
func cdcPages(source *postgres.Source) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(source.Collector())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		s := source.Stats()
		if s.State != postgres.Streaming && s.State != postgres.Snapshot {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, s.State, s.Detail)
	})
	return mux
}
