package docs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// counts is the state of the word count.
var counts = statestore.KeyValue("counts", serde.String, serde.Int64)

func wordCount(t *testing.T) *stream.Topology {
	t.Helper()
	var (
		lines  = stream.NewTopic("lines", serde.String, serde.String)
		byWord = stream.NewTopic("words", serde.String, serde.String)
	)
	b := stream.NewBuilder()
	words := stream.FlatMapValues(stream.From(b, lines), strings.FieldsSeq)
	ktable.Count(stream.GroupBy(words, func(_, word string) string { return word }, byWord), counts)
	topology, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

// logWithLines starts a log that has something to count.
func logWithLines(t *testing.T) *brokertest.Broker {
	t.Helper()
	log := brokertest.Start(t, broker.Config{})
	client := log.Client(t)
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 4, 1, nil, "lines"); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "lines", Value: []byte("to be or not to be")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return log
}

// counting returns an application that has counted and committed everything that was written, and what ends it.
func counting(t *testing.T, topology *stream.Topology, log *brokertest.Broker) (app *runtime.App, end func()) {
	t.Helper()
	app, err := runtime.New(topology, runtime.Config{AppID: "wordcount", Brokers: []string{log.Addr}, Dial: log.Net.Dial})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	for !app.Progress().Done() {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return app, func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestAnApplicationIsRunAndAsked(t *testing.T) {
	app, end := counting(t, wordCount(t), logWithLines(t))
	defer end()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /counts/{word}", func(w http.ResponseWriter, r *http.Request) {
		rows, err := runtime.Query(app, counts)
		if err != nil { // none of the partitions is here at present
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		n, found, err := rows.Get(r.PathValue("word"))
		switch {
		case err != nil: // a partition has just moved away
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case !found:
			http.Error(w, "this instance has no such word", http.StatusNotFound)
		default:
			fmt.Fprintln(w, n)
		}
	})

	mux.HandleFunc("GET /progress", func(w http.ResponseWriter, _ *http.Request) {
		p := app.Progress()
		if p.State != runtime.Running { // Rebalancing while tasks come or go, Failed after an error that Run returns
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, p.State, p.Processed, "processed")
		if p.LastError != nil {
			fmt.Fprintln(w, "trying again:", p.LastError)
		}
		for _, task := range p.Tasks {
			for _, in := range task.Inputs {
				fmt.Fprintln(w, task.ID, task.State, in.Topic, in.Partition, in.Lag(), "behind")
			}
		}
	})

	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/counts/be":       {http.StatusOK, "2\n"},
		"/counts/question": {http.StatusNotFound, "no such word"},
		"/progress":        {http.StatusOK, "lines 3 0 behind\n"},
	} {
		r := httptest.NewRecorder()
		mux.ServeHTTP(r, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if r.Code != want.status || !strings.Contains(r.Body.String(), want.text) {
			t.Errorf("%s: %d %s, want %+v", path, r.Code, r.Body, want)
		}
	}
}

// TestAnApplicationBeginsAnew deletes what the guide says.
func TestAnApplicationBeginsAnew(t *testing.T) {
	log := logWithLines(t)
	_, end := counting(t, wordCount(t), log)
	end()

	adm := kadm.NewClient(log.Client(t))
	_, err := adm.DeleteGroup(t.Context(), "wordcount")
	for errors.Is(err, kerr.NonEmptyGroup) { // the machine was too busy for a good-bye: the session ends soon
		<-time.After(5 * time.Millisecond)
		_, err = adm.DeleteGroup(t.Context(), "wordcount")
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("guide-9-running.md")
	if err != nil {
		t.Fatal(err)
	}
	_, names, _ := strings.Cut(string(text), "\nmillrace topic delete ")
	names, _, _ = strings.Cut(names, "\n")
	answers, err := adm.DeleteTopics(t.Context(), strings.Fields(names)...)
	if err := errors.Join(err, answers.Error()); err != nil {
		t.Fatal(err)
	}
	left, err := adm.ListTopics(t.Context())
	if err != nil || !slices.Equal(left.Names(), []string{"lines"}) {
		t.Errorf("left are %q, %v", left.Names(), err)
	}

	app, end := counting(t, wordCount(t), log)
	defer end()
	rows, err := runtime.Query(app, counts)
	if err != nil {
		t.Fatal(err)
	}
	if n, _, err := rows.Get("be"); n != 2 || err != nil {
		t.Errorf("be: %d, %v", n, err)
	}
}

// TestTheTableOfSettingsNamesFieldsThatExist reads the second column of the table for those who come from Kafka Streams.
func TestTheTableOfSettingsNamesFieldsThatExist(t *testing.T) {
	text, err := os.ReadFile("from-kafka-streams.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| `StreamsConfig` | `runtime.Config` |\n|---|---|\n")
	table, _, ended := strings.Cut(table, "\n\n")
	if !found || !ended {
		t.Fatal("the table is not there")
	}
	fields := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		for _, m := range regexp.MustCompile("`([A-Z][A-Za-z]+)`").FindAllStringSubmatch(cells[2], -1) {
			fields++
			if _, ok := reflect.TypeFor[runtime.Config]().FieldByName(m[1]); !ok {
				t.Errorf("runtime.Config has no %s, which stands in: %s", m[1], line)
			}
		}
	}
	if fields < 15 {
		t.Errorf("%d fields were found in the table", fields)
	}
}
