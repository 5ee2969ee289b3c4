package runtime

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many scrapes are answered at one time; others are told to come later.
const maxScrapes = 2

// Metrics serves three pages for those who watch the instance: /metrics in Prometheus' format, with the figures of [App.Collector] and those of the process; /healthz, which
// is 200 from the beginning of Run until it is asked to end or fails; and /readyz, which is 200 while every task that the instance has is at work.
func (a *App) Metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(a.Collector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { a.tell(w, Rebalancing, Running) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { a.tell(w, Running) })
	return mux
}

// tell answers with the state, and 200 when it is one of those that are good. What is being retried does not make an instance sick: another one would meet it too.
func (a *App) tell(w http.ResponseWriter, good ...State) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	p := a.Progress()
	if !slices.Contains(good, p.State) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, p.State)
	if p.LastError != nil {
		fmt.Fprintf(w, "trying again: %v\n", p.LastError)
	}
}

// Collector gives the figures of [App.Progress] to Prometheus, for a registry that the program has already.
func (a *App) Collector() prometheus.Collector { return &collector{a.cfg.AppID, a.Progress} }

type collector struct {
	app      string
	progress func() Progress
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("millrace_app_"+name, help, append([]string{"app"}, labels...), nil)
}

var (
	descState      = describe("state", "1 for the state that the instance is in.", "state")
	descRetrying   = describe("retrying", "1 while something failed and is tried again.")
	descProcessed  = describe("processed_total", "Input records processed and committed.")
	descCommits    = describe("commits_total", "Commits.")
	descAborts     = describe("aborts_total", "Commits that failed, and were taken back.")
	descLastCommit = describe("last_commit_timestamp_seconds", "When the latest commit was; 0 before the first.")
	descTask       = describe("task_state", "1 for the state that a task of the instance is in.", "task", "state")
	descTaskDone   = describe("task_processed_total", "Input records of a task processed and committed by this instance.", "task")
	descRestore    = describe("task_restore_remaining", "Offsets of changelogs that a task has still to read.", "task")
	descLag        = describe("input_lag", "Offsets of an input partition that are not processed.", "task", "topic", "partition")
	descDrops      = describe("dropped_total", "Records that went no further at an operator; task is global for global tables.", "task", "operator", "reason")
	descGlobal     = describe("global_applied_total", "Records of a global table's topic that were read.", "store", "topic")

	descriptions = []*prometheus.Desc{
		descState, descRetrying, descProcessed, descCommits, descAborts, descLastCommit, descTask, descTaskDone, descRestore, descLag, descDrops, descGlobal,
	}
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range descriptions {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, value, append([]string{c.app}, labels...)...)
	}
	p := c.progress()
	for s := Created; s <= Failed; s++ {
		send(descState, prometheus.GaugeValue, oneIf(s == p.State), s.String())
	}
	send(descRetrying, prometheus.GaugeValue, oneIf(p.LastError != nil))
	send(descProcessed, prometheus.CounterValue, float64(p.Processed))
	send(descCommits, prometheus.CounterValue, float64(p.Commits))
	send(descAborts, prometheus.CounterValue, float64(p.Aborts))
	send(descLastCommit, prometheus.GaugeValue, seconds(p.LastCommit))
	for i, t := range p.Tasks {
		if i > 0 && t.ID == p.Tasks[i-1].ID { // it moves from one worker to another, and both have posted it
			continue
		}
		collectTask(&t, send)
	}
	for _, g := range p.Globals {
		send(descGlobal, prometheus.CounterValue, float64(g.Applied), g.Store, g.Topic)
		collectDrops(g.Drops, "global", send)
	}
}

type sender func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string)

func collectTask(t *TaskProgress, send sender) {
	task := t.ID.String()
	for s := TaskStarting; s <= TaskRunning; s++ {
		send(descTask, prometheus.GaugeValue, oneIf(s == t.State), task, s.String())
	}
	send(descTaskDone, prometheus.CounterValue, float64(t.Processed), task)
	if t.RestoreRemaining >= 0 {
		send(descRestore, prometheus.GaugeValue, float64(t.RestoreRemaining), task)
	}
	for _, in := range t.Inputs {
		if lag := in.Lag(); lag >= 0 {
			send(descLag, prometheus.GaugeValue, float64(lag), task, in.Topic, strconv.Itoa(int(in.Partition)))
		}
	}
	collectDrops(t.Drops, task, send)
}

func collectDrops(drops []Drops, task string, send sender) {
	for _, d := range drops {
		send(descDrops, prometheus.CounterValue, float64(d.Count), task, d.Operator, d.Reason)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
