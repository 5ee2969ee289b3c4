package transactions_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/internal/record"
)

// oldProducer speaks protocol 1 in bare requests.
type oldProducer struct {
	t     *testing.T
	c     *kgo.Client
	id    string
	pid   int64
	epoch int16
	seq   int32
}

func newOldProducer(t *testing.T, b *brokertest.Broker, id string) *oldProducer {
	t.Helper()
	p := &oldProducer{t: t, c: b.Client(t), id: id}
	req := kmsg.NewInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &p.id, 60000
	resp, err := req.RequestWith(t.Context(), p.c)
	if err != nil || resp.ErrorCode != 0 {
		t.Fatalf("InitProducerID: %v, %v", err, kerr.ErrorForCode(resp.ErrorCode))
	}
	p.pid, p.epoch = resp.ProducerID, resp.ProducerEpoch
	return p
}

// request sends req at a version, whatever the client and the broker would agree on.
func request[R kmsg.Response](p *oldProducer, req kmsg.Request, version int16) R {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	resp, err := p.c.Broker(1).RetriableRequest(ctx, pinned{req, version})
	if err != nil {
		p.t.Fatalf("%T: %v", req, err)
	}
	return resp.(R)
}

// pinned is a request that keeps its version.
type pinned struct {
	kmsg.Request
	version int16
}

func (r pinned) SetVersion(int16)  { r.Request.SetVersion(r.version) }
func (r pinned) MaxVersion() int16 { return r.version }

func (p *oldProducer) add(partition int32) {
	p.t.Helper()
	t := kmsg.NewAddPartitionsToTxnRequestTopic()
	t.Topic, t.Partitions = "t", []int32{partition}
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.id, p.pid, p.epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{t}
	resp := request[*kmsg.AddPartitionsToTxnResponse](p, req, 3)
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		p.t.Fatalf("AddPartitionsToTxn: %v", kerr.ErrorForCode(code))
	}
}

func (p *oldProducer) produce(partition int32, value string) error {
	p.t.Helper()
	var b record.Builder
	b.AppendRecord(time.Now().UnixMilli(), nil, []byte(value), nil)
	who := record.Producer{ID: record.ProducerID(p.pid), Epoch: record.ProducerEpoch(p.epoch), BaseSequence: p.seq}
	tp := kmsg.NewProduceRequestTopicPartition()
	tp.Partition, tp.Records = partition, b.Finish(who, record.Transactional, record.None)
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = "t", []kmsg.ProduceRequestTopicPartition{tp}
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = &p.id, -1, 10000
	req.Topics = []kmsg.ProduceRequestTopic{t}
	err := kerr.ErrorForCode(request[*kmsg.ProduceResponse](p, req, 10).Topics[0].Partitions[0].ErrorCode)
	if err == nil {
		p.seq++
	}
	return err
}

func (p *oldProducer) end(commit bool) {
	p.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.id, p.pid, p.epoch, commit
	if resp := request[*kmsg.EndTxnResponse](p, req, 3); resp.ErrorCode != 0 {
		p.t.Fatalf("EndTxn: %v", kerr.ErrorForCode(resp.ErrorCode))
	}
}

// KAFKA-14402, KAFKA-12671: a produce of an ended transaction that comes late opens one that nobody ends, and the last
// stable offset stops for ever. Here the partition asks the coordinator first.
func TestALateProduceOpensNoTransaction(t *testing.T) {
	for name, commit := range map[string]bool{"after a commit": true, "after an abort": false} {
		t.Run(name, func(t *testing.T) {
			b := cluster(t, 1)
			p := newOldProducer(t, b, "x")
			p.add(0)
			if err := p.produce(0, "in time"); err != nil {
				t.Fatal(err)
			}
			p.end(commit)
			p.add(0) // waits for the markers; the next transaction
			p.end(false)
			if err := p.produce(0, "late"); err != kerr.InvalidTxnState && err != kerr.NotEnoughReplicas {
				t.Fatalf("the late produce: %v, want a refusal", err)
			}
			other := producer(t, b, "y")
			begin(t, other)
			produce(t, other, 0, "end")
			end(t, other, kgo.TryCommit)
			got := committed(t, b, "end")
			if commit {
				want(t, got, 0, "in time", "end")
			} else {
				want(t, got, 0, "end")
			}
		})
	}
}

// An operator finds a transaction that its coordinator knows nothing of, and ends it with a marker of his own.
func TestAnOperatorEndsAHangingTransaction(t *testing.T) {
	b := brokertest.Start(t, broker.Config{Set: map[string]string{"transaction.partition.verification.enable": "false"}})
	adm := kadm.NewClient(b.Client(t))
	if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	p := newOldProducer(t, b, "x")
	if err := p.produce(0, "hanging"); err != nil { // without AddPartitionsToTxn, as a late one
		t.Fatal(err)
	}
	var set kadm.TopicsSet
	set.Add("t", 0)
	ps, err := adm.DescribeProducers(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	hanging := ps["t"].Partitions[0].ActiveProducers.Sorted()
	if len(hanging) != 1 || hanging[0].CurrentTxnStartOffset != 0 {
		t.Fatalf("DescribeProducers: %+v", hanging)
	}
	if o, err := adm.ListCommittedOffsets(t.Context(), "t"); err != nil || o["t"][0].Offset != 0 {
		t.Fatalf("the last stable offset: %+v, %v, want 0", o["t"][0], err)
	}
	written, err := adm.WriteTxnMarkers(t.Context(), kadm.TxnMarkers{
		ProducerID: hanging[0].ProducerID, ProducerEpoch: hanging[0].ProducerEpoch,
		CoordinatorEpoch: hanging[0].CoordinatorEpoch, Commit: false, Topics: set,
	})
	if err != nil {
		t.Fatalf("WriteTxnMarkers: %+v, %v", written, err)
	}
	if o, err := adm.ListCommittedOffsets(t.Context(), "t"); err != nil || o["t"][0].Offset != 2 {
		t.Fatalf("the last stable offset: %+v, %v, want 2", o["t"][0], err)
	}
}
