package api

import (
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Gathered is a response whose bytes are written from several buffers at once, so that records go from the log's buffer to the socket without another
// copy. Whoever writes it calls AppendBuffers in place of AppendTo, and Release when the bytes are written or given up.
type Gathered interface {
	kmsg.Response
	// AppendBuffers appends the body to head and returns the buffers that hold head and body, in order, and their length together. The buffers are
	// valid until Release.
	AppendBuffers(head []byte) (net.Buffers, int)
	Release()
}

// fetchAnswer is a FetchResponse that is written from the buffers that its records were read into.
type fetchAnswer struct {
	*kmsg.FetchResponse
	release func() // gives the buffers of the records back
}

// recordBuffers hold the records of one partition each. They are reused between fetches: a fetch of a megabyte would otherwise cost the collector a megabyte.
var recordBuffers = sync.Pool{New: func() any { return new([]byte) }}

// keepRecordBuffer is the largest buffer that is kept for another fetch.
const keepRecordBuffer = 2 << 20

// takeRecordBuffer returns an empty buffer of any capacity.
func takeRecordBuffer() *[]byte {
	b := recordBuffers.Get().(*[]byte)
	*b = (*b)[:0]
	return b
}

func giveRecordBuffer(b *[]byte) {
	if b != nil && cap(*b) <= keepRecordBuffer {
		recordBuffers.Put(b)
	}
}

// Release gives the buffers back.
func (a *fetchAnswer) Release() { a.release() }

// gather collects the pieces of an answer: bytes written here, with records in between.
type gather struct {
	kept     []byte // everything but the records
	cuts     []int  // lengths of kept at which a records piece goes in
	records  [][]byte
	flexible bool
}

func (a *fetchAnswer) AppendBuffers(head []byte) (net.Buffers, int) {
	v := a.Version
	g := gather{kept: head, flexible: v >= 12}
	g.kept = kbin.AppendInt32(g.kept, a.ThrottleMillis)
	if v >= 7 {
		g.kept = kbin.AppendInt16(g.kept, a.ErrorCode)
		g.kept = kbin.AppendInt32(g.kept, a.SessionID)
	}
	g.arrayLen(len(a.Topics))
	for i := range a.Topics {
		t := &a.Topics[i]
		switch {
		case v >= 13:
			g.kept = kbin.AppendUuid(g.kept, t.TopicID)
		case g.flexible:
			g.kept = kbin.AppendCompactString(g.kept, t.Topic)
		default:
			g.kept = kbin.AppendString(g.kept, t.Topic)
		}
		g.arrayLen(len(t.Partitions))
		for j := range t.Partitions {
			g.partition(v, &t.Partitions[j])
		}
		g.noTags()
	}
	g.endpoints(v, a.Brokers)
	return g.buffers()
}

func (g *gather) arrayLen(n int) {
	if g.flexible {
		g.kept = kbin.AppendCompactArrayLen(g.kept, n)
		return
	}
	g.kept = kbin.AppendArrayLen(g.kept, n)
}

func (g *gather) noTags() {
	if g.flexible {
		g.kept = append(g.kept, 0)
	}
}

func (g *gather) partition(v int16, p *kmsg.FetchResponseTopicPartition) {
	g.kept = kbin.AppendInt32(g.kept, p.Partition)
	g.kept = kbin.AppendInt16(g.kept, p.ErrorCode)
	g.kept = kbin.AppendInt64(g.kept, p.HighWatermark)
	g.kept = kbin.AppendInt64(g.kept, p.LastStableOffset)
	if v >= 5 {
		g.kept = kbin.AppendInt64(g.kept, p.LogStartOffset)
	}
	g.aborted(p.AbortedTransactions)
	if v >= 11 {
		g.kept = kbin.AppendInt32(g.kept, p.PreferredReadReplica)
	}
	if g.flexible {
		g.kept = kbin.AppendUvarint(g.kept, uint32(len(p.RecordBatches))+1)
	} else {
		g.kept = kbin.AppendInt32(g.kept, int32(len(p.RecordBatches)))
	}
	if len(p.RecordBatches) > 0 {
		g.cuts = append(g.cuts, len(g.kept))
		g.records = append(g.records, p.RecordBatches)
	}
	g.partitionTags(p)
}

func (g *gather) aborted(list []kmsg.FetchResponseTopicPartitionAbortedTransaction) {
	if list == nil {
		if g.flexible {
			g.kept = append(g.kept, 0)
		} else {
			g.kept = kbin.AppendInt32(g.kept, -1)
		}
		return
	}
	g.arrayLen(len(list))
	for i := range list {
		g.kept = kbin.AppendInt64(g.kept, list[i].ProducerID)
		g.kept = kbin.AppendInt64(g.kept, list[i].FirstOffset)
		g.noTags()
	}
}

// partitionTags writes the tagged fields that are set: 0 the diverging epoch, 1 the current leader.
func (g *gather) partitionTags(p *kmsg.FetchResponseTopicPartition) {
	if !g.flexible {
		return
	}
	diverging := p.DivergingEpoch.Epoch != -1 || p.DivergingEpoch.EndOffset != -1
	leader := p.CurrentLeader.LeaderID != -1 || p.CurrentLeader.LeaderEpoch != -1
	n := uint32(0)
	for _, set := range []bool{diverging, leader} {
		if set {
			n++
		}
	}
	g.kept = kbin.AppendUvarint(g.kept, n)
	if diverging {
		g.kept = append(g.kept, 0, 4+8+1)
		g.kept = kbin.AppendInt32(g.kept, p.DivergingEpoch.Epoch)
		g.kept = append(kbin.AppendInt64(g.kept, p.DivergingEpoch.EndOffset), 0)
	}
	if leader {
		g.kept = append(g.kept, 1, 4+4+1)
		g.kept = kbin.AppendInt32(g.kept, p.CurrentLeader.LeaderID)
		g.kept = append(kbin.AppendInt32(g.kept, p.CurrentLeader.LeaderEpoch), 0)
	}
}

// endpoints writes the response's tagged fields: 0 the addresses of leaders that were hinted at.
func (g *gather) endpoints(v int16, brokers []kmsg.FetchResponseBroker) {
	if !g.flexible {
		return
	}
	if v < fetchLeaderHints || len(brokers) == 0 {
		g.kept = append(g.kept, 0)
		return
	}
	tag := kbin.AppendCompactArrayLen(nil, len(brokers))
	for i := range brokers {
		tag = kbin.AppendInt32(tag, brokers[i].NodeID)
		tag = kbin.AppendCompactString(tag, brokers[i].Host)
		tag = kbin.AppendInt32(tag, brokers[i].Port)
		tag = append(kbin.AppendCompactNullableString(tag, brokers[i].Rack), 0)
	}
	g.kept = append(g.kept, 1, 0)
	g.kept = kbin.AppendUvarint(g.kept, uint32(len(tag)))
	g.kept = append(g.kept, tag...)
}

// buffers lays the pieces out in order.
func (g *gather) buffers() (net.Buffers, int) {
	out := make(net.Buffers, 0, 2*len(g.cuts)+1)
	from, total := 0, len(g.kept)
	for i, cut := range g.cuts {
		out = append(out, g.kept[from:cut], g.records[i])
		from = cut
		total += len(g.records[i])
	}
	return append(out, g.kept[from:]), total
}
