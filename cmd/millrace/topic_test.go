package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func TestTopicCreateListDescribeDelete(t *testing.T) {
	cli := on(t)
	cli("", "topic", "create", "orders", "-p", "3", "--config", "retention.ms=86400000").expect(t, exitDone, "Created topic orders with 3 partitions.\n")
	cli("", "topic", "list").expect(t, exitDone, "TOPIC   PARTITIONS  REPLICATION-FACTOR\n", "orders  3           1\n")
	cli("", "topic", "describe", "orders").expect(t, exitDone,
		"Topic: orders\t", "PartitionCount: 3\tReplicationFactor: 1\tConfigs: retention.ms=86400000\n",
		"PARTITION  LEADER  LEADER-EPOCH  REPLICAS  ISR  LOG-START-OFFSET  LOG-END-OFFSET\n", "2          1       0             1         1    0                 0\n")
	cli("", "topic", "delete", "orders").expect(t, exitDone, "Deleted topic orders.\n")
	if o := cli("", "topic", "list"); strings.Contains(o.stdout, "orders") {
		t.Errorf("the topic is still there:\n%s", o.stdout)
	}
}

func TestTopicCommandsAnswerInJSON(t *testing.T) {
	cli := on(t)
	created := decode[[]createdTopic](t, cli("", "topic", "create", "orders", "-p", "2", "-o", "json"))
	if len(created) != 1 || !created[0].Created || created[0].Partitions != 2 || len(created[0].ID) != 22 {
		t.Errorf("created %+v", created)
	}
	listed := decode[[]topicSummary](t, cli("", "topic", "list", "-o", "json"))
	if len(listed) != 1 || listed[0].Topic != "orders" || listed[0].ID != created[0].ID {
		t.Errorf("listed %+v", listed)
	}
	described := decode[[]describedTopic](t, cli("", "topic", "describe", "orders", "-o", "json"))
	if len(described) != 1 || len(described[0].Partitions) != 2 || described[0].Configs["cleanup.policy"] != "delete" {
		t.Errorf("described %+v", described)
	}
}

func TestInternalTopicsAreListedOnRequest(t *testing.T) {
	cli := on(t)
	cli("", "topic", "create", "orders").expect(t, exitDone)
	cli("x\n", "topic", "produce", "orders").expect(t, exitDone)
	cli("", "topic", "consume", "orders", "-g", "readers", "-n", "1").expect(t, exitDone)
	if o := cli("", "topic", "list"); strings.Contains(o.stdout, "__consumer_offsets") {
		t.Errorf("shown without being asked for:\n%s", o.stdout)
	}
	cli("", "topic", "list", "--internal").expect(t, exitDone, "__consumer_offsets")
}

func TestTopicFaultsSayWhatToDo(t *testing.T) {
	cli := on(t)
	cli("", "topic", "create", "orders").expect(t, exitDone)
	cli("", "topic", "create", "orders").expect(t, exitFailed).says(t, "already exists", "TOPIC_ALREADY_EXISTS", "--if-not-exists")
	cli("", "topic", "create", "orders", "--if-not-exists").expect(t, exitDone, "exists already")
	cli("", "topic", "create", "wide", "-r", "3").expect(t, exitFailed).says(t, "INVALID_REPLICATION_FACTOR", "--replication-factor 1")
	cli("", "topic", "create", "a b").expect(t, exitFailed).says(t, "INVALID_TOPIC_EXCEPTION")
	cli("", "topic", "create", "c", "--config", "no.such.setting=1").expect(t, exitFailed).says(t, "INVALID_CONFIG", "no.such.setting")
	cli("", "topic", "describe", "order").expect(t, exitFailed).says(t, `no topic "order"`, "did you mean orders?")
	cli("", "topic", "delete", "zzz").expect(t, exitFailed).says(t, `no topic "zzz"`, "millrace topic list")
	cli("", "topic", "consume", "orders", "-p", "7", "-e").expect(t, exitFailed).says(t, "no partition 7")
}

