package frame

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func BenchmarkProduce(b *testing.B) {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(12)
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "orders", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: make([]byte, 100<<10)}}}}
	benchmark(b, req)
}

func BenchmarkFetch16Partitions(b *testing.B) {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(17)
	topic := kmsg.NewFetchRequestTopic()
	for range 16 {
		topic.Partitions = append(topic.Partitions, kmsg.NewFetchRequestTopicPartition())
	}
	req.Topics = append(req.Topics, topic)
	benchmark(b, req)
}

func benchmark(b *testing.B, req kmsg.Request) {
	body := req.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Check(req.Key(), req.GetVersion(), body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCompile is what the layouts cost the start of a program.
func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		compile(dataRequests(), groupRequests(), transactionRequests(), clusterRequests())
	}
}
