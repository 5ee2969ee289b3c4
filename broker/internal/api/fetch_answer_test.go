package api

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/internal/record"
)

func TestFetchAnswersAreEncodedAsTheMessageIs(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for version := int16(4); version <= 18; version++ {
		for range 50 {
			resp := randomFetchResponse(r, version)
			a := &fetchAnswer{FetchResponse: resp}
			pieces, n := a.AppendPieces([]byte("head"))
			var got []byte
			for _, p := range pieces {
				got = append(got, p.Bytes...)
			}
			want := resp.AppendTo([]byte("head"))
			if !bytes.Equal(got, want) || n != len(want) {
				t.Fatalf("version %d, %d bytes said:\nhave %x\nwant %x", version, n, got, want)
			}
		}
	}
}

func randomFetchResponse(r *rand.Rand, version int16) *kmsg.FetchResponse {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = version
	resp.ErrorCode, resp.SessionID = int16(r.IntN(100)), r.Int32()
	for range r.IntN(4) {
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic = "topic"[:r.IntN(6)]
		topic.TopicID[r.IntN(16)] = byte(r.IntN(256))
		for range r.IntN(4) {
			topic.Partitions = append(topic.Partitions, randomFetchPartition(r))
		}
		resp.Topics = append(resp.Topics, topic)
	}
	rack := "r"
	for version >= fetchLeaderHints && len(resp.Brokers) < r.IntN(3) {
		resp.Brokers = append(resp.Brokers, kmsg.FetchResponseBroker{NodeID: r.Int32(), Host: "h", Port: 9, Rack: []*string{nil, &rack}[r.IntN(2)]})
	}
	return resp
}

func randomFetchPartition(r *rand.Rand) kmsg.FetchResponseTopicPartition {
	p := kmsg.NewFetchResponseTopicPartition()
	p.Partition, p.ErrorCode = r.Int32(), int16(r.IntN(100))
	p.HighWatermark, p.LastStableOffset, p.LogStartOffset = r.Int64(), r.Int64(), r.Int64()
	p.RecordBatches = bytes.Repeat([]byte{7}, r.IntN(200))
	if r.IntN(2) == 0 {
		p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
		for range r.IntN(3) {
			p.AbortedTransactions = append(p.AbortedTransactions, kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: r.Int64(), FirstOffset: r.Int64()})
		}
	}
	if r.IntN(3) == 0 {
		p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = r.Int32(), r.Int64()
	}
	if r.IntN(3) == 0 {
		p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = r.Int32(), r.Int32()
	}
	return p
}

// TestSectionsTakeThePlaceOfRecords: with some records in a section of a log, the answer is the same.
func TestSectionsTakeThePlaceOfRecords(t *testing.T) {
	l, err := commitlog.Open(vfs.NewMem(), "t-0", commitlog.Config{}, commitlog.OpenOptions{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var b record.Builder
	b.AppendRecord(0, nil, make([]byte, 200_000), nil)
	batch := b.Finish(record.NoProducer, 0, record.None)
	if _, err := l.Append(batch, commitlog.AppendOptions{Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	section, ok := l.Section(0, commitlog.ReadOptions{MaxBytes: 1 << 20, UpTo: l.End()})
	if !ok {
		t.Fatal("no section")
	}
	defer section.Release()
	for version := int16(4); version <= 18; version++ {
		resp := kmsg.NewPtrFetchResponse()
		resp.Version = version
		var sections []*commitlog.Section
		for i := range 6 {
			topic := kmsg.NewFetchResponseTopic()
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.RecordBatches = int32(i), []byte("records")
			sections = append(sections, nil)
			if i%2 == 0 {
				p.RecordBatches = batch
				sections[i] = &section
			}
			topic.Partitions = append(topic.Partitions, p)
			resp.Topics = append(resp.Topics, topic)
		}
		want := resp.AppendTo([]byte("head"))
		for i := 0; i < 6; i += 2 {
			resp.Topics[i].Partitions[0].RecordBatches = []byte{}
		}
		pieces, n := (&fetchAnswer{FetchResponse: resp, sections: sections}).AppendPieces([]byte("head"))
		var got []byte
		for i := range pieces {
			if p := &pieces[i]; p.Section == nil {
				got = append(got, p.Bytes...)
			} else {
				got = append(got, batch...)
			}
		}
		if n != len(want) || !bytes.Equal(got, want) {
			t.Fatalf("version %d: %d bytes, said %d, want %d", version, len(got), n, len(want))
		}
	}
}
