package broker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/budget"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/meter"
	"github.com/millrace-io/millrace/broker/internal/replica"
	"github.com/millrace-io/millrace/broker/internal/settings"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// gathering is one scrape.
type gathering struct {
	s   *Server
	ch  chan<- prometheus.Metric
	now time.Time
}

// desc describes a metric; labels are names and values in turn.
func desc(name, help string, labels []string) (d *prometheus.Desc, values []string) {
	var names []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return prometheus.NewDesc(name, help, names, nil), values
}

func (g *gathering) gauge(name, help string, value float64, labels ...string) {
	d, values := desc(name, help, labels)
	g.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, values...)
}

func (g *gathering) counter(name, help string, value float64, labels ...string) {
	d, values := desc(name, help, labels)
	g.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, values...)
}

// millis sends a distribution of times in milliseconds, as Kafka has them.
func (g *gathering) millis(name, help string, t meter.Summary, labels ...string) {
	d, values := desc(name, help, labels)
	quantiles := make(map[float64]float64, len(t.Quantiles))
	for q, v := range t.Quantiles {
		quantiles[q] = inMillis(v)
	}
	g.ch <- prometheus.MustNewConstSummary(d, t.Count, inMillis(t.Sum), quantiles, values...)
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (g *gathering) requests() {
	m := g.s.node.Meter
	for _, key := range m.Keys() {
		r := m.Of(key)
		name := requestName(key)
		versions, failures := r.Counts()
		if len(versions) == 0 && len(failures) == 0 {
			continue
		}
		for v, n := range versions {
			if n > 0 {
				g.counter("kafka_network_requestmetrics_requests_total", "Requests answered.", float64(n), "request", name, "version", strconv.Itoa(v))
			}
		}
		for _, code := range slices.Sorted(maps.Keys(failures)) {
			g.counter("kafka_network_requestmetrics_errors_total", "Errors answered, of requests and of each topic, partition or group in them.", float64(failures[code]), "request", name, "error", errorName(code))
		}
		g.millis("kafka_network_requestmetrics_totaltimems", "Time from a request's last byte to its answer's.", r.Total.Summary(g.now), "request", name)
		g.millis("kafka_network_requestmetrics_localtimems", "Time that a request was worked on.", r.Local.Summary(g.now), "request", name)
		g.millis("kafka_network_requestmetrics_remotetimems", "Time that a request waited for records, flushes or group members.", r.Wait.Summary(g.now), "request", name)
		g.millis("kafka_network_requestmetrics_responsesendtimems", "Time that writing an answer took; of answers that leave together the last one has it all.", r.Send.Summary(g.now), "request", name)
	}
	const waiting = "Requests that wait for something to happen."
	g.gauge("kafka_server_delayedoperationpurgatory_purgatorysize", waiting, float64(m.FetchesWaiting.Load()), "delayedOperation", "Fetch")
	g.gauge("kafka_server_delayedoperationpurgatory_purgatorysize", waiting, float64(m.ProducesWaiting.Load()), "delayedOperation", "Produce")
	g.gauge("kafka_server_delayedoperationpurgatory_purgatorysize", waiting, float64(m.RebalancesWaiting.Load()), "delayedOperation", "Rebalance")
	g.counter("millrace_request_panics_total", "Requests that met a bug; each cost a connection.", float64(m.Panics.Load()))
}

// requestNames are Kafka's names for what the message library calls otherwise.
var requestNames = map[kmsg.Key]string{
	kmsg.SASLHandshake: "SaslHandshake", kmsg.SASLAuthenticate: "SaslAuthenticate", kmsg.InitProducerID: "InitProducerId",
	kmsg.DescribeACLs: "DescribeAcls", kmsg.CreateACLs: "CreateAcls", kmsg.DeleteACLs: "DeleteAcls",
	kmsg.AlterPartitionAssignments:    "AlterPartitionReassignments",
	kmsg.DescribeUserSCRAMCredentials: "DescribeUserScramCredentials", kmsg.AlterUserSCRAMCredentials: "AlterUserScramCredentials",
}

func requestName(key int16) string { return cmp.Or(requestNames[kmsg.Key(key)], kmsg.NameForKey(key)) }

func errorName(code int16) string {
	var k *kerr.Error
	if errors.As(kerr.ErrorForCode(code), &k) {
		return k.Message
	}
	return strconv.Itoa(int(code))
}

func (g *gathering) connections() {
	s := g.s
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	g.gauge("kafka_server_socket_server_metrics_connection_count", "Connections of clients.", float64(open), "listener", "PLAINTEXT")
	m := s.node.Meter
	g.counter("millrace_connections_refused_total", "Connections that were not accepted because there were too many.", float64(m.Refused.Load()))
	g.counter("millrace_connections_dropped_total", "Connections that were closed for what their client did.", float64(m.Dropped.Load()))
	for name, b := range map[string]*budget.Budget{"requests": s.requests, "answers": s.replies, "fetches": s.node.Answers} {
		g.gauge("millrace_memory_used_bytes", "Memory that large requests and answers hold.", float64(b.Total()-b.Free()), "of", name)
		g.gauge("millrace_memory_limit_bytes", "The most that they may hold.", float64(b.Total()), "of", name)
	}
	g.gauge("millrace_fetch_sessions", "Incremental fetch sessions.", float64(s.node.Sessions.Len()))
}

func (g *gathering) partitions() {
	each, all := g.s.parts.replicas.Traffic()
	g.traffic(all)
	topics := map[string]*replica.Traffic{}
	offline := 0
	for p, t := range each {
		if topics[p.Topic] == nil {
			topics[p.Topic] = &replica.Traffic{}
		}
		topics[p.Topic].Add(t)
		if p.Err() != nil {
			offline++
		}
		if log := p.Log(); log != nil {
			labels := []string{"topic", p.Topic, "partition", strconv.Itoa(int(p.Number))}
			g.gauge("kafka_log_log_size", "Bytes of a log.", float64(log.Size()), labels...)
			g.gauge("kafka_log_log_numlogsegments", "Segments of a log.", float64(log.SegmentCount()), labels...)
			g.gauge("kafka_log_log_logstartoffset", "First offset of a log.", float64(log.LogStart()), labels...)
			g.gauge("kafka_log_log_logendoffset", "Offset of the next record of a log.", float64(log.End()), labels...)
		}
	}
	for topic, t := range topics {
		g.traffic(*t, "topic", topic)
	}
	g.gauge("kafka_server_replicamanager_partitioncount", "Partitions that this broker holds.", float64(len(each)))
	g.gauge("kafka_server_replicamanager_offlinereplicacount", "Partitions that cannot be used because their log is damaged or cannot be written.", float64(offline))
	down := 0
	if g.s.parts.replicas.Err() != nil {
		down = 1
	}
	g.gauge("kafka_log_logmanager_offlinelogdirectorycount", "1 when the data directory is offline because a write or flush failed, or it is not where it was; only a restart helps.", float64(down))
	g.millis("kafka_log_logflushstats_logflushrateandtimems", "Time that flushing a log to disk took.", g.s.parts.replicas.Flushes(g.now))
}

func (g *gathering) traffic(t replica.Traffic, labels ...string) {
	const prefix = "kafka_server_brokertopicmetrics_"
	g.counter(prefix+"messagesin_total", "Records appended.", float64(t.RecordsIn), labels...)
	g.counter(prefix+"bytesin_total", "Bytes of record batches appended.", float64(t.BytesIn), labels...)
	g.counter(prefix+"bytesout_total", "Bytes of record batches fetched.", float64(t.BytesOut), labels...)
	g.counter(prefix+"totalproducerequests_total", "Appends, one for each partition of a request.", float64(t.ProduceRequests), labels...)
	g.counter(prefix+"totalfetchrequests_total", "Reads that found records, one for each partition of a request.", float64(t.FetchRequests), labels...)
	g.counter(prefix+"failedproducerequests_total", "Appends that were refused.", float64(t.FailedProduces), labels...)
	g.counter(prefix+"failedfetchrequests_total", "Reads that were refused.", float64(t.FailedFetches), labels...)
}

// cluster tells what the metadata says. With one broker it is the controller, and no replica is ever missing.
func (g *gathering) cluster() {
	s := g.s
	im, broker := s.node.Image(), s.node.Settings()
	var total, led, under, belowMin, atMin, leaderless, notPreferred int
	for _, t := range im.Topics() {
		minISR := int(settings.TopicValue(broker, t.Configs, "min.insync.replicas").Int())
		for i := range t.Partitions {
			p := &t.Partitions[i]
			total++
			if p.Leader == controller.NoLeader {
				leaderless++
			}
			if p.Leader != p.Replicas[0] {
				notPreferred++
			}
			if p.Leader != s.cfg.NodeID {
				continue
			}
			led++
			need := min(minISR, len(p.Replicas))
			count(&under, len(p.ISR) < len(p.Replicas))
			count(&belowMin, len(p.ISR) < need)
			count(&atMin, len(p.ISR) == need)
		}
	}
	for _, m := range []struct {
		name, help string
		value      int
	}{
		{"kafka_server_replicamanager_leadercount", "Partitions that this broker leads.", led},
		{"kafka_server_replicamanager_underreplicatedpartitions", "Led partitions with replicas out of sync.", under},
		{"kafka_server_replicamanager_underminisrpartitioncount", "Led partitions with fewer replicas in sync than acks=all needs.", belowMin},
		{"kafka_server_replicamanager_atminisrpartitioncount", "Led partitions that can lose no replica without refusing acks=all.", atMin},
		{"kafka_controller_kafkacontroller_activecontrollercount", "1 on the broker that is the controller.", 1},
		{"kafka_controller_kafkacontroller_activebrokercount", "Brokers in the cluster.", len(im.Brokers())},
		{"kafka_controller_kafkacontroller_fencedbrokercount", "Registered brokers that do not take part.", 0},
		{"kafka_controller_kafkacontroller_globaltopiccount", "Topics in the cluster.", im.TopicCount()},
		{"kafka_controller_kafkacontroller_globalpartitioncount", "Partitions in the cluster.", total},
		{"kafka_controller_kafkacontroller_offlinepartitionscount", "Partitions without a leader.", leaderless},
		{"kafka_controller_kafkacontroller_preferredreplicaimbalancecount", "Partitions that another than their preferred replica leads.", notPreferred},
	} {
		g.gauge(m.name, m.help, float64(m.value))
	}
	g.gauge("kafka_server_broker_metadata_metrics_last_applied_record_offset", "Index of the last metadata record.", float64(im.Index()))
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}

// coordinators tells of groups and transactions. Shards that do not answer in time leave their kind out.
func (g *gathering) coordinators(ctx context.Context) {
	g.groups(ctx)
	if list, err := g.s.parts.transactions.List(ctx, txn.Filter{Longer: txn.NoDuration}); err == nil {
		states := map[string]int{}
		var oldest time.Duration
		for _, t := range list {
			states[t.State.String()]++
			if t.State == txn.Ongoing {
				oldest = max(oldest, g.s.cfg.Now().Sub(t.Start))
			}
		}
		for state, n := range states {
			g.gauge("kafka_server_transaction_coordinator_metrics_transaction_count", "Transactional ids by state.", float64(n), "state", state)
		}
		g.gauge("kafka_server_transaction_coordinator_metrics_active_transaction_open_time_max", "Age of the oldest open transaction in milliseconds.", inMillis(oldest))
	}
}
