package transactions_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
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

// BenchmarkTransactions measures commits of 10 records to one partition over sockets, with bare requests: Produce v13 and
// EndTxn v5, the broker in the same process, its data on disk.
func BenchmarkTransactions(b *testing.B) {
	for _, flush := range []broker.FlushMode{broker.FlushOS, broker.FlushAlways} {
		for _, producers := range []int{1, 16} {
			b.Run(fmt.Sprintf("flush=%s/producers=%d", flush, producers), func(b *testing.B) {
				benchTransactions(b, flush, producers)
			})
		}
	}
}

func benchTransactions(b *testing.B, flush broker.FlushMode, producers int) {
	srv := brokertest.Start(b, broker.Config{Dir: b.TempDir(), Flush: flush})
	addr := srv.Listen()
	client := func() *kgo.Client {
		c, err := kgo.NewClient(kgo.SeedBrokers(addr))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(c.Close)
		return c
	}
	topic, err := kadm.NewClient(client()).CreateTopic(context.Background(), 16, 1, nil, "t")
	if err != nil {
		b.Fatal(err)
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	ps := make([]*rawProducer, producers)
	for i := range ps {
		ps[i] = &rawProducer{c: client(), id: fmt.Sprint("x", i), topic: topic.ID, partition: int32(i % 16)}
		if err := ps[i].init(); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for _, p := range ps {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := p.commit(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// rawProducer speaks protocol 2 without a client's machinery.
type rawProducer struct {
	c         *kgo.Client
	id        string
	topic     [16]byte
	partition int32
	pid       int64
	epoch     int16
	batch     record.Builder
}

func (p *rawProducer) init() error {
	req := kmsg.NewInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &p.id, 60000
	resp, err := req.RequestWith(context.Background(), p.c)
	if err != nil {
		return err
	}
	p.pid, p.epoch = resp.ProducerID, resp.ProducerEpoch
	return kerr.ErrorForCode(resp.ErrorCode)
}

func (p *rawProducer) commit() error {
	p.batch.Reset()
	now := time.Now().UnixMilli()
	for range 10 {
		p.batch.AppendRecord(now, nil, value[:], nil)
	}
	who := record.Producer{ID: record.ProducerID(p.pid), Epoch: record.ProducerEpoch(p.epoch)}
	batch := p.batch.Finish(who, record.Transactional, record.None)
	tp := kmsg.NewProduceRequestTopicPartition()
	tp.Partition, tp.Records = p.partition, batch
	t := kmsg.NewProduceRequestTopic()
	t.TopicID, t.Partitions = p.topic, []kmsg.ProduceRequestTopicPartition{tp}
	req := kmsg.NewProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = &p.id, -1, 10000
	req.Topics = []kmsg.ProduceRequestTopic{t}
	resp, err := p.c.Request(context.Background(), &req)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
		return fmt.Errorf("Produce: %w", kerr.ErrorForCode(code))
	}
	end := kmsg.NewEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = p.id, p.pid, p.epoch, true
	ended, err := end.RequestWith(context.Background(), p.c)
	if err != nil {
		return err
	}
	p.pid, p.epoch = ended.ProducerID, ended.ProducerEpoch
	return kerr.ErrorForCode(ended.ErrorCode)
}

var value [100]byte
