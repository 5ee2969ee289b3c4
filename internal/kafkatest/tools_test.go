package kafkatest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

// tool runs one of Kafka's programs against a server and returns what it wrote to standard output.
func tool(t *testing.T, address, class string, args ...string) string {
	t.Helper()
	code, stdout, stderr := tools.run(t, toolArgs(address, class, args)...)
	if code != 0 {
		t.Fatalf("%s %v: exit code %d\n%s%s", class, args, code, stdout, stderr)
	}
	return stdout
}

// refused runs one of Kafka's programs, which must say no, and returns all that it wrote.
func refused(t *testing.T, address, class string, args ...string) string {
	t.Helper()
	code, stdout, stderr := tools.run(t, toolArgs(address, class, args)...)
	if code == 0 {
		t.Errorf("%s %v was not refused:\n%s%s", class, args, stdout, stderr)
	}
	return stdout + stderr
}

func toolArgs(address, class string, args []string) []string {
	if !strings.HasPrefix(class, "kafka.") {
		class = "org.apache.kafka.tools." + class
	}
	return append([]string{class, "--bootstrap-server", address}, args...)
}

const (
	topicCommand  = "TopicCommand"
	configCommand = "kafka.admin.ConfigCommand"
	groupCommand  = "consumer.group.ConsumerGroupCommand"
	getOffsets    = "GetOffsetShell"
)

// holds fails the test unless the text has every part.
func holds(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, beginning(text))
		}
	}
}

// lacks fails the test when the text has one of the parts.
func lacks(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("%q must not be in:\n%s", part, beginning(text))
		}
	}
}

// beginning keeps a failure readable.
func beginning(text string) string { return text[:min(len(text), 2<<10)] }

// same compares two texts line by line, in any order.
func same(t *testing.T, got, want string) {
	t.Helper()
	if sorted(strings.TrimSpace(got)) != sorted(strings.TrimSpace(want)) {
		t.Errorf("have\n%s\nwant\n%s", got, want)
	}
}

func TestTopicCommand(t *testing.T) {
	needs(t, "java", "mvn")
	_, address := proctest.Broker(t, t.TempDir(), "")
	holds(t, tool(t, address, topicCommand, "--create", "--topic", "orders", "--partitions", "3", "--config", "retention.ms=3600000"), "Created topic orders.")
	holds(t, refused(t, address, topicCommand, "--create", "--topic", "orders"), "Topic 'orders' already exists.")
	holds(t, refused(t, address, topicCommand, "--create", "--topic", "more", "--config", "retention.ms=soon"), "Invalid value soon for configuration retention.ms")
	holds(t, refused(t, address, topicCommand, "--create", "--topic", "wide", "--replication-factor", "2"), "Unable to replicate the partition 2 time(s)")
	tool(t, address, topicCommand, "--alter", "--topic", "orders", "--partitions", "4")
	holds(t, refused(t, address, topicCommand, "--alter", "--topic", "orders", "--partitions", "2"), "would not be an increase")
	holds(t, tool(t, address, topicCommand, "--describe", "--topic", "orders"),
		"PartitionCount: 4", "ReplicationFactor: 1", "retention.ms=3600000", "Partition: 3\tLeader: 1\tReplicas: 1\tIsr: 1")
	for _, trouble := range []string{"--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"} {
		if out := tool(t, address, topicCommand, "--describe", trouble); strings.TrimSpace(out) != "" {
			t.Errorf("%s of a healthy server: %s", trouble, out)
		}
	}
	tool(t, address, topicCommand, "--delete", "--topic", "orders")
	lacks(t, tool(t, address, topicCommand, "--list"), "orders")
}

