package goclients

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/IBM/sarama"
)

// versions are those of Kafka that sarama speaks differently to: by the oldest it knows how to join a group that a server of today serves.
var versions = []sarama.KafkaVersion{sarama.V2_1_0_0, sarama.V2_8_0_0, sarama.V3_9_0_0, sarama.V4_1_0_0}

func saramaConfig(v sarama.KafkaVersion) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = v
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	return config
}

func TestSaramaWritesAndReadsInAGroup(t *testing.T) {
	at := seeds(t)
	tried := versions
	if testing.Short() {
		tried = versions[len(versions)-1:]
	}
	for _, v := range tried {
		for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
			t.Run(fmt.Sprintf("%v %v", v, codec), func(t *testing.T) {
				config := saramaConfig(v)
				config.Producer.Compression = codec
				config.Producer.Idempotent, config.Net.MaxOpenRequests = true, 1
				topic := fmt.Sprintf("sarama-%v-%v", v, codec)
				saramaTopic(t, at, config, topic)
				producer, err := sarama.NewSyncProducer(at, config)
				if err != nil {
					t.Fatal(err)
				}
				defer producer.Close()
				var batch []*sarama.ProducerMessage
				for i := range records {
					batch = append(batch, &sarama.ProducerMessage{
						Topic: topic, Key: sarama.StringEncoder(fmt.Sprint(i)), Value: sarama.StringEncoder(fmt.Sprint(i)),
						Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte(fmt.Sprint(i))}},
					})
				}
				if err := producer.SendMessages(batch); err != nil {
					t.Fatal(err)
				}
				if got := saramaRead(t, at, config, topic+"-readers", topic); len(got) != records {
					t.Errorf("read %d records, want %d", len(got), records)
				}
			})
		}
	}
}

const (
	records    = 300
	partitions = 3
)

func saramaTopic(t *testing.T, at []string, config *sarama.Config, topic string) {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(at, config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false); err != nil {
		t.Fatal(err)
	}
}

// saramaRead reads all records of a topic as a member of a group, commits, and checks that each is what was written.
func saramaRead(t *testing.T, at []string, config *sarama.Config, group, topic string) map[string]bool {
	t.Helper()
	members, err := sarama.NewConsumerGroup(at, group, config)
	if err != nil {
		t.Fatal(err)
	}
	defer members.Close()
	ctx, done := context.WithCancel(limited(t))
	defer done()
	r := &saramaReader{got: map[string]bool{}, done: done}
	for ctx.Err() == nil {
		if err := members.Consume(ctx, []string{topic}, r); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if r.wrong != "" {
		t.Error(r.wrong)
	}
	return r.got
}

// saramaReader collects records until it has all.
type saramaReader struct {
	done func()

	mu    sync.Mutex
	got   map[string]bool // guarded by mu
	wrong string          // guarded by mu
}

func (r *saramaReader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (r *saramaReader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (r *saramaReader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		session.MarkMessage(m, "")
		r.mu.Lock()
		if r.got[string(m.Value)] || string(m.Key) != string(m.Value) || len(m.Headers) != 1 || string(m.Headers[0].Value) != string(m.Value) {
			r.wrong = fmt.Sprintf("partition %d offset %d holds %s, again or garbled", m.Partition, m.Offset, m.Value)
		}
		r.got[string(m.Value)] = true
		if len(r.got) == records {
			session.Commit()
			r.done()
		}
		r.mu.Unlock()
	}
	return nil
}

func TestSaramaCommitsAndAbortsTransactions(t *testing.T) {
	at := seeds(t)
	config := saramaConfig(sarama.V4_1_0_0)
	config.Producer.Idempotent, config.Net.MaxOpenRequests = true, 1
	config.Producer.Transaction.ID = "sarama"
	saramaTopic(t, at, config, "sarama-transactions")
	producer, err := sarama.NewSyncProducer(at, config)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	for i := range 2 * records / 10 {
		if err := producer.BeginTxn(); err != nil {
			t.Fatal(err)
		}
		commit := i%2 == 0
		var batch []*sarama.ProducerMessage
		for j := range 10 {
			value := fmt.Sprint(i/2*10 + j)
			if !commit {
				value = "aborted " + value
			}
			batch = append(batch, &sarama.ProducerMessage{
				Topic: "sarama-transactions", Key: sarama.StringEncoder(value), Value: sarama.StringEncoder(value),
				Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte(value)}},
			})
		}
		if err := producer.SendMessages(batch); err != nil {
			t.Fatal(err)
		}
		end := producer.AbortTxn
		if commit {
			if err := producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{"sarama-transactions": {{Partition: 0, Offset: int64(i)}}}, "sarama-committers"); err != nil {
				t.Fatal(err)
			}
			end = producer.CommitTxn
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	for value := range saramaRead(t, at, config, "sarama-transaction-readers", "sarama-transactions") {
		if len(value) > 3 {
			t.Errorf("read %q", value)
		}
	}
	admin, err := sarama.NewClusterAdmin(at, config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	offsets, err := admin.ListConsumerGroupOffsets("sarama-committers", map[string][]int32{"sarama-transactions": {0}})
	if err != nil {
		t.Fatal(err)
	}
	if b := offsets.GetBlock("sarama-transactions", 0); b == nil || b.Offset != 2*records/10-2 {
		t.Errorf("the committed offset is %+v, want that of the last committed transaction", b)
	}
}
