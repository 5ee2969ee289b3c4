package kafkatest

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

func wordcount(t *testing.T, args ...string) {
	t.Helper()
	run := proctest.Launch(t, "wordcount", args...)
	run.Succeeded(t)
	if !strings.Contains(run.Stdout.String(), "equals a direct count") {
		t.Errorf("wordcount %v:\n%s\n%s", args, run.Stdout, run.Stderr)
	}
}

func TestWordCountRunsOnApacheKafka(t *testing.T) {
	needs(t, "java", "mvn")
	address := startKafka(t)
	file, _ := text(t)
	state := t.TempDir()
	wordcount(t, "--brokers", address, "--data", state, "--instances", "2", file)
	wordcount(t, "--brokers", address, "--data", state, file) // goes on where it was: nothing is counted twice
}

func TestWordCountAtLeastOnceRunsOnApacheKafka(t *testing.T) {
	needs(t, "java", "mvn")
	address := startKafka(t)
	file, _ := text(t)
	wordcount(t, "--brokers", address, "--guarantee", "at-least-once", file)
}

func TestKafkasToolsReadOurBroker(t *testing.T) {
	needs(t, "java", "mvn")
	server, address := proctest.Broker(t, t.TempDir(), "")
	file, counts := text(t)
	wordcount(t, "--brokers", address, file)

	t.Run("console consumer", func(t *testing.T) {
		out := script(t, "run", "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", address, "--topic", "word-counts", "--from-beginning",
			"--timeout-ms", "10000", "--isolation-level", "read_committed", "--formatter-property", "print.key=true",
			"--formatter-property", "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer")
		last := map[string]int64{}
		for line := range strings.Lines(out) {
			word, count, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			n, err := strconv.ParseInt(count, 10, 64)
			if !ok || err != nil {
				t.Fatalf("line %q is no word and count", line)
			}
			last[word] = n
		}
		for word, want := range counts {
			if last[word] != want {
				t.Errorf("the console consumer reads %d for %q, want %d", last[word], word, want)
			}
		}
	})
	t.Run("topics", func(t *testing.T) {
		out := script(t, "run", "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", address, "--list")
		for _, topic := range []string{"lines", "word-counts", "wordcount-words-repartition", "wordcount-counts-changelog", "__consumer_offsets"} {
			if !strings.Contains(out, topic+"\n") {
				t.Errorf("the list lacks %s:\n%s", topic, out)
			}
		}
		out = script(t, "run", "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", address, "--describe", "--topic", "wordcount-counts-changelog")
		for _, part := range []string{"PartitionCount: 4", "ReplicationFactor: 1", "cleanup.policy=compact", "Partition: 3\tLeader: 1"} {
			if !strings.Contains(out, part) {
				t.Errorf("the description lacks %q:\n%s", part, out)
			}
		}
	})
	t.Run("consumer groups", func(t *testing.T) {
		out := script(t, "run", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server", address, "--list")
		if !strings.Contains(out, "wordcount\n") {
			t.Errorf("the list lacks the group:\n%s", out)
		}
		out = script(t, "run", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server", address, "--describe", "--group", "wordcount")
		committed := map[string]int{}
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); len(f) > 5 && f[0] == "wordcount" {
				committed[f[1]]++
				if f[3] != f[4] || f[5] != "0" {
					t.Errorf("lag is left: %s", line)
				}
			}
		}
		// The lines of a short text need not reach all partitions; its words do.
		if committed["lines"] == 0 || committed["wordcount-words-repartition"] != 4 {
			t.Errorf("offsets of %v partitions:\n%s", committed, out)
		}
	})
	server.Signal(syscall.SIGTERM)
	server.Succeeded(t)
}
