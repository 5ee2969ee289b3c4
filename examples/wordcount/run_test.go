package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/examples/internal/command"
	"github.com/millrace-io/millrace/examples/internal/place"
)

// outcome is what a run of the program left behind.
type outcome struct {
	code           int
	stdout, stderr string
}

func runProgram(t *testing.T, ctx context.Context, args ...string) outcome {
	t.Helper()
	stderr, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	var stdout strings.Builder
	code := run(ctx, args, &stdout, stderr)
	said, err := os.ReadFile(stderr.Name())
	if err != nil {
		t.Fatal(err)
	}
	return outcome{code, stdout.String(), string(said)}
}

const equals = "The result equals a direct count of the same text.\n"

func (o outcome) counted(t *testing.T) {
	t.Helper()
	if o.code != command.Done || !strings.HasSuffix(o.stdout, equals) {
		t.Errorf("exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
}

func (o outcome) failed(t *testing.T, code int, parts ...string) {
	t.Helper()
	if o.code != code || o.stdout != "" {
		t.Errorf("exit code %d, want %d, nothing on standard output\n%s%s", o.code, code, o.stdout, o.stderr)
	}
	for _, part := range parts {
		if !strings.Contains(o.stderr, part) {
			t.Errorf("the message lacks %q:\n%s", part, o.stderr)
		}
	}
	if strings.Count(o.stderr, "panic") > 0 {
		t.Errorf("a panic is no message:\n%s", o.stderr)
	}
}

func someText(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for i := range 2_000 {
		fmt.Fprintf(&text, "line %d of the text, The LINE\n", i)
	}
	return textFiles(t, map[string]string{"a.txt": text.String(), "b/c.txt": "one more line"})
}

func TestRunPrintsTheMostFrequentWords(t *testing.T) {
	for _, args := range [][]string{nil, {"--guarantee", "at-least-once"}, {"--instances", "3", "--partitions", "5"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			o := runProgram(t, t.Context(), append(args, someText(t))...)
			o.counted(t)
			for _, part := range []string{"       4,001  line\n", "       4,000  the\n", "2,001 records, 14,003 words, 2,006 different.\n", " words/s.\n"} {
				if !strings.Contains(o.stdout, part) {
					t.Errorf("the result lacks %q:\n%s", part, o.stdout)
				}
			}
			if o.stderr != "" {
				t.Errorf("without a terminal there is nothing but the result, not %q", o.stderr)
			}
		})
	}
}

func TestRunOfAnEmptyText(t *testing.T) {
	o := runProgram(t, t.Context(), textFiles(t, map[string]string{"empty": ""}))
	o.counted(t)
	if !strings.Contains(o.stdout, "0 records, 0 words, 0 different.") {
		t.Errorf("%s", o.stdout)
	}
}

func TestSecondRunOnTheSameDataHasNothingToDo(t *testing.T) {
	data, text := t.TempDir(), someText(t)
	runProgram(t, t.Context(), "--data", data, text).counted(t)
	o := runProgram(t, t.Context(), "--data", data, text)
	o.counted(t)
	if !strings.Contains(o.stdout, "This run counted 0 records and 0 words of them.") {
		t.Errorf("%s", o.stdout)
	}
}

func TestAnotherInputOnTheSameDataIsRefused(t *testing.T) {
	data := t.TempDir()
	runProgram(t, t.Context(), "--data", data, someText(t)).counted(t)
	o := runProgram(t, t.Context(), "--data", data, textFiles(t, map[string]string{"other": "text"}))
	o.failed(t, command.Failed, "was loaded with another input", "--data")
}

func TestDataInUseIsRefused(t *testing.T) {
	data := t.TempDir()
	p, err := place.Open(place.Options{Name: "wordcount", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	o := runProgram(t, t.Context(), "--data", data, someText(t))
	o.failed(t, command.Failed, "in use by another process", data)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	runProgram(t, t.Context(), "--data", data, someText(t)).counted(t)
}

func TestNewerFormatIsRefused(t *testing.T) {
	data, text := t.TempDir(), someText(t)
	runProgram(t, t.Context(), "--data", data, text).counted(t)
	format := filepath.Join(data, "log", "format")
	if err := os.WriteFile(format, []byte("millrace data 9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := runProgram(t, t.Context(), "--data", data, text)
	o.failed(t, command.Failed, "newer format", data)
}

func TestMissingFileFails(t *testing.T) {
	o := runProgram(t, t.Context(), filepath.Join(t.TempDir(), "nosuch"))
	o.failed(t, command.Failed, "nosuch", "no such file", "name files")
}

func TestTakenPortFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	o := runProgram(t, t.Context(), "--listen", ln.Addr().String(), someText(t))
	o.failed(t, command.Failed, "address already in use", "--listen")
}

func TestWrongFlagIsAUsageError(t *testing.T) {
	o := runProgram(t, t.Context(), "--partitions", "none")
	o.failed(t, command.Misused, "--partitions", "Try:")
}

func TestLineLargerThanARecordFailsAndLosesNothing(t *testing.T) {
	data := t.TempDir()
	text := textFiles(t, map[string]string{"a": "before\n", "b": "short\n" + strings.Repeat("x", 9<<20) + "\n"})
	o := runProgram(t, t.Context(), "--data", data, text)
	o.failed(t, command.Failed, string(filepath.Separator)+"b:2:", "max.message.bytes")
	p, err := place.Open(place.Options{Name: "wordcount", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l := &loader{cluster: &p.Cluster, topic: lines.Name()}
	j := &job{place: p, loader: l}
	if err := j.identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := l.readProgress(t.Context()); err != nil || got.Lines != 2 || got.Done {
		t.Errorf("loaded %+v, %v, want the two lines before", got, err)
	}
}

func TestBrokerThatDoesNotAnswerFails(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the tries to be over; left out with -short")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close() // nobody listens there now
	o := runProgram(t, t.Context(), "--brokers", address, someText(t))
	o.failed(t, command.Failed, "try 1 of", "no broker answers at "+address, "--brokers")
}

func TestStopEndsWithinASecondAndTheNextRunGoesOn(t *testing.T) {
	data := t.TempDir()
	var long strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&long, "word%d and some others that are always there\n", i%5_000)
	}
	text := textFiles(t, map[string]string{"long": long.String()})
	ctx, cancel := context.WithCancel(t.Context())
	var asked time.Time
	go func() {
		// Stopped in the middle: when a part of the lines is in the log.
		for ctx.Err() == nil && logBytes(data) < 1<<20 {
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}
		asked = time.Now()
		cancel()
	}()
	o := runProgram(t, ctx, "--data", data, text)
	took := time.Since(asked)
	o.failed(t, command.Interrupted, "stopped", "goes on where it was")
	if limit := time.Second * slowness; took > limit {
		t.Errorf("stopping took %v, want at most %v", took, limit)
	}
	runProgram(t, t.Context(), "--data", data, text).counted(t)
}

// logBytes is how large the log below a data directory is.
func logBytes(data string) (total int64) {
	files, _ := filepath.Glob(filepath.Join(data, "log", "topics", "*", "*.log"))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			total += info.Size()
		}
	}
	return total
}

// slowness stretches the limits of time for machines that do other work beside the tests.
const slowness = 5

func TestFollowCountsWhatArrivesUntilStopped(t *testing.T) {
	server := &broker.Server{Config: broker.Config{Set: map[string]string{"group.initial.rebalance.delay.ms": "0"}}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-served
	}()
	c := &place.Cluster{Brokers: []string{ln.Addr().String()}}
	if _, err := c.Ensure(t.Context(), place.TopicSpec{Name: lines.Name(), Partitions: 2}, place.TopicSpec{Name: wordCounts.Name(), Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	cl, err := c.Client(kgo.ConsumeTopics(wordCounts.Name()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan outcome, 1)
	go func() { done <- runProgram(t, ctx, "--brokers", ln.Addr().String(), "--follow") }()
	for _, line := range []string{"one two", "two"} {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: lines.Name(), Value: []byte(line)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int64{}
	for seen["one"] != 1 || seen["two"] != 2 {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			if seen[string(r.Key)], err = wordCounts.ValueSerde().Decode(r.Value); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	if o := <-done; o.code != command.Done || o.stdout != "" {
		t.Errorf("exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
}
