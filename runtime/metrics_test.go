package runtime

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/internal/topology"
)

// page asks an instance's handler for a page.
func page(t *testing.T, a *App, path string, status int) string {
	t.Helper()
	r := httptest.NewRecorder()
	a.Metrics().ServeHTTP(r, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if r.Code != status {
		t.Errorf("%s: status %d, want %d: %s", path, r.Code, status, r.Body)
	}
	return r.Body.String()
}

func TestMetricsFollowAnInstanceThroughItsLife(t *testing.T) {
	c := newCluster(t)
	w := newWordCount(t, c.name)
	c.createTopic(w.lines.Name(), 2)
	c.createTopic(w.counts.Name(), 1)
	c.produce(w.lines.Name(), 2, []string{"to be", "or not"})
	idle, err := New(w.topo, Config{AppID: "idle"})
	if err != nil {
		t.Fatal(err)
	}
	page(t, idle, "/healthz", http.StatusServiceUnavailable)
	page(t, idle, "/readyz", http.StatusServiceUnavailable)

	i := c.start(w.topo, Config{})
	i.await(t, "the end of the input", soon, Progress.Done)
	page(t, i.app, "/healthz", http.StatusOK)
	page(t, i.app, "/readyz", http.StatusOK)
	text := page(t, i.app, "/metrics", http.StatusOK)
	for _, line := range []string{
		`millrace_app_state{app="` + c.name + `",state="RUNNING"} 1`,
		`millrace_app_processed_total{app="` + c.name + `"} 6`, // two lines, four words
		`millrace_app_task_state{app="` + c.name + `",state="running",task="1_0"} 1`,
		`millrace_app_input_lag{app="` + c.name + `",partition="1",task="0_1",topic="` + w.lines.Name() + `"} 0`,
		"go_goroutines ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	i.end(t)
	page(t, i.app, "/healthz", http.StatusServiceUnavailable)
	if text := page(t, i.app, "/metrics", http.StatusOK); !strings.Contains(text, `millrace_app_state{app="`+c.name+`",state="NOT_RUNNING"} 1`) {
		t.Errorf("the end is not told:\n%s", text)
	}
}

// Whatever an instance may be doing gives figures that a registry takes: every one with a description, none twice.
func TestMetricsOfEveryKindOfProgressAreTaken(t *testing.T) {
	moving := topology.TaskID{Subtopology: 1, Partition: 2}
	for name, p := range map[string]Progress{
		"nothing": {},
		"a task at two workers": {State: Rebalancing, Tasks: []TaskProgress{
			{ID: moving, State: TaskRunning, Inputs: []InputProgress{{Topic: "in", End: 5}}}, {ID: moving, RestoreRemaining: -1, Inputs: []InputProgress{{Topic: "in", End: -1}}},
		}},
		"everything": {State: Failed, LastCommit: time.Unix(5, 0), LastError: http.ErrServerClosed,
			Tasks:   []TaskProgress{{ID: moving, State: TaskRestoring, RestoreRemaining: 7, Drops: []Drops{{"a", "late", 2}, {"a", "null key", 3}}}},
			Globals: []GlobalProgress{{Store: "rates", Topic: "r", Applied: 4, Drops: []Drops{{"b", "late", 1}}}}},
	} {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(&collector{"app", func() Progress { return p }})
		found, err := registry.Gather()
		if err != nil || len(found) < 6 {
			t.Errorf("%s: %d metrics, %v", name, len(found), err)
		}
	}
}
