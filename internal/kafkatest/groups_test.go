package kafkatest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/proctest"
)

// member joins a group, reads n committed records of a topic and commits where it is. It stays in the group until the returned function is called.
func member(t *testing.T, address, group, topic string, n int) (leave func()) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ClientID("reader"), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	ctx, cancel := context.WithTimeout(t.Context(), proctest.Deadline)
	defer cancel()
	for read := 0; read < n; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %d of %d records: %v", read, n, err)
		}
		read += fetches.NumRecords()
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	return cl.Close
}

func TestConsumerGroupCommand(t *testing.T) {
	needs(t, "java", "mvn", "kcat")
	_, address := proctest.Broker(t, t.TempDir(), "")
	tool(t, address, topicCommand, "--create", "--topic", "orders", "--partitions", "2")
	kcat(t, strings.Repeat("an order\n", 20), "-b", address, "-P", "-t", "orders", "-p", "1")
	leave := member(t, address, "readers", "orders", 20)

	t.Run("while it is at work", func(t *testing.T) {
		holds(t, tool(t, address, groupCommand, "--list", "--state"), "readers", "Stable")
		holds(t, tool(t, address, groupCommand, "--list", "--type"), "Classic")
		holds(t, tool(t, address, groupCommand, "--describe", "--group", "readers", "--members", "--verbose"), "reader", "/127.0.0.1", "orders:0,1")
		holds(t, tool(t, address, groupCommand, "--describe", "--group", "readers", "--state"), address, "cooperative-sticky", "Stable", "1")
		if lag := lagOf(t, address, "readers", "orders", "1"); lag != "20 20 0" {
			t.Errorf("offset, end and lag are %s", lag)
		}
		holds(t, tool(t, address, groupCommand, "--group", "readers", "--reset-offsets", "--to-earliest", "--topic", "orders", "--execute"), "the current state is Stable")
		holds(t, tool(t, address, groupCommand, "--group", "readers", "--delete"), "GroupNotEmptyException")
		holds(t, tool(t, address, groupCommand, "--group", "readers", "--delete-offsets", "--topic", "orders"), "GroupSubscribedToTopic")
	})
	leave()
	t.Run("reset", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "offsets.csv")
		if err := os.WriteFile(file, []byte("orders,1,11\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			to   string
			want int
		}{
			{"--to-earliest", 0}, {"--shift-by 5", 5}, {"--shift-by 100", 20}, {"--to-offset 7", 7}, {"--to-datetime 2020-01-01T00:00:00.000", 0}, {"--to-latest", 20},
			{"--by-duration PT1H", 0}, {"--from-file " + file, 11},
		} {
			args := append([]string{"--group", "readers", "--reset-offsets", "--execute"}, strings.Fields(c.to)...)
			if !strings.HasPrefix(c.to, "--from-file") {
				args = append(args, "--topic", "orders:1")
			}
			tool(t, address, groupCommand, args...)
			if lag, want := lagOf(t, address, "readers", "orders", "1"), fmt.Sprintf("%d 20 %d", c.want, 20-c.want); lag != want {
				t.Errorf("%s: offset, end and lag are %s, want %s", c.to, lag, want)
			}
		}
		tool(t, address, groupCommand, "--group", "readers", "--reset-offsets", "--dry-run", "--to-earliest", "--topic", "orders:1")
		if lag := lagOf(t, address, "readers", "orders", "1"); lag != "11 20 9" {
			t.Errorf("after a dry run offset, end and lag are %s", lag)
		}
	})
	t.Run("delete", func(t *testing.T) {
		holds(t, tool(t, address, groupCommand, "--group", "readers", "--delete-offsets", "--topic", "orders:1"), "Successful")
		if lag := lagOf(t, address, "readers", "orders", "1"); lag != "" {
			t.Errorf("after the offset is gone: %s", lag)
		}
		holds(t, tool(t, address, groupCommand, "--group", "readers", "--delete"), "Deletion of requested consumer groups ('readers') was successful.")
		lacks(t, tool(t, address, groupCommand, "--list"), "readers")
	})
}

// lagOf returns committed offset, end and lag of a partition as the tool sees them; nothing when it does not list the partition.
func lagOf(t *testing.T, address, group, topic, partition string) string {
	t.Helper()
	for line := range strings.Lines(tool(t, address, groupCommand, "--describe", "--group", group)) {
		if f := strings.Fields(line); len(f) > 5 && f[0] == group && f[1] == topic && f[2] == partition {
			return strings.Join(f[3:6], " ")
		}
	}
	return ""
}
