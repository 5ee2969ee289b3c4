package main

import (
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/examples/internal/command"
)

const usage = `Counts the words of real text with exactly-once processing, on a log inside this process or on a cluster.

Usage:
  go run ./examples/wordcount [FLAGS] [FILE|DIR|-]…

Files are read whole, directories with every file below them that is not hidden, - is standard input.
Without any, the text is Go's own source.

Flags:
`

// Guarantees by the names that --guarantee takes.
const (
	exactlyOnce = "exactly-once"
	atLeastOnce = "at-least-once"
)

// options is the command line, checked.
type options struct {
	brokers    []string // empty: a log inside this process
	data       string   // empty: a temporary directory that is removed at the end
	listen     string   // empty: no port
	follow     bool
	app        string
	partitions int32 // 0: as many as the topic has, or defaultPartitions
	exactly    bool
	instances  int
	inputs     []string
}

// defaultPartitions gives two cores something to share, and batches that are still large.
const defaultPartitions = 4

func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{}
	var guarantee string
	f := command.NewFlags("wordcount")
	f.StringSliceVar(&o.brokers, "brokers", nil, "use the cluster at these `HOST:PORT,…` instead of a log inside this process")
	f.StringVar(&o.data, "data", "", "keep log and state in this `DIR`; run again after any kill, the count goes on where it was")
	f.StringVar(&o.listen, "listen", "", "also serve the log inside this process at `HOST:PORT`, for other clients")
	f.BoolVar(&o.follow, "follow", false, "load nothing; count what arrives in the topic until stopped")
	f.StringVar(&o.app, "app", "wordcount", "application `ID`, the name of its group and internal topics")
	f.Int32Var(&o.partitions, "partitions", 0, fmt.Sprintf("partitions of the topics when they are made (default %d)", defaultPartitions))
	f.StringVar(&guarantee, "guarantee", exactlyOnce, exactlyOnce+" or "+atLeastOnce)
	f.IntVar(&o.instances, "instances", 1, "app instances in this process, sharing the work")
	if err := command.Parse(f, args, usage, out); err != nil {
		return o, err
	}
	o.inputs = f.Args()
	o.exactly = guarantee == exactlyOnce
	if err := command.CheckBrokers(f, o.brokers); err != nil {
		return o, err
	}
	return o, o.validate(f, guarantee)
}

// maxInstances bounds --instances: each is a group member with a client, a store and a transactional producer of its own.
const maxInstances = 64

func (o *options) validate(f *pflag.FlagSet, guarantee string) error {
	var fault string
	switch {
	case guarantee != exactlyOnce && guarantee != atLeastOnce:
		fault = fmt.Sprintf("--guarantee %s: want %s or %s", guarantee, exactlyOnce, atLeastOnce)
	case f.Changed("partitions") && o.partitions < 1:
		fault = fmt.Sprintf("--partitions %d: want at least 1", o.partitions)
	case o.instances < 1 || o.instances > maxInstances:
		fault = fmt.Sprintf("--instances %d: want 1 to %d", o.instances, maxInstances)
	case o.app == "":
		fault = "--app: want an id"
	case o.listen != "" && len(o.brokers) > 0:
		fault = "--listen is for the log inside this process; the cluster of --brokers has its own addresses"
	case o.follow && len(o.inputs) > 0:
		fault = "--follow loads nothing, so it takes no files"
	case o.follow && len(o.brokers) == 0 && o.listen == "":
		fault = "--follow needs --brokers, or --listen so that others can write to the topic"
	default:
		return nil
	}
	return command.UsageError(fault)
}
