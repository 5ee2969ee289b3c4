package kafkatest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

// event is a line of JSON from one of Kafka's verifiable clients.
type event struct {
	Name        string
	Count       int
	Sent, Acked int
}

func events(t *testing.T, out string) []event {
	t.Helper()
	var all []event
	for line := range strings.Lines(out) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// produceVerifiably writes the numbers in [0, n), with ten keys. The tool says at the end of its process how it went.
func produceVerifiably(t *testing.T, address, topic string, n int) {
	t.Helper()
	all := events(t, script(t, "run", "org.apache.kafka.tools.VerifiableProducer", "--bootstrap-server", address, "--topic", topic, "--max-messages", strconv.Itoa(n),
		"--throughput", "-1", "--acks", "-1", "--repeating-keys", "10"))
	if last := all[len(all)-1]; last.Name != "tool_data" || last.Sent != n || last.Acked != n {
		t.Errorf("the producer ended with %+v, want %d sent and acknowledged", last, n)
	}
}

func TestVerifiableProducerAndConsumer(t *testing.T) {
	needs(t, "java", "mvn", "kcat")
	_, address := proctest.Broker(t, t.TempDir(), "", "--set", "group.initial.rebalance.delay.ms=0")
	tool(t, address, topicCommand, "--create", "--topic", "numbers", "--partitions", "3")
	const n = 5000
	produceVerifiably(t, address, "numbers", n)
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	slices.Sort(want)
	if got := sorted(strings.TrimSpace(kcat(t, "", "-b", address, "-C", "-t", "numbers", "-o", "beginning", "-e", "-q"))); got != strings.Join(want, "\n") {
		t.Errorf("the topic holds other numbers than 0 to %d", n)
	}
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			group := "verifiers-" + protocol
			out := tool(t, address, "VerifiableConsumer", "--topic", "numbers", "--group-id", group, "--group-protocol", protocol,
				"--max-messages", strconv.Itoa(n), "--reset-policy", "earliest")
			read := 0
			names := map[string]int{}
			for _, e := range events(t, out) {
				names[e.Name]++
				read += e.Count
			}
			if read != n || names["partitions_assigned"] == 0 || names["offsets_committed"] == 0 || names["shutdown_complete"] != 1 {
				t.Errorf("%d records read, want %d; events %v", read, n, names)
			}
			behind := 0
			for p := range 3 {
				var offset, end, lag int
				if _, err := fmt.Sscan(lagOf(t, address, group, "numbers", strconv.Itoa(p)), &offset, &end, &lag); err != nil {
					t.Errorf("partition %d: %v", p, err)
				}
				behind += lag
			}
			if behind != 0 {
				t.Errorf("%d records of lag are left", behind)
			}
		})
	}
}

func TestConsoleProducerAndConsumer(t *testing.T) {
	needs(t, "java", "mvn")
	_, address := proctest.Broker(t, t.TempDir(), "", "--set", "group.initial.rebalance.delay.ms=0")
	var lines bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&lines, "h%d:header\tk%d\tline %d\n", i, i, i)
	}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			scriptWith(t, lines.String(), "run", "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", address, "--topic", codec, "--compression-codec", codec,
				"--reader-property", "parse.key=true", "--reader-property", "parse.headers=true")
			out := tool(t, address, "consumer.ConsoleConsumer", "--topic", codec, "--from-beginning", "--max-messages", "100",
				"--formatter-property", "print.key=true", "--formatter-property", "print.headers=true", "--formatter-property", "print.offset=true")
			for i, line := range slices.Collect(strings.Lines(out)) {
				if want := fmt.Sprintf("Offset:%d\th%d:header\tk%d\tline %d\n", i, i, i, i); line != want {
					t.Fatalf("line %d is %q, want %q", i, line, want)
				}
			}
			if n := strings.Count(out, "\n"); n != 100 {
				t.Errorf("%d lines, want 100", n)
			}
		})
	}
}

