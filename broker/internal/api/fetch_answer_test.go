package api

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestFetchAnswersAreEncodedAsTheMessageIs(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for version := int16(4); version <= 18; version++ {
		for range 50 {
			resp := randomFetchResponse(r, version)
			a := &fetchAnswer{FetchResponse: resp}
			parts, n := a.AppendBuffers([]byte("head"))
			got := bytes.Join(parts, nil)
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
