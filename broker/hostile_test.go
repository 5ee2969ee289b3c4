package broker_test

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// heap is what is reachable now.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestADeclaredLengthCostsNoMemory(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	alive(t, b)
	before := heap()
	const clients = 100
	for range clients {
		c := b.Dial(t)
		frame := binary.BigEndian.AppendUint32(nil, 100<<20) // a length of 100 MiB, a header, and no more
		frame = append(frame, 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff)
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	alive(t, b)
	if grown := int64(heap()) - int64(before); grown > clients*(300<<10) {
		t.Errorf("%d clients that declared 100 MiB each made the heap grow by %d KiB", clients, grown>>10)
	}
}

func TestIdleConnectionsCostLittle(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	req := kmsg.NewPtrApiVersionsRequest()
	before := heap()
	const clients = 500
	for range clients {
		b.Dial(t).Ask(req)
	}
	if per := (int64(heap()) - int64(before)) / clients; per > 24<<10 { // client, network in memory and server together
		t.Errorf("an idle connection takes %d bytes of heap", per)
	}
}

func TestABatchAboveMaxMessageBytesIsRefusedAndTheConnectionLivesOn(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, map[string]string{"max.message.bytes": "1000"})
	cl := b.Client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(strings.Repeat("x", 2000))}).FirstErr()
	if err == nil || !strings.Contains(err.Error(), kerr.MessageTooLarge.Message) {
		t.Fatalf("a record of 2,000 bytes where 1,000 are allowed: %v", err)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestAnAnswerThatNobodyReadsBlocksNobodyElse(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, nil)
	cl := b.Client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	value := []byte(strings.Repeat("x", 900_000))
	for range 5 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		c := b.Dial(t)
		c.Send(fetchAll("t"))
	}
	c := b.Dial(t)
	if resp := c.Ask(fetchAll("t")).(*kmsg.FetchResponse); len(resp.Topics[0].Partitions[0].RecordBatches) < 4_000_000 {
		t.Errorf("%d bytes came", len(resp.Topics[0].Partitions[0].RecordBatches))
	}
}

func fetchAll(topic string) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(12)
	req.MaxBytes, req.SessionEpoch = 50<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 50 << 20
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// FuzzRequest feeds frames to a server and looks whether it lives.
func FuzzRequest(f *testing.F) {
	add := func(req kmsg.Request) {
		frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("f")).AppendRequest(nil, req, 1)
		f.Add(frame[4:])
	}
	for _, row := range []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.Metadata, kmsg.ListOffsets, kmsg.CreateTopics, kmsg.DescribeConfigs, kmsg.JoinGroup, kmsg.OffsetCommit, kmsg.AddPartitionsToTxn} {
		for v := int16(0); v <= row.Int16()+20; v++ {
			req := kmsg.RequestForKey(row.Int16())
			if v > req.MaxVersion() {
				break
			}
			req.SetVersion(v)
			add(req)
		}
	}
	add(produceRequest("t", 1, readyBatch(3, 10)))
	add(fetchAll("t"))
	b := brokertest.Start(f, broker.Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		c := b.Dial(t)
		frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
		if _, err := c.Write(frame); err != nil {
			return // closed already
		}
		c.Close()
		alive(t, b)
	})
}
