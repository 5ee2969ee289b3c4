package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/examples/internal/place"
	"github.com/millrace-io/millrace/runtime"
)

// job is one run: it loads the input and counts it at the same time.
type job struct {
	options options
	place   *place.Place
	input   *input // nil with --follow
	tally   *tally
	stderr  *os.File

	loader *loader
	drain  *place.Drain
	apps   []*runtime.App
	bar    *bar
	before counted       // what earlier runs had counted
	took   time.Duration // of loading and counting
	loaded atomic.Bool   // the whole input is in the topic
	said   sync.Mutex    // the bar and notices take turns
}

// counted is how far a group has come, in records of each stage.
type counted struct{ lines, words int64 }

// longestLine is how large records of the lines' topic may be: Go's own source has a line of 1.3 MB, and Kafka's default is 1 MiB.
const longestLine = "8388608"

// taskTimeout is how long a broker may be away while the application runs.
const taskTimeout = 2 * time.Minute

// prepare waits for the cluster, makes the topics and the application.
func (j *job) prepare(ctx context.Context) error {
	c := &j.place.Cluster
	j.bar = newBar(j.stderr)
	if err := c.Connect(ctx, j.notice); err != nil {
		return err
	}
	partitions := j.options.partitions
	if partitions == 0 {
		partitions = defaultPartitions
	}
	j.loader = &loader{cluster: c, topic: lines.Name(), tally: j.tally, notice: j.notice}
	have, err := c.Ensure(ctx,
		place.TopicSpec{Name: lines.Name(), Partitions: partitions, Configs: map[string]string{"retention.ms": "-1", "max.message.bytes": longestLine}},
		place.TopicSpec{Name: wordCounts.Name(), Partitions: partitions, Configs: map[string]string{"cleanup.policy": "compact"}},
		place.TopicSpec{Name: j.loader.progressTopic(), Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact"}},
	)
	if err != nil {
		return err
	}
	if n := have[lines.Name()]; j.options.partitions != 0 && n != partitions {
		return fmt.Errorf("the topic %s has %d partitions already: leave out --partitions, or start afresh with another --data directory", lines.Name(), n)
	}
	if j.loader.limit, err = c.MaxRecord(ctx, lines.Name()); err != nil {
		return err
	}
	if err := j.identify(ctx); err != nil {
		return err
	}
	j.drain = &place.Drain{
		Cluster: c, Group: j.options.app,
		Stages:  []string{lines.Name(), j.options.app + "-" + byWord.Name() + "-repartition"},
		Results: []string{wordCounts.Name()},
	}
	return j.makeApps()
}

// identify finds out what the topic is and how far earlier runs came.
func (j *job) identify(ctx context.Context) error {
	cl, err := j.place.Cluster.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx, lines.Name())
	if err != nil {
		return fmt.Errorf("look up topic %s: %w", lines.Name(), err)
	}
	id := topics[lines.Name()].ID
	j.loader.topicID = hex.EncodeToString(id[:])
	if j.input != nil {
		j.loader.inputID = j.input.id
	}
	var committed kadm.OffsetResponses
	err = place.Patiently(ctx, func() (err error) {
		committed, err = adm.FetchOffsets(ctx, j.options.app)
		return err
	})
	if err != nil {
		return fmt.Errorf("look up group %s: %w", j.options.app, err)
	}
	committed.Each(func(o kadm.OffsetResponse) {
		switch {
		case o.Err != nil || o.At < 0:
		case o.Topic == lines.Name():
			j.before.lines += o.At
		default:
			j.before.words += o.At
		}
	})
	return nil
}

func (j *job) makeApps() error {
	built, err := topology()
	if err != nil {
		return err
	}
	guarantee := runtime.AtLeastOnce
	if j.options.exactly {
		guarantee = runtime.ExactlyOnce
	}
	for i := range j.options.instances {
		app, err := runtime.New(built, runtime.Config{
			AppID:       j.options.app,
			Brokers:     j.place.Cluster.Brokers,
			Dial:        j.place.Cluster.Dial,
			Guarantee:   guarantee,
			StateDir:    j.place.StateDir(i),
			TaskTimeout: taskTimeout,
			Logger:      slog.New(slog.DiscardHandler), // what holds it up is shown, what ends it is returned
		})
		if err != nil {
			return err
		}
		j.apps = append(j.apps, app)
	}
	return nil
}

