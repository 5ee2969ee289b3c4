package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/millrace-io/millrace/examples/internal/command"
	"github.com/millrace-io/millrace/examples/internal/place"
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Topics and stores are declared once, with their types: the topology, its tests and whoever queries it share these handles.
var (
	lines      = stream.NewTopic("lines", serde.Bytes, serde.String)       // no key, the line
	byWord     = stream.NewTopic("words", serde.String, serde.String)      // the way from the splitting to the counting tasks
	countStore = statestore.KeyValue("counts", serde.String, serde.Int64)  // the word, how often
	wordCounts = stream.NewTopic("word-counts", serde.String, serde.Int64) // the same, as a topic
)

// topology is the whole stream program. It runs the same on the log inside this process, on a Millrace cluster and on Apache Kafka.
func topology() (*stream.Topology, error) {
	b := stream.NewBuilder()
	text := stream.From(b, lines)
	found := stream.FlatMapValues(text, words)
	grouped := stream.GroupBy(found, func(_ []byte, word string) string { return word }, byWord)
	counted := ktable.Count(grouped, countStore)
	stream.To(ktable.ToStream(counted), wordCounts)
	return b.Build()
}

func main() { command.Main(run) }

func run(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	o, err := parseOptions(args, stdout)
	if err == nil {
		err = wordcount(ctx, o, stdout, stderr)
	}
	return command.Code(ctx, "wordcount", err, o.goOn(), stderr)
}

// wordcount does what the command line asks for.
func wordcount(ctx context.Context, o options, stdout io.Writer, stderr *os.File) (err error) {
	var in *input
	if !o.follow { // a wrong file name should not cost the start of a server
		if in, err = openInput(o.inputs); err != nil {
			return err
		}
	}
	where, err := place.Open(place.Options{Name: "wordcount", Brokers: o.brokers, Data: o.data, Listen: o.listen})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, where.Close()) }()

	j := &job{options: o, place: where, input: in, tally: newTally(), stderr: stderr}
	if err := j.prepare(ctx); err != nil {
		return err
	}
	if err := j.count(ctx); err != nil {
		return err
	}
	if o.follow {
		return nil
	}
	return j.result(ctx, stdout)
}
