package broker_test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

var update = flag.Bool("update", false, "write METRICS.md anew")

const metricsDocument = "METRICS.md"

// page asks a server for a page beside its port.
func page(t *testing.T, b *brokertest.Broker, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	b.Server.Metrics().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// scrape returns the samples of /metrics by name and labels, and the help lines by name.
func scrape(t *testing.T, b *brokertest.Broker) (samples map[string]float64, help map[string]string) {
	t.Helper()
	status, body := page(t, b, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics answers %d: %s", status, body)
	}
	samples, help = map[string]float64{}, map[string]string{}
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, text, _ := strings.Cut(rest, " ")
			help[name] = text
			continue
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%q is no sample: %v", line, err)
		}
		samples[line[:at]] = value
	}
	return samples, help
}

// busy gives a broker something to count: topics, a group, a transaction, an error.
func busy(t *testing.T, b *brokertest.Broker) {
	t.Helper()
	ctx := testContext(t)
	createTopic(t, b, "t", 2, map[string]string{"max.message.bytes": "1000"})
	createTopic(t, b, "gone", 1, nil)
	cl := b.Client(t, kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produceAll(ctx, t, cl, "t", numerals(0, 10)...)
	// kgo may write to a topic that it has just met before it can see it in the transaction, and would not commit; this waits until it can.
	if err := cl.AbortBufferedRecords(ctx); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	plain := b.Client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	produceAll(ctx, t, plain, "gone", "x")
	if err := plain.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: make([]byte, 2000)}).FirstErr(); err == nil {
		t.Fatal("a batch that is too large was taken")
	}
	adm := kadm.NewClient(plain)
	if resp, err := adm.DeleteTopics(ctx, "gone"); err != nil || resp.Error() != nil {
		t.Fatal(err, resp.Error())
	}
	member := b.Client(t, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	for got := 0; got < 10; {
		fetches := member.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		got += fetches.NumRecords()
	}
	if err := member.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsTellWhatHappened(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	busy(t, b)
	samples, _ := scrape(t, b)
	for name, want := range map[string]float64{
		`kafka_server_brokertopicmetrics_messagesin_total{topic="t"}`:                       10,
		`kafka_log_log_logendoffset{partition="0",topic="t"}`:                               11,
		`kafka_log_log_logendoffset{partition="1",topic="t"}`:                               0,
		`kafka_log_log_logstartoffset{partition="0",topic="t"}`:                             0,
		`kafka_controller_kafkacontroller_globaltopiccount`:                                 3,   // t and the two of the coordinators
		`kafka_controller_kafkacontroller_globalpartitioncount`:                             102, // 2 and twice 50
		`kafka_server_replicamanager_leadercount`:                                           102,
		`kafka_server_replicamanager_partitioncount`:                                        102,
		`kafka_server_replicamanager_underreplicatedpartitions`:                             0,
		`kafka_server_replicamanager_offlinereplicacount`:                                   0,
		`kafka_controller_kafkacontroller_activecontrollercount`:                            1,
		`kafka_server_group_coordinator_metrics_group_count{protocol="classic"}`:            1,
		`kafka_server_group_coordinator_metrics_classic_group_count{state="Stable"}`:        1,
		`kafka_server_group_coordinator_metrics_group_completed_rebalance_count`:            1,
		`kafka_consumergroup_members{consumergroup="g"}`:                                    1,
		`millrace_consumergroup_state{consumergroup="g",protocol="classic",state="Stable"}`: 1,
		`millrace_consumergroup_offsets_left_out`:                                           0,
		`millrace_request_panics_total`:                                                     0,
	} {
		if have, ok := samples[name]; !ok || have != want {
			t.Errorf("%s is %v (there: %t), want %v", name, have, ok, want)
		}
	}
	for name, least := range map[string]float64{
		`kafka_server_brokertopicmetrics_messagesin_total`:                          11, // with the record of the topic that is gone
		`kafka_server_brokertopicmetrics_bytesin_total{topic="t"}`:                  10 * 60,
		`kafka_server_brokertopicmetrics_bytesout_total{topic="t"}`:                 10 * 60,
		`kafka_log_log_size{partition="0",topic="t"}`:                               10 * 60,
		`kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"}`: 1,
		`kafka_network_requestmetrics_totaltimems_count{request="Produce"}`:         11,
		`kafka_network_requestmetrics_totaltimems_sum{request="Fetch"}`:             0.001,
		`process_resident_memory_bytes`:                                             1 << 20,
		`go_goroutines`:                                                             1,
	} {
		if have, ok := samples[name]; !ok || have < least {
			t.Errorf("%s is %v (there: %t), want at least %v", name, have, ok, least)
		}
	}
	transactions := 0.0 // in whatever state: the coordinator completes them in its own time
	for name, n := range samples {
		if strings.HasPrefix(name, "kafka_server_transaction_coordinator_metrics_transaction_count") {
			transactions += n
		}
		if strings.Contains(name, `"gone"`) {
			t.Errorf("%s tells of a topic that is gone", name)
		}
	}
	if transactions != 1 {
		t.Errorf("%v transactional ids, want 1", transactions)
	}
}

func TestErrorsAreCountedByName(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, map[string]string{"max.message.bytes": "100"})
	cl := b.Client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: make([]byte, 1000)}).FirstErr(); err == nil {
		t.Fatal("a batch that is too large was taken")
	}
	if topics, err := kadm.NewClient(cl).ListTopics(ctx, "none"); err != nil || topics["none"].Err == nil {
		t.Fatalf("a topic that is not there: %+v, %v", topics, err)
	}
	samples, _ := scrape(t, b)
	for _, name := range []string{
		`kafka_network_requestmetrics_errors_total{error="MESSAGE_TOO_LARGE",request="Produce"}`,
		`kafka_network_requestmetrics_errors_total{error="UNKNOWN_TOPIC_OR_PARTITION",request="Metadata"}`,
		`kafka_server_brokertopicmetrics_failedproducerequests_total{topic="t"}`, `kafka_server_brokertopicmetrics_failedproducerequests_total`,
	} {
		if samples[name] < 1 {
			t.Errorf("%s is %v after a refused batch", name, samples[name])
		}
	}
}

