package broker_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/internal/record"
)

// readyBatch is a batch of n records of size bytes each.
func readyBatch(n, size int) []byte {
	var b record.Builder
	value := make([]byte, size)
	for range n {
		b.AppendRecord(1_700_000_000_000, nil, value, nil)
	}
	return b.Finish(record.NoProducer, 0, record.None)
}

func produceRequest(topic string, partitions int32, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(11)
	req.Acks, req.TimeoutMillis = -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for i := range partitions {
		t.Partitions = append(t.Partitions, kmsg.ProduceRequestTopicPartition{Partition: i, Records: batch})
	}
	req.Topics = append(req.Topics, t)
	return req
}

// BenchmarkProduce sends ready-made batches over one connection, one request at a time.
func BenchmarkProduce(b *testing.B) {
	for _, bench := range []struct {
		name       string
		partitions int32
		records    int
	}{
		{"1KiB", 1, 10}, {"100KiB", 1, 1000}, {"16x6KiB", 16, 60}, {"100x1KiB", 100, 10},
	} {
		b.Run(bench.name, func(b *testing.B) {
			dir := b.TempDir()
			br := brokertest.Start(b, broker.Config{Dir: dir})
			createTopic(b, br, "t", bench.partitions, nil)
			c := br.Dial(b)
			req := produceRequest("t", bench.partitions, readyBatch(bench.records, 100))
			b.SetBytes(int64(len(req.AppendTo(nil))))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				resp := c.Ask(req).(*kmsg.ProduceResponse)
				if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
					b.Fatalf("error %d", code)
				}
			}
		})
	}
}