func TestConfigCommand(t *testing.T) {
	needs(t, "java", "mvn")
	_, address := proctest.Broker(t, t.TempDir(), "")
	tool(t, address, topicCommand, "--create", "--topic", "orders")
	topic := []string{"--entity-type", "topics", "--entity-name", "orders"}
	tool(t, address, configCommand, append([]string{"--alter", "--add-config", "max.message.bytes=200000,cleanup.policy=[compact,delete]"}, topic...)...)
	holds(t, tool(t, address, configCommand, append([]string{"--describe"}, topic...)...),
		"max.message.bytes=200000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=200000, DEFAULT_CONFIG:message.max.bytes=1048588}",
		"cleanup.policy=compact,delete")
	holds(t, refused(t, address, configCommand, append([]string{"--alter", "--add-config", "retention.ms=soon"}, topic...)...), "Not a number of type LONG")
	holds(t, refused(t, address, configCommand, append([]string{"--alter", "--add-config", "retention.parsecs=12"}, topic...)...), "Unknown topic config name: retention.parsecs")
	tool(t, address, configCommand, append([]string{"--alter", "--delete-config", "max.message.bytes"}, topic...)...)
	lacks(t, tool(t, address, configCommand, append([]string{"--describe"}, topic...)...), "max.message.bytes")

	tool(t, address, configCommand, "--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "log.retention.ms=7200000")
	holds(t, tool(t, address, configCommand, "--describe", "--entity-type", "brokers", "--entity-default"), "log.retention.ms=7200000")
	holds(t, tool(t, address, configCommand, append([]string{"--describe", "--all"}, topic...)...),
		"retention.ms=7200000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7200000")
	holds(t, tool(t, address, configCommand, "--describe", "--entity-type", "brokers", "--entity-name", "1", "--all"),
		"num.partitions=1", "auto.create.topics.enable=true", "default.replication.factor=1", "STATIC_BROKER_CONFIG:broker.id=1")

	group := []string{"--entity-type", "groups", "--entity-name", "readers"}
	tool(t, address, configCommand, append([]string{"--alter", "--add-config", "consumer.session.timeout.ms=50000"}, group...)...)
	holds(t, tool(t, address, configCommand, append([]string{"--describe"}, group...)...),
		"consumer.session.timeout.ms=50000 sensitive=false synonyms={DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=50000")
}

func TestOffsetsRecordsAndDirectories(t *testing.T) {
	needs(t, "java", "mvn", "kcat")
	dir := t.TempDir()
	_, address := proctest.Broker(t, dir, "")
	tool(t, address, topicCommand, "--create", "--topic", "orders", "--partitions", "2")
	kcat(t, strings.Repeat("an order\n", 20), "-b", address, "-P", "-t", "orders", "-p", "1")

	for at, want := range map[string]string{
		"latest": "orders:0:0\norders:1:20", "earliest": "orders:0:0\norders:1:0", "earliest-local": "orders:0:0\norders:1:0", "0": "orders:1:0",
	} {
		same(t, tool(t, address, getOffsets, "--topic", "orders", "--time", at), want)
	}
	holds(t, tool(t, address, getOffsets, "--topic", "orders", "--time", "max-timestamp"), "orders:1:")
	if out := tool(t, address, getOffsets, "--topic", "orders", "--time", "latest-tiered"); strings.Contains(out, "orders:1:2") {
		t.Errorf("nothing is tiered, but: %s", out)
	}

	holds(t, deleteRecords(t, address, 7), "partition: orders-1\tlow_watermark: 7")
	same(t, tool(t, address, getOffsets, "--topic", "orders", "--time", "earliest"), "orders:0:0\norders:1:7")
	same(t, kcat(t, "", "-b", address, "-C", "-t", "orders", "-p", "1", "-o", "beginning", "-c", "1", "-q", "-f", "%o\n"), "7")
	holds(t, deleteRecords(t, address, 21), "OffsetOutOfRangeException")
	holds(t, deleteRecords(t, address, -1), "low_watermark: 20")

	var dirs struct {
		Brokers []struct {
			Broker  int
			LogDirs []struct {
				LogDir     string
				Error      *string
				Partitions []struct {
					Partition string
					Size      int64
				}
			}
		}
	}
	out := tool(t, address, "LogDirsCommand", "--describe", "--topic-list", "orders")
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &dirs); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(dirs.Brokers) != 1 || len(dirs.Brokers[0].LogDirs) != 1 || dirs.Brokers[0].LogDirs[0].LogDir != dir || len(dirs.Brokers[0].LogDirs[0].Partitions) != 2 {
		t.Errorf("log directories:\n%s", out)
	}
}

// deleteRecords asks Kafka's tool to delete what lies before an offset of partition orders-1.
func deleteRecords(t *testing.T, address string, before int64) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "offsets.json")
	text := fmt.Sprintf(`{"partitions":[{"topic":"orders","partition":1,"offset":%d}],"version":1}`, before)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return tool(t, address, "DeleteRecordsCommand", "--offset-json-file", file)
}

func TestServerDescribesItself(t *testing.T) {
	needs(t, "java", "mvn")
	_, address := proctest.Broker(t, t.TempDir(), "")
	holds(t, tool(t, address, "BrokerApiVersionsCommand"), address+" (id: 1 ", "Produce(0): 0 to 13", "Fetch(1): 4 to 18", "EndTxn(26): 0 to 5", "DescribeTopicPartitions(75): 0")
	holds(t, tool(t, address, "FeatureCommand", "describe"), "Feature: transaction.version", "FinalizedVersionLevel: 2")
	holds(t, tool(t, address, "MetadataQuorumCommand", "describe", "--status"), "LeaderId:               1", "MaxFollowerLag:         0", `CurrentVoters:          [{"id": 1,`)
	out := tool(t, address, "MetadataQuorumCommand", "describe", "--replication")
	if lines := strings.Count(out, "Leader"); lines != 1 {
		t.Errorf("%d leaders:\n%s", lines, out)
	}
	_, stdout, _ := tools.run(t, "org.apache.kafka.tools.ClusterTool", "cluster-id", "--bootstrap-server", address)
	if id := strings.TrimSpace(stdout); !strings.HasPrefix(id, "Cluster ID: ") || len(id) != len("Cluster ID: ")+22 {
		t.Errorf("the cluster's id is %q", id)
	}
}
