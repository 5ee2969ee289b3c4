package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
)

const (
	defaultRounds = 3
	shortRounds   = 1
	maxRounds     = 100
)

// bench is one run of the program.
type bench struct {
	run     *regexp.Regexp
	rounds  int
	round   int // the one at work
	short   bool
	cluster *cluster
	system  string // who answers at the cluster
	own     bool   // the cluster is a log server in this process
	report  *report
	log     io.Writer // what is going on

	dir     string    // of everything that is written
	profile string    // where CPU profiles go; empty: none
	peer    string    // whether Apache Kafka is measured beside: "auto", "on" or "off"
	started []*system // by systems
}

// group is workloads that share their input.
type group struct {
	names []string
	run   func(context.Context, *bench) error // one round
	own   bool                                // measures Millrace's own server only
}

var groups = []group{
	{names: []string{"produce", "consume"}, run: produceConsume},
	{names: []string{"wordcount"}, run: wordCount},
	{names: []string{"chain"}, run: chain},
	{names: append([]string{"driver-source"}, workNames("driver-")...), run: driverWorks},
	{names: workNames("app-"), run: appWorks},
	{names: []string{"start"}, run: startBroker, own: true},
	{names: []string{"broker-raw"}, run: brokerRaw, own: true},
	{names: []string{"broker-produce", "broker-fetch"}, run: brokerProduceFetch, own: true},
	{names: []string{"broker-txn"}, run: brokerTxn, own: true},
	{names: []string{"broker-latency"}, run: brokerLatency, own: true},
	{names: []string{"broker-start", "broker-memory"}, run: brokerStart, own: true},
}

func (b *bench) wants(workload string) bool { return b.run.MatchString(workload) }

func (b *bench) size(whole, short int64) int64 {
	if b.short {
		return short
	}
	return whole
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := benchmarks(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

func benchmarks(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	f := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	f.SetOutput(stderr)
	run := f.String("run", ".", "workloads to run: those whose names this `REGEXP` matches")
	brokers := f.String("brokers", "", "measure the cluster at `HOST:PORT,…` instead of a log server in this process")
	short := f.Bool("short", false, "small inputs and one round: to see that it works, not to quote")
	rounds := f.Int("rounds", 0, fmt.Sprintf("rounds of each workload (default %d, with -short %d)", defaultRounds, shortRounds))
	jsonFile := f.String("json", "", "also write everything as JSON to this `FILE`")
	profile := f.String("profile", "", "write a CPU profile of each stream workload to this `DIR`ectory")
	peer := f.String("kafka", "auto", "measure Apache Kafka beside in the broker workloads: `on`, off, or auto for when there are Java and Maven and the run is not -short")
	if err := f.Parse(args); err != nil {
		return cmp.Or(isHelp(err), fmt.Errorf("%w: %w", errUsage, err))
	}
	b := &bench{rounds: *rounds, short: *short, peer: *peer, profile: *profile, log: stderr}
	switch {
	case *peer != "auto" && *peer != "on" && *peer != "off":
		return fmt.Errorf("%w: -kafka %s: want auto, on or off", errUsage, *peer)
	case f.NArg() > 0:
		return fmt.Errorf("%w: unexpected argument %q", errUsage, f.Arg(0))
	case b.rounds < 0 || b.rounds > maxRounds:
		return fmt.Errorf("%w: -rounds %d: want 1 to %d", errUsage, b.rounds, maxRounds)
	case b.rounds == 0 && b.short:
		b.rounds = shortRounds
	case b.rounds == 0:
		b.rounds = defaultRounds
	}
	if b.run, err = regexp.Compile(*run); err != nil {
		return fmt.Errorf("%w: -run: %w", errUsage, err)
	}
	b.report = newReport(strings.Join(append([]string{"go run ./benchmarks"}, args...), " "))
	done, err := b.open(*brokers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := b.all(ctx); err != nil {
		return err
	}
	if *jsonFile != "" {
		if err := b.report.writeJSON(*jsonFile); err != nil {
			return err
		}
	}
	return b.report.print(stdout)
}

func isHelp(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return nil
}

// all runs the workloads that are asked for, round by round.
func (b *bench) all(ctx context.Context) error {
	any := false
	for _, g := range groups {
		wanted := false
		for _, name := range g.names {
			wanted = wanted || b.wants(name)
		}
		if !wanted || g.own && !b.own {
			continue
		}
		any = true
		for b.round = range b.rounds {
			fmt.Fprintf(b.log, "%s, round %d of %d\n", strings.Join(g.names, ", "), b.round+1, b.rounds)
			if err := g.run(ctx, b); err != nil {
				return err
			}
		}
	}
	if !any {
		var names []string
		for _, g := range groups {
			names = append(names, g.names...)
		}
		return fmt.Errorf("%w: -run %s matches no workload that can run here: %s", errUsage, b.run, strings.Join(names, ", "))
	}
	return nil
}
