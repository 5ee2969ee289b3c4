package api

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

// Gathered is a response whose bytes are written from several places at once, so that records go from the log to the socket without another copy. Whoever
// writes it calls AppendPieces in place of AppendTo, and Release when the bytes are written or given up.
type Gathered interface {
	kmsg.Response
	// AppendPieces appends the body to head and returns the pieces that make up head and body, in order, and their length together. They are valid until
	// Release.
	AppendPieces(head []byte) ([]Piece, int)
	Release()
}

// Piece is a part of a response: bytes, or a section of a log that is read when it is its turn. Records of many partitions, read before the first is written,
// would have left the processor's caches by then.
type Piece struct {
	Bytes   []byte
	Section *commitlog.Section // nil: Bytes
}

// fetchAnswer is a FetchResponse that is written from the buffers that its records were read into, and from sections of logs.
type fetchAnswer struct {
	*kmsg.FetchResponse
	sections []*commitlog.Section // of its partitions, in order; nil where RecordBatches has the records, and behind the slice's end
	release  func()               // gives buffers and sections back
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
	records  []Piece
	sections []*commitlog.Section // of the partitions to come
	flexible bool
}

func (a *fetchAnswer) AppendPieces(head []byte) ([]Piece, int) {
	v := a.Version
	g := gather{kept: head, sections: a.sections, flexible: v >= 12}
	g.kept = kbin.AppendInt32(g.kept, a.ThrottleMillis)
	if v >= 7 {
		g.kept = kbin.AppendInt16(g.kept, a.ErrorCode)
		g.kept = kbin.AppendInt32(g.kept, a.SessionID)
	}
	g.arrayLen(len(a.Topics))
	for i := range a.Topics {
		t := &a.Topics[i]
		switch {
		case v >= fetchTopicIDs:
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
	return g.pieces()
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
	records := g.recordsOf(p)
	n := records.Len()
	if g.flexible {
		g.kept = kbin.AppendUvarint(g.kept, uint32(n)+1)
	} else {
		g.kept = kbin.AppendInt32(g.kept, int32(n))
	}
	if n > 0 {
		g.cuts = append(g.cuts, len(g.kept))
		g.records = append(g.records, records)
	}
	g.partitionTags(p)
}

// recordsOf returns the records of the partition whose turn it is.
func (g *gather) recordsOf(p *kmsg.FetchResponseTopicPartition) Piece {
	records := Piece{Bytes: p.RecordBatches}
	if len(g.sections) > 0 {
		records.Section, g.sections = g.sections[0], g.sections[1:]
	}
	return records
}

// Len is the number of the piece's bytes.
func (p *Piece) Len() int {
	if p.Section != nil {
		return p.Section.Len()
	}
	return len(p.Bytes)
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

// pieces lays everything out in order.
func (g *gather) pieces() ([]Piece, int) {
	out := make([]Piece, 0, 2*len(g.cuts)+1)
	from, total := 0, len(g.kept)
	for i, cut := range g.cuts {
		out = append(out, Piece{Bytes: g.kept[from:cut]}, g.records[i])
		from = cut
		total += g.records[i].Len()
	}
	return append(out, Piece{Bytes: g.kept[from:]}), total
}
