package topicscan

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// stub is a broker with one topic of one partition, whose batches are what a test says: a log server would not take some that compaction leaves.
type stub struct {
	t    *testing.T
	wait sync.WaitGroup

	mu      sync.Mutex
	id      [16]byte // of the topic
	start   int64
	end     int64
	batches []record.Batch
	asked   []int64                     // the offsets of the fetches so far
	onFetch func(at int64) (code int16) // changes the stub before a fetch is answered, with mu held; nil for nothing
}

const (
	stubTopic   = "table"
	firstOffset = -2 // asks for it as a time
)

func newStub(t *testing.T) *stub {
	s := &stub{t: t, id: [16]byte{1}}
	t.Cleanup(s.wait.Wait)
	return s
}

// add appends a batch with the given values.
func (s *stub) add(values ...string) {
	b := new(record.Builder)
	for _, v := range values {
		b.AppendRecord(0, nil, []byte(v), nil)
	}
	s.append(b.Finish(record.NoProducer, 0, record.None))
}

// addEmptied appends a batch of n offsets whose records compaction has taken away.
func (s *stub) addEmptied(n int) {
	whole := new(record.Builder)
	for range n {
		whole.AppendRecord(0, nil, nil, nil)
	}
	s.append(new(record.Builder).FinishAs(whole.Finish(record.NoProducer, 0, record.None), 0))
}

// addMarker appends the marker of a transaction.
func (s *stub) addMarker() {
	s.append(new(record.Builder).FinishMarker(0, 7, 0, record.Marker{Type: record.CommitMarker}))
}

func (s *stub) append(b record.Batch) {
	b.SetBaseOffset(record.Offset(s.end))
	s.end = int64(b.NextOffset())
	s.batches = append(s.batches, b)
}

func (s *stub) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	s.wait.Go(func() {
		defer ours.Close()
		for s.answer(ours) == nil {
		}
	})
	return theirs, nil
}

func (s *stub) client() *kgo.Client {
	s.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers("stub:1"), kgo.Dialer(s.dial))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(cl.Close)
	return cl
}

// answer reads one request and answers it.
func (s *stub) answer(conn net.Conn) error {
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		return err
	}
	head := kbin.Reader{Src: frame}
	req := kmsg.RequestForKey(head.Int16())
	if req == nil {
		return errors.New("an unknown request")
	}
	req.SetVersion(head.Int16())
	correlation := head.Int32()
	head.NullableString() // the client's id
	if req.IsFlexible() {
		kmsg.SkipTags(&head)
	}
	if err := req.ReadFrom(head.Src); err != nil {
		return err
	}
	resp := s.respond(req)
	resp.SetVersion(req.GetVersion())
	out := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(correlation))
	if req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		out = append(out, 0)
	}
	out = resp.AppendTo(out)
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	_, err := conn.Write(out)
	return err
}

// stubKeys are the requests that the stub answers, with the newest version it knows.
var stubKeys = map[int16]int16{int16(kmsg.Fetch): 16, int16(kmsg.ListOffsets): 7, int16(kmsg.Metadata): 12, int16(kmsg.ApiVersions): 3}

func (s *stub) respond(req kmsg.Request) kmsg.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch req := req.(type) {
	case *kmsg.ApiVersionsRequest:
		resp := kmsg.NewPtrApiVersionsResponse()
		for key, version := range stubKeys {
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: key, MaxVersion: version})
		}
		return resp
	case *kmsg.MetadataRequest:
		resp := kmsg.NewPtrMetadataResponse()
		resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: 1, Host: "stub", Port: 1})
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Leader = 1
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.TopicID, topic.Partitions = kmsg.StringPtr(stubTopic), s.id, append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp
	case *kmsg.ListOffsetsRequest:
		p := kmsg.NewListOffsetsResponseTopicPartition()
		p.Offset = s.end
		if req.Topics[0].Partitions[0].Timestamp == firstOffset {
			p.Offset = s.start
		}
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic, topic.Partitions = stubTopic, append(topic.Partitions, p)
		resp := kmsg.NewPtrListOffsetsResponse()
		resp.Topics = append(resp.Topics, topic)
		return resp
	case *kmsg.FetchRequest:
		return s.fetch(req)
	}
	s.t.Errorf("the stub does not answer %T", req)
	return req.ResponseKind()
}

// fetch answers with the first batch that ends behind the offset asked for, as a broker does with large batches.
func (s *stub) fetch(req *kmsg.FetchRequest) kmsg.Response {
	at := req.Topics[0].Partitions[0].FetchOffset
	s.asked = append(s.asked, at)
	p := kmsg.NewFetchResponseTopicPartition()
	if s.onFetch != nil {
		p.ErrorCode = s.onFetch(at)
	}
	if p.ErrorCode == 0 && req.Topics[0].TopicID != s.id {
		p.ErrorCode = kerr.UnknownTopicID.Code
	}
	if p.ErrorCode == 0 && at < s.start {
		p.ErrorCode = kerr.OffsetOutOfRange.Code
	}
	p.HighWatermark, p.LastStableOffset = s.end, s.end
	for _, b := range s.batches {
		if p.ErrorCode == 0 && int64(b.NextOffset()) > at {
			p.RecordBatches = b
			break
		}
	}
	topic := kmsg.NewFetchResponseTopic()
	topic.Topic, topic.TopicID, topic.Partitions = stubTopic, s.id, append(topic.Partitions, p)
	resp := kmsg.NewPtrFetchResponse()
	resp.Topics = append(resp.Topics, topic)
	return resp
}
