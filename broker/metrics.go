package broker

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// maxScrapes is how many scrapes are answered at one time: each walks all partitions and groups. Others are told to come later.
	maxScrapes = 2

	// scrapeTimeout is how long one may take. Coordinators that are still loading are left out after coordinatorWait.
	scrapeTimeout   = 10 * time.Second
	coordinatorWait = time.Second
)

// Metrics serves two pages for those who watch the server: /metrics in Prometheus' format, whose names are those that Apache Kafka's metrics have behind
// its usual exporter, and /healthz, which is 200 while the server can do its work. It is meant for a port of its own that clients do not reach. Call it
// after Start.
func (s *Server) Metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout,
	}))
	mux.HandleFunc("GET /healthz", s.health)
	return mux
}

// health answers 503 when restarting the server is the only thing that helps, since the data directory is offline, or it goes down already. Partitions that are offline
// by themselves leave the others working: they are counted, and the answer is still 200.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	switch broken := s.parts.replicas.Err(); {
	case s.isClosing():
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "shutting down")
		return
	case broken != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "the data directory is offline: %v\n", broken)
		return
	}
	if s.parts.replicas.Short() {
		fmt.Fprintln(w, "degraded: the disk is almost full, producers are refused")
		return
	}
	offline := 0
	for _, p := range s.parts.replicas.All() {
		if p.Err() != nil {
			offline++
		}
	}
	if offline > 0 {
		fmt.Fprintf(w, "degraded: %d partitions are offline, the log says why\n", offline)
		return
	}
	fmt.Fprintln(w, "ok")
}

// collector reads the server's state for each scrape; it keeps nothing. It describes no metric beforehand, since those of topics come and go, and one
// name stands both for a topic and for all of them, as Kafka has it.
type collector struct{ s *Server }

func (c *collector) Describe(chan<- *prometheus.Desc) {}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	g := &gathering{s: c.s, ch: ch, now: time.Now()}
	ctx, cancel := context.WithTimeout(c.s.ctx, coordinatorWait)
	defer cancel()
	g.requests()
	g.connections()
	g.partitions()
	g.cluster()
	g.coordinators(ctx)
}
