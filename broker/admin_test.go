package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

func TestTopicsAreManagedThroughKadm(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{Set: map[string]string{"auto.create.topics.enable": "false"}})
	cl := b.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	adm := kadm.NewClient(cl)

	if _, err := adm.CreateTopic(ctx, 2, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact,delete")}, "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateTopic(ctx, 2, 1, nil, "t"); !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Errorf("making a topic twice: %v", err)
	}
	if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"no.such": kadm.StringPtr("1")}, "u"); !errors.Is(err, kerr.InvalidConfig) {
		t.Errorf("an unknown config: %v", err)
	}
	if resp, err := adm.CreatePartitions(ctx, 3, "t"); err != nil || resp.Error() != nil {
		t.Errorf("adding partitions: %v, %v", err, resp.Error())
	}
	for p := range int32(3) {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Key: []byte("k")}).FirstErr(); err != nil {
			t.Errorf("partition %d of 3: %v", p, err)
		}
	}
	if resp, err := adm.DeleteTopics(ctx, "t"); err != nil || resp.Error() != nil {
		t.Errorf("deleting the topic: %v, %v", err, resp.Error())
	}
	if topics, err := adm.ListTopics(ctx); err != nil || len(topics) != 0 {
		t.Errorf("%d topics are left, %v", len(topics), err)
	}
}

func TestRecordsOfACompactedTopicNeedKeys(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, map[string]string{"cleanup.policy": "compact"})
	cl := b.Client(t)
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); !errors.Is(err, kerr.InvalidRecord) {
		t.Errorf("a record without a key: %v", err)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Key: []byte("k"), Value: []byte("v")}).FirstErr(); err != nil {
		t.Error(err)
	}
}

func TestOffsetsAreFoundByTimeAndRecordsDeleted(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, nil)
	cl := b.Client(t)
	adm := kadm.NewClient(cl)
	begin := time.UnixMilli(time.Now().UnixMilli())
	for i := range 10 {
		r := &kgo.Record{Topic: "t", Value: []byte("x"), Timestamp: begin.Add(time.Duration(i) * time.Second)}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	at, err := adm.ListOffsetsAfterMilli(ctx, begin.Add(3500*time.Millisecond).UnixMilli(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := at.Lookup("t", 0); o.Offset != 4 {
		t.Errorf("the first record after 3.5 s has offset %d, want 4", o.Offset)
	}
	upTo := kadm.Offsets{}
	upTo.AddOffset("t", 0, 6, -1)
	if resp, err := adm.DeleteRecords(ctx, upTo); err != nil || resp.Error() != nil {
		t.Fatalf("deleting records: %v, %v", err, resp.Error())
	}
	start, err := adm.ListStartOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := start.Lookup("t", 0); o.Offset != 6 {
		t.Errorf("the log starts at %d, want 6", o.Offset)
	}
	if got := readAll(ctx, t, b, "t", 4); len(got) != 4 {
		t.Errorf("%d records are left, want 4", len(got))
	}
}

func TestConfigsChangeAtRunTime(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, nil)
	cl := b.Client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	adm := kadm.NewClient(cl)
	set := func(alter func([]kadm.AlterConfig) (kadm.AlterConfigsResponses, error), value string) {
		t.Helper()
		resp, err := alter([]kadm.AlterConfig{{Op: kadm.SetConfig, Name: value, Value: kadm.StringPtr("500")}})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range resp {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
	big := func() error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: make([]byte, 1000)}).FirstErr()
	}
	if err := big(); err != nil {
		t.Fatal(err)
	}
	set(func(c []kadm.AlterConfig) (kadm.AlterConfigsResponses, error) { return adm.AlterBrokerConfigs(ctx, c) }, "message.max.bytes")
	if err := big(); !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("with message.max.bytes lowered for all brokers: %v", err)
	}
	b.Kill()
	if err := big(); !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("after a kill the change is forgotten: %v", err)
	}
	configs, err := adm.DescribeTopicConfigs(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(configs[0].Configs, func(c kadm.Config) bool { return c.Key == "max.message.bytes" })
	if c := configs[0].Configs[i]; *c.Value != "500" || fmt.Sprint(c.Source) != "DYNAMIC_DEFAULT_BROKER_CONFIG" {
		t.Errorf("max.message.bytes is %s from %v", *c.Value, c.Source)
	}
}

func TestALongPollIsWokenByAnAppend(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, nil)
	poll := fetchAll("t")
	poll.MaxWaitMillis, poll.MinBytes = 60_000, 1
	c := b.Dial(t)
	c.Send(poll)
	if err := b.Client(t).ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	c.Receive(poll)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the poll was answered %v after the append", took)
	}
}
