package goclients

import (
	"fmt"
	"testing"

	"github.com/segmentio/kafka-go"
)

func TestKafkaGoWritesAndReadsInAGroup(t *testing.T) {
	at := seeds(t)
	ctx := limited(t)
	client := &kafka.Client{Addr: kafka.TCP(at...)}
	for _, codec := range []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			topic := "kafka-go-" + codec.String()
			created, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}}})
			if err != nil || created.Errors[topic] != nil {
				t.Fatal(err, created)
			}
			w := &kafka.Writer{Addr: kafka.TCP(at...), Topic: topic, Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll, Compression: codec, BatchSize: records}
			var batch []kafka.Message
			for i := range records {
				batch = append(batch, kafka.Message{Key: fmt.Append(nil, i), Value: fmt.Append(nil, i), Headers: []kafka.Header{{Key: "h", Value: fmt.Append(nil, i)}}})
			}
			if err := w.WriteMessages(ctx, batch...); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			group := topic + "-readers"
			r := kafka.NewReader(kafka.ReaderConfig{Brokers: at, GroupID: group, Topic: topic, StartOffset: kafka.FirstOffset})
			got := map[string]bool{}
			last := map[int]int64{}
			for len(got) < records {
				m, err := r.FetchMessage(ctx)
				if err != nil {
					t.Fatalf("after %d records: %v", len(got), err)
				}
				if got[string(m.Value)] || string(m.Key) != string(m.Value) || len(m.Headers) != 1 || string(m.Headers[0].Value) != string(m.Value) {
					t.Errorf("partition %d offset %d holds %s, again or garbled", m.Partition, m.Offset, m.Value)
				}
				got[string(m.Value)] = true
				last[m.Partition] = m.Offset
				if err := r.CommitMessages(ctx, m); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			var all []int
			for p := range partitions {
				all = append(all, p)
			}
			offsets, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: all}})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range offsets.Topics[topic] {
				if want, ok := last[o.Partition]; ok && o.CommittedOffset != want+1 {
					t.Errorf("partition %d is committed up to %d, want %d", o.Partition, o.CommittedOffset, want+1)
				}
			}
		})
	}
}
