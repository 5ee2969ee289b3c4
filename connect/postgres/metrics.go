package postgres

import "github.com/prometheus/client_golang/prometheus"

// Collector gives the source's figures to Prometheus: register it where the program's other metrics are.
func (s *Source) Collector() prometheus.Collector { return &collector{s} }

type collector struct{ source *Source }

var (
	labels       = []string{"connector"}
	descState    = prometheus.NewDesc("millrace_postgres_state", "1 for the state that the connector is in.", append(labels, "state"), nil)
	descRows     = prometheus.NewDesc("millrace_postgres_rows_total", "Changes and snapshot rows written to the log.", labels, nil)
	descTx       = prometheus.NewDesc("millrace_postgres_transactions_total", "Transactions of the database written to the log.", labels, nil)
	descSkipped  = prometheus.NewDesc("millrace_postgres_skipped_total", "Changes left out, since the log or a snapshot had them.", labels, nil)
	descLag      = prometheus.NewDesc("millrace_postgres_lag_bytes", "Write-ahead log between the server's end and what is committed in the log.", labels, nil)
	descLagTime  = prometheus.NewDesc("millrace_postgres_lag_seconds", "Age of the state of the database that the log has, while there is a lag.", labels, nil)
	descRetained = prometheus.NewDesc("millrace_postgres_slot_retained_bytes", "Write-ahead log that the slot makes the server keep.", labels, nil)
	descSnapshot = prometheus.NewDesc("millrace_postgres_snapshot_rows", "Rows of the snapshot read so far.", labels, nil)
	descEstimate = prometheus.NewDesc("millrace_postgres_snapshot_rows_estimate", "Rows of the snapshot in all, as the server estimates.", labels, nil)
	descLeft     = prometheus.NewDesc("millrace_postgres_snapshot_left_seconds", "Time that the snapshot still takes at its pace so far.", labels, nil)
)

func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descState, descRows, descTx, descSkipped, descLag, descLagTime, descRetained, descSnapshot, descEstimate, descLeft} {
		out <- d
	}
}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	s, name := c.source.Stats(), c.source.cfg.Name
	for _, state := range []State{Connecting, Snapshot, Streaming, Waiting, Stopped} {
		on := 0.0
		if s.State == state {
			on = 1
		}
		out <- prometheus.MustNewConstMetric(descState, prometheus.GaugeValue, on, name, string(state))
	}
	for d, v := range map[*prometheus.Desc]int64{descRows: s.Rows, descTx: s.Transactions, descSkipped: s.Skipped} {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), name)
	}
	for d, v := range map[*prometheus.Desc]float64{
		descLag: float64(s.LagBytes), descLagTime: s.Lag.Seconds(), descRetained: float64(s.RetainedBytes),
		descSnapshot: float64(s.SnapshotRows), descEstimate: float64(s.SnapshotOf), descLeft: s.SnapshotLeft.Seconds(),
	} {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, name)
	}
}