func TestTransactionalMessageCopier(t *testing.T) {
	needs(t, "java", "mvn", "kcat")
	_, address := proctest.Broker(t, t.TempDir(), "", "--set", "group.initial.rebalance.delay.ms=0")
	tool(t, address, topicCommand, "--create", "--topic", "input")
	const n = 1000
	produceVerifiably(t, address, "input", n)
	for name, flags := range map[string][]string{"assigned": nil, "aborts": {"--enable-random-aborts"}, "group": {"--group-mode", "--use-group-metadata", "--enable-random-aborts"}} {
		t.Run(name, func(t *testing.T) {
			output := "output-" + name
			tool(t, address, topicCommand, "--create", "--topic", output)
			args := append([]string{"org.apache.kafka.tools.TransactionalMessageCopier", "--broker-list", address, "--input-topic", "input", "--input-partition", "0",
				"--output-topic", output, "--consumer-group", "copiers-" + name, "--transactional-id", "copier-" + name, "--transaction-size", "100",
				"--max-messages", strconv.Itoa(n)}, flags...)
			if code, stdout, stderr := tools.run(t, args...); code != 0 {
				t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
			}
			out := kcat(t, "", "-b", address, "-C", "-t", output, "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed")
			lines := strings.Fields(out)
			if len(lines) != n {
				t.Fatalf("%d records copied, want %d", len(lines), n)
			}
			for i, line := range lines {
				if line != fmt.Sprint(i) {
					t.Fatalf("record %d is %s", i, line)
				}
			}
			if lag, want := lagOf(t, address, "copiers-"+name, "input", "0"), fmt.Sprintf("%d %d 0", n, n); lag != want {
				t.Errorf("offset, end and lag are %s, want %s", lag, want)
			}
		})
	}
}

func TestClientCompatibilityTest(t *testing.T) {
	needs(t, "java", "mvn")
	_, address := proctest.Broker(t, t.TempDir(), "")
	tool(t, address, topicCommand, "--create", "--topic", "compatible")
	out := tool(t, address, "ClientCompatibilityTest", "--topic", "compatible", "--num-cluster-nodes", "1", "--offsets-for-times-supported", "true",
		"--cluster-id-supported", "true", "--expect-record-too-large-exception", "false", "--create-topics-supported", "true",
		"--describe-acls-supported", "true", "--describe-configs-supported", "true", "--idempotent-producer-supported", "true")
	holds(t, out, "SUCCESS.")
}

func TestPerformanceTools(t *testing.T) {
	needs(t, "java", "mvn")
	_, address := proctest.Broker(t, t.TempDir(), "", "--set", "group.initial.rebalance.delay.ms=0")
	for _, flags := range [][]string{nil, {"--transaction-duration-ms", "50"}} {
		out := tool(t, address, "ProducerPerformance", append([]string{"--topic", "speed", "--num-records", "20000", "--record-size", "100", "--throughput", "-1",
			"--command-property", "acks=all"}, flags...)...)
		holds(t, out, "20000 records sent")
	}
	out := tool(t, address, "ConsumerPerformance", "--topic", "speed", "--num-records", "40000", "--timeout", "60000")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if f := strings.Split(lines[len(lines)-1], ", "); len(f) < 5 || f[4] != "40000" {
		t.Errorf("the consumer did not read 40000 records:\n%s", out)
	}
	holds(t, tool(t, address, "EndToEndLatency", "--topic", "latency", "--num-records", "200", "--producer-acks", "all", "--record-size", "100"), "Percentiles: 50th = ")
}

// TestStreamsWordCount runs testdata/WordCount.java, an application of Kafka Streams with exactly_once_v2, stops it half-way and starts it again.
func TestStreamsWordCount(t *testing.T) {
	needs(t, "java", "mvn", "kcat")
	_, address := proctest.Broker(t, t.TempDir(), "", "--set", "group.initial.rebalance.delay.ms=0")
	tool(t, address, topicCommand, "--create", "--topic", "lines", "--partitions", "2")
	tool(t, address, topicCommand, "--create", "--topic", "counts", "--partitions", "2")
	file, counts := text(t)
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	half := bytes.IndexByte(lines[len(lines)/2:], '\n') + len(lines)/2 + 1
	state := filepath.Join(t.TempDir(), "state")
	for _, part := range [][]byte{lines[:half], lines[half:]} {
		ctx, cancel := context.WithTimeout(t.Context(), proctest.Deadline)
		defer cancel()
		kcat(t, string(part), "-b", address, "-P", "-t", "lines")
		// It ends when it has read all, after its commit.
		scriptContext(ctx, t, "", "run", "testdata/WordCount.java", address, "lines", "counts", state)
	}
	out := kcat(t, "", "-b", address, "-C", "-t", "counts", "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed", "-f", "%k=%s\n")
	last := map[string]string{}
	for line := range strings.Lines(out) {
		word, count, _ := strings.Cut(strings.TrimSpace(line), "=")
		last[word] = count
	}
	for word, want := range counts {
		if last[word] != fmt.Sprint(want) {
			t.Errorf("%q is counted %s times, want %d", word, last[word], want)
		}
	}
	if len(last) != len(counts) {
		t.Errorf("%d words, want %d", len(last), len(counts))
	}
	holds(t, tool(t, address, transactionsCommand, "list"), "CompleteCommit")
	holds(t, tool(t, address, topicCommand, "--describe", "--topic", "word-count-counted-changelog"), "cleanup.policy=compact", "PartitionCount: 2")
}