// Sums over topics must not fall when a topic goes: whoever computes rates takes a fall for a restart.
func TestSumsOutliveTheirTopics(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	cl := b.Client(t)
	const sum = `kafka_server_brokertopicmetrics_messagesin_total`
	last := 0.0
	for i := range 5 {
		topic := fmt.Sprint("t", i)
		createTopic(t, b, topic, 1, nil)
		produceAll(ctx, t, cl, topic, "a", "b")
		if resp, err := kadm.NewClient(cl).DeleteTopics(ctx, topic); err != nil || resp.Error() != nil {
			t.Fatal(err, resp.Error())
		}
		samples, _ := scrape(t, b)
		if now := samples[sum]; now != last+2 {
			t.Errorf("after topic %d the sum is %v, before it was %v", i, now, last)
		}
		last = samples[sum]
	}
}

func TestEveryMetricIsDocumented(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	busy(t, b)
	_, help := scrape(t, b)
	var doc strings.Builder
	doc.WriteString("# Metrics\n\nWritten by a test from what a busy server tells. `millrace broker --metrics HOST:PORT` serves them at `/metrics`, with those of the Go runtime and of the\n" +
		"process. The names are those that Apache Kafka's own have behind its usual Prometheus exporter, so that dashboards made for it work. A name of\n" +
		"`brokertopicmetrics` without a topic is the sum over all topics that there ever were. `/healthz` beside it is 200 while the server can work, 503 when\n" +
		"only a restart helps.\n\n| metric | meaning |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(help)) {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			fmt.Fprintf(&doc, "| `%s` | %s |\n", name, help[name])
		}
	}
	if *update {
		if err := os.WriteFile(metricsDocument, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(metricsDocument)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != doc.String() {
		t.Errorf("%s does not say what the server says; run go test ./broker -run Documented -update", metricsDocument)
	}
}

func TestHealthFailsWhenOnlyARestartHelps(t *testing.T) {
	var broken atomic.Bool
	b := brokertest.Start(t, broker.Config{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && strings.Contains(op.Path, "/metadata/") {
			return errorfs.ErrInjected
		}
		return nil
	}))})
	if status, body := page(t, b, "/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("a healthy server answers %d, %q", status, body)
	}
	broken.Store(true)
	if _, err := kadm.NewClient(b.Client(t)).CreateTopic(testContext(t), 1, 1, nil, "t"); err == nil {
		t.Fatal("a topic was made without its metadata")
	}
	broken.Store(false)
	if status, body := page(t, b, "/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "metadata") {
		t.Errorf("a server that cannot write its metadata answers %d, %q", status, body)
	}
	if status, _ := page(t, b, "/nothing"); status != http.StatusNotFound {
		t.Errorf("a page that is none answers %d", status)
	}
	b.Server.Kill() // a clean end is not to be had
	b.Ended()
}