// count loads and counts until everything is counted, or with --follow until ctx ends.
func (j *job) count(ctx context.Context) error {
	began := time.Now()
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, app := range j.apps {
		all.Go(func() {
			if err := app.Run(work); err != nil {
				cancel(j.advise(err))
			}
		})
	}
	if j.input != nil {
		all.Go(func() {
			if err := j.loader.run(work, j.input); err != nil {
				cancel(err)
				return
			}
			j.loaded.Store(true)
		})
	}
	counted := make(chan struct{})
	all.Go(func() {
		defer close(counted)
		j.show(work, began)
	})
	<-counted
	j.took = time.Since(began)
	finished := work.Err() == nil
	cancel(nil)
	all.Wait()
	j.bar.clear()
	switch cause := context.Cause(work); {
	case finished:
		return nil
	case ctx.Err() == nil:
		return cause // what failed
	case j.options.follow:
		return nil
	}
	return ctx.Err()
}

// advise adds what to do when the cluster went away for too long.
func (j *job) advise(err error) error {
	var op *net.OpError
	if len(j.options.brokers) > 0 && errors.As(err, &op) {
		return fmt.Errorf("%w: nothing that was counted is lost, run the same command again when the cluster is back", err)
	}
	return err
}

// show draws the progress until everything is counted or ctx ends.
func (j *job) show(ctx context.Context, began time.Time) {
	done := make(chan struct{})
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	tick := time.NewTicker(barInterval)
	defer tick.Stop()
	started := false
	var told string // the last trouble that was told of
	for {
		if j.loaded.Load() && !started {
			started = true
			go func() {
				if j.drain.Wait(waiting) == nil {
					close(done)
				}
			}()
		}
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case now := <-tick.C:
			words, trouble := j.progress()
			if trouble != "" && trouble != told {
				j.notice(trouble)
			}
			told = trouble
			j.said.Lock()
			j.bar.draw(words, words-j.before.words, j.estimate(), now.Sub(began))
			j.said.Unlock()
		}
	}
}

// progress is how many words this process has counted, with those of earlier runs, and what holds it up, if anything does.
func (j *job) progress() (words int64, trouble string) {
	for _, app := range j.apps {
		p := app.Progress()
		if p.LastError != nil {
			trouble = fmt.Sprintf("trying again: %v", p.LastError)
		}
		for _, task := range p.Tasks {
			for _, in := range task.Inputs {
				if in.Topic != lines.Name() {
					words += max(in.Position, 0)
				}
			}
		}
	}
	return words, trouble
}

// estimate is how many words the whole text has: the number, once it was read, and what its beginning lets expect before. 0 is unknown.
func (j *job) estimate() int64 {
	words, bytes := j.tally.words.Load(), j.tally.bytes.Load()
	switch {
	case j.tally.done.Load():
		return words
	case j.input == nil || j.input.bytes == 0 || bytes == 0:
		return 0
	}
	return int64(float64(words) * float64(j.input.bytes) / float64(bytes))
}

// notice tells the user something on the way, without spoiling the bar.
func (j *job) notice(text string) {
	j.said.Lock()
	defer j.said.Unlock()
	j.bar.clear()
	fmt.Fprintln(j.stderr, "wordcount: "+text)
}

// mostShown is how many of the most frequent words the result has.
const mostShown = 20

// result prints the result and compares it with the direct count.
func (j *job) result(ctx context.Context, w io.Writer) error {
	got, err := readCounts(ctx, &j.place.Cluster)
	if err != nil {
		return err
	}
	j.print(w, got)
	if wrong := difference(got, j.tally.counts); len(wrong) > 0 {
		return fmt.Errorf("the result differs from a direct count of the same text in %d words: %q is counted %d times and stands there %d times%s",
			len(wrong), wrong[0], got[wrong[0]], j.tally.counts[wrong[0]], j.excuse())
	}
	fmt.Fprintln(w, "The result equals a direct count of the same text.")
	return nil
}

func (j *job) excuse() string {
	if !j.options.exactly {
		return " (with at-least-once, words can be counted twice after a crash)"
	}
	return ""
}

func (j *job) print(w io.Writer, counts map[string]int64) {
	for _, c := range mostFrequent(counts, mostShown) {
		fmt.Fprintf(w, "%12s  %s\n", grouped(c.count), c.word)
	}
	lines, words := j.tally.lines.Load(), j.tally.words.Load()
	fmt.Fprintf(w, "%s records, %s words, %s different.\n", grouped(lines), grouped(words), grouped(int64(len(counts))))
	seconds := max(j.took.Seconds(), 1e-3)
	newLines, newWords := max(lines-j.before.lines, 0), max(words-j.before.words, 0)
	if j.before != (counted{}) {
		fmt.Fprintf(w, "This run counted %s records and %s words of them.\n", grouped(newLines), grouped(newWords))
	}
	fmt.Fprintf(w, "%.1f s: %s records/s, %s words/s.\n", seconds, grouped(int64(float64(newLines)/seconds)), grouped(int64(float64(newWords)/seconds)))
}

// goOn says what a user can do after a run that was stopped.
func (o options) goOn() string {
	if o.data != "" && !o.follow {
		return ": the same command goes on where it was"
	}
	return ""
}
