package transactions_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// A power loss can take the end of the coordinator's log and leave that of a partition (flush=os): nobody knows the transaction that is open there. It ends all
// the same, so that readers of what is committed go on.
func TestATransactionThatNoCoordinatorKnowsIsAborted(t *testing.T) {
	b := brokertest.Start(t, broker.Config{Set: map[string]string{
		"transaction.partition.verification.enable": "false", // stands in for the loss: nobody told the coordinator
		"transaction.max.timeout.ms":                "1000",
	}})
	if _, err := kadm.NewClient(b.Client(t)).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	forgotten := &oldProducer{t: t, c: b.Client(t), id: "x", pid: 4711}
	if err := forgotten.produce(0, "hanging"); err != nil {
		t.Fatal(err)
	}
	plain := b.Client(t)
	if err := plain.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("end")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	want(t, committed(t, b, "end"), 0, "end")
}

// The same loss, of the coordinator's whole log, with offsets of a group in the transaction: without an end they would be pending for ever, and a consumer that asks
// for stable offsets would never start.
func TestAPowerLossThatTakesTheCoordinatorsLogLeavesNothingPending(t *testing.T) {
	b := brokertest.Start(t, broker.Config{Set: map[string]string{
		"transaction.max.timeout.ms":                                  "1000",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "2147483647", // the time-out is not what ends it here
		"transaction.state.log.num.partitions":                        "3",
		"offsets.topic.num.partitions":                                "3",
	}})
	c := b.Client(t)
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	p := &oldProducer{t: t, c: c, id: "x"}
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.TransactionalID, begin.TransactionTimeoutMillis = &p.id, 1000
	who, err := begin.RequestWith(t.Context(), c)
	if err != nil || who.ErrorCode != 0 {
		t.Fatalf("InitProducerID: %v, %v", err, kerr.ErrorForCode(who.ErrorCode))
	}
	p.pid, p.epoch = who.ProducerID, who.ProducerEpoch
	p.add(0)
	if err := p.produce(0, "hanging"); err != nil {
		t.Fatal(err)
	}
	p.commitOffset("g", 1)

	logs, err := kadm.NewClient(c).ListTopicsWithInternal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := logs["__transaction_state"].ID
	b.Server.Kill()
	b.Ended()
	for n := range 3 {
		if err := b.FS.RemoveAll(fmt.Sprintf("/millrace/topics/%x-%d", id[:], n)); err != nil {
			t.Fatal(err)
		}
	}
	b.Resume()

	if err := b.Client(t).ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("end")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	want(t, committed(t, b, "end"), 0, "end")
	if at := fetchStable(t, b.Client(t), "g"); at != -1 {
		t.Fatalf("the committed offset is %d, want none", at)
	}
}

// commitOffset commits an offset of partition 0 of t in the transaction.
func (p *oldProducer) commitOffset(group string, offset int64) {
	p.t.Helper()
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = p.id, p.pid, p.epoch, group
	if resp := request[*kmsg.AddOffsetsToTxnResponse](p, add, 3); resp.ErrorCode != 0 {
		p.t.Fatalf("AddOffsetsToTxn: %v", kerr.ErrorForCode(resp.ErrorCode))
	}
	partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	partition.Offset = offset
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = "t", []kmsg.TxnOffsetCommitRequestTopicPartition{partition}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group = p.id, p.pid, p.epoch, group
	commit.Generation, commit.Topics = -1, []kmsg.TxnOffsetCommitRequestTopic{topic}
	if code := request[*kmsg.TxnOffsetCommitResponse](p, commit, 3).Topics[0].Partitions[0].ErrorCode; code != 0 {
		p.t.Fatalf("TxnOffsetCommit: %v", kerr.ErrorForCode(code))
	}
}