func TestWaitingFetchesAreCounted(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, nil)
	cl := b.Client(t, kgo.ConsumeTopics("t"), kgo.FetchMaxWait(30*time.Second))
	go cl.PollFetches(t.Context())
	const name = `kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation="Fetch"}`
	for ctx := testContext(t); ; {
		if samples, _ := scrape(t, b); samples[name] == 1 {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("a consumer waits for records and is not counted")
		}
	}
}

// Lags are told by partition and by topic, of a group without members too; a group may be called anything.
func TestTheLagsOfGroupsAreTold(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 2, nil)
	createTopic(t, b, "gone", 1, nil)
	cl := b.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	produceAll(ctx, t, cl, "t", numerals(0, 10)...)
	produceAll(ctx, t, cl, "gone", "x")
	adm := kadm.NewClient(cl)
	for _, name := range []string{"g", "caf\xe9"} {
		offsets := kadm.Offsets{}
		offsets.AddOffset("t", 0, 3, -1)
		offsets.AddOffset("t", 1, 4, -1) // nothing is there yet: a lag is never negative
		offsets.AddOffset("gone", 0, 1, -1)
		if err := adm.CommitAllOffsets(ctx, name, offsets); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want map[string]float64) {
		t.Helper()
		samples, _ := scrape(t, b)
		for name, value := range want {
			if have, ok := samples[name]; !ok || have != value {
				t.Errorf("%s is %v (there: %t), want %v", name, have, ok, value)
			}
		}
	}
	check(map[string]float64{
		`kafka_consumergroup_current_offset{consumergroup="g",partition="0",topic="t"}`:    3,
		`kafka_consumergroup_lag{consumergroup="g",partition="0",topic="t"}`:               7,
		`kafka_consumergroup_lag{consumergroup="g",partition="1",topic="t"}`:               0,
		`kafka_consumergroup_lag{consumergroup="g",partition="0",topic="gone"}`:            0,
		`kafka_consumergroup_lag_sum{consumergroup="g",topic="t"}`:                         7,
		`kafka_consumergroup_current_offset_sum{consumergroup="g",topic="t"}`:              7,
		`kafka_consumergroup_lag_sum{consumergroup="\"caf\\xe9\"",topic="t"}`:              7,
		`kafka_consumergroup_members{consumergroup="g"}`:                                   0,
		`millrace_consumergroup_state{consumergroup="g",protocol="classic",state="Empty"}`: 1,
		`kafka_server_group_coordinator_metrics_offset_commit_count`:                       6,
		`kafka_server_group_coordinator_metrics_offset_deletion_count`:                     0,
		`kafka_server_group_coordinator_metrics_classic_group_count{state="Empty"}`:        2,
	})
	if resp, err := adm.DeleteTopics(ctx, "gone"); err != nil || resp.Error() != nil {
		t.Fatal(err, resp.Error())
	}
	samples, _ := scrape(t, b)
	if lag, ok := samples[`kafka_consumergroup_lag{consumergroup="g",partition="0",topic="gone"}`]; ok {
		t.Errorf("in a topic that is gone there is a lag of %v", lag)
	}
	if resp, err := adm.DeleteGroups(ctx, "g"); err != nil || resp.Error() != nil {
		t.Fatal(err, resp.Error())
	}
	samples, _ = scrape(t, b)
	if _, ok := samples[`kafka_consumergroup_members{consumergroup="g"}`]; ok {
		t.Error("a group that is gone is told of")
	}
	if n := samples[`kafka_server_group_coordinator_metrics_offset_deletion_count`]; n < 2 {
		t.Errorf("%v offsets were deleted, 2 were the group's", n)
	}
}