func TestProduceAndConsume(t *testing.T) {
	cli := on(t)
	cli("", "topic", "create", "orders", "-p", "2").expect(t, exitDone)
	cli("k1 one\nk2 two\nk1 three\n", "topic", "produce", "orders", "-f", `%k %v\n`, "-H", "from:test").expect(t, exitDone).says(t, "Produced 3 records to topic orders.")
	o := cli("", "topic", "consume", "orders", "-e", "-f", `%k=%v %h{%k:%v}\n`).expect(t, exitDone, "k1=one from:test\n", "k2=two from:test\n")
	if strings.Index(o.stdout, "k1=one") > strings.Index(o.stdout, "k1=three") || strings.Count(o.stdout, "\n") != 3 {
		t.Errorf("records of one key out of order, or not three of them:\n%s", o.stdout)
	}
	cli("", "topic", "consume", "orders", "-n", "2").expect(t, exitDone)
	cli("", "topic", "consume", "orders", "-e", "-o", "json").expect(t, exitDone, `"key":"k1","value":"three","headers":[{"key":"from","value":"test"}]`)
}

func TestConsumeBeginsWhereAsked(t *testing.T) {
	cli := on(t)
	cli("", "topic", "create", "n").expect(t, exitDone)
	cli("0\n1\n2\n3\n4\n", "topic", "produce", "n").expect(t, exitDone)
	for offset, want := range map[string]string{
		"start": "0\n1\n2\n3\n4\n", "3": "3\n4\n", "-2": "3\n4\n", "+1": "1\n2\n3\n4\n", "end": "", "99": "", "-99": "0\n1\n2\n3\n4\n",
	} {
		if o := cli("", "topic", "consume", "n", "-e", "--offset", offset).expect(t, exitDone); o.stdout != want {
			t.Errorf("from %s: %q, want %q", offset, o.stdout, want)
		}
	}
	cli("", "topic", "consume", "n", "-e", "--offset", "soon").expect(t, exitUsage).says(t, "--offset soon")
}

// A partition that is offline is no empty one.
func TestConsumeSaysWhichPartitionCannotBeRead(t *testing.T) {
	offsets := kadm.ListedOffsets{"t": {
		0: {Topic: "t", Partition: 0, Offset: 7},
		1: {Topic: "t", Partition: 1, Offset: -1, Err: kerr.KafkaStorageError},
	}}
	if at, err := listed(offsets, "t", 0); at != 7 || err != nil {
		t.Errorf("partition 0: %d, %v", at, err)
	}
	for partition, want := range map[int32]string{1: "KAFKA_STORAGE_ERROR", 2: "lacks it"} {
		_, err := listed(offsets, "t", partition)
		if where := fmt.Sprintf("partition %d", partition); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), where) {
			t.Errorf("partition %d: %v, want %s", partition, err, want)
		}
	}
}

func TestTombstonesAndBytesSurvive(t *testing.T) {
	cli := on(t)
	cli("", "topic", "create", "t").expect(t, exitDone)
	cli("k1\n", "topic", "produce", "t", "-f", `%k\n`, "-Z").expect(t, exitDone)
	cli("", "topic", "consume", "t", "-e", "-o", "json").expect(t, exitDone, `"key":"k1","value":null`)
	cli("\x00\xff\n", "topic", "produce", "t").expect(t, exitDone)
	cli("", "topic", "consume", "t", "-e", "-o", "json").expect(t, exitDone, `"value":null,"value_base64":"AP8="`)
}

func TestRecordLargerThanTheTopicAllowsIsRefused(t *testing.T) {
	cli := on(t)
	cli("", "topic", "create", "small", "--config", "max.message.bytes=1000").expect(t, exitDone)
	cli(strings.Repeat("x", 5000)+"\n", "topic", "produce", "small").expect(t, exitFailed).says(t, "MESSAGE_TOO_LARGE", "max.message.bytes")
	cli(strings.Repeat("x", 3<<20)+"\n", "topic", "produce", "small").expect(t, exitFailed).says(t, "MESSAGE_TOO_LARGE", "max.message.bytes")
}

func TestProduceMakesTheTopicOnlyWhenAsked(t *testing.T) {
	cli := on(t)
	cli("x\n", "topic", "produce", "new").expect(t, exitFailed).says(t, `no topic "new"`)
	cli("x\n", "topic", "produce", "new", "--create").expect(t, exitDone)
	cli("", "topic", "consume", "new", "-e").expect(t, exitDone, "x\n")
}

func TestTheLastLineNeedsNoNewline(t *testing.T) {
	cli := on(t)
	cli("", "topic", "create", "orders").expect(t, exitDone)
	for in, want := range map[string]string{"": "0 records", "a": "1 record", "a\n": "1 record", "a\nb": "2 records", "a\n\n": "2 records"} {
		cli(in, "topic", "produce", "orders").expect(t, exitDone).says(t, "Produced "+want)
	}
	cli(strings.Repeat("x", 2_000_000), "topic", "produce", "orders").expect(t, exitFailed)
}
