package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// rawInFlight is how many requests a raw connection has on the way.
const rawInFlight = 5

// brokerRaw writes ready-made batches, the same bytes again and again: the client costs next to nothing, so that the broker is what is measured.
func brokerRaw(ctx context.Context, b *bench) error {
	for _, kib := range []int64{1, 16, 100} {
		bytes := b.size(rawBytes(kib), 4<<20)
		err := b.onEach(ctx, fmt.Sprintf("broker-raw, batches of %d KiB", kib), "batches", func(ctx context.Context, s *system) (measure, error) {
			c := s.cluster(b)
			topic := c.name("raw")
			if err := c.open(ctx, topic, 1); err != nil {
				return measure{}, err
			}
			defer c.drop(ctx, topic)
			return rawProduce(ctx, s, rawLoad{topic: topic, partitions: 1, batch: kib << 10, bytes: bytes})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rawBytes is what takes a few seconds in batches of that size.
func rawBytes(kib int64) int64 {
	switch {
	case kib >= 64:
		return 2_000_000_000
	case kib >= 8:
		return 500_000_000
	}
	return 60_000_000
}

// rawLoad says what to write.
type rawLoad struct {
	topic      string
	partitions int32
	batch      int64 // bytes of a batch, about
	bytes      int64 // in all
}

// rawProduce writes batches over one connection, acks=all, and returns when all are acknowledged.
func rawProduce(ctx context.Context, s *system, load rawLoad) (measure, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return measure{}, err
	}
	defer conn.Close()
	stopClosing := context.AfterFunc(ctx, func() { conn.Close() })
	defer stopClosing()
	batch := readyBatch(load.batch)
	frames := make([][]byte, load.partitions)
	for i := range frames {
		frames[i] = produceFrame(load.topic, int32(i), batch)
	}
	n := max(load.bytes/int64(len(batch)), 1)
	slots := make(chan struct{}, rawInFlight)
	failed := make(chan error, 1)
	began := start()
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range n {
			slots <- struct{}{}
			if _, err := conn.Write(frames[i%int64(len(frames))]); err != nil {
				failed <- err
				conn.Close() // the reader waits for an answer that will not come
				return
			}
		}
	})
	answers := bufio.NewReader(conn)
	for i := int64(0); i < n && err == nil; i++ {
		err = readAcknowledgement(answers)
		<-slots
	}
	if err != nil {
		conn.Close()
		for drained := false; !drained; { // the writer may wait for a slot
			select {
			case <-slots:
			default:
				drained = true
			}
		}
	}
	writer.Wait()
	select {
	case cause := <-failed:
		err = errors.Join(err, cause)
	default:
	}
	m := began.stop(n, n*int64(len(batch)))
	return m, err
}

// readyBatch is a batch of about size bytes, of records of valueBytes without keys.
func readyBatch(size int64) []byte {
	var w record.Builder
	now := time.Now().UnixMilli()
	for i, values := 0, someValues(); ; i++ {
		v := values[i%len(values)]
		if i > 0 && int64(w.Len()+record.MaxRecordSize(nil, v, nil)) > size {
			break
		}
		w.AppendRecord(now, nil, v, nil)
	}
	return w.Finish(record.NoProducer, 0, record.None)
}

// rawVersion is the version of Produce that is written by hand: the first flexible one.
const rawVersion = 9

func produceFrame(topic string, partition int32, batch []byte) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(rawVersion)
	req.Acks, req.TimeoutMillis = -1, 30_000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("benchmarks")).AppendRequest(nil, req, 1)
}

// readAcknowledgement reads one answer and returns what it says is wrong.
func readAcknowledgement(r *bufio.Reader) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r, frame); err != nil {
		return err
	}
	if len(frame) < 5 {
		return fmt.Errorf("an answer of %d bytes", len(frame))
	}
	resp := kmsg.NewPtrProduceResponse()
	resp.SetVersion(rawVersion)
	if err := resp.ReadFrom(frame[5:]); err != nil { // behind the correlation id and no tags
		return err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if err := kerr.ErrorForCode(resp.Topics[i].Partitions[j].ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}
