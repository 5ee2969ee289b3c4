package topicscan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Part is a stretch of a partition, the offsets [From, To).
type Part struct {
	Partition int32
	From, To  int64
}

// ErrSilent says that nothing came for a long time, although the end was not reached.
var ErrSilent = errors.New("the log does not answer")

const (
	// silence is how long nothing may come, neither a record nor an emptied batch, before a read gives up. A broker that starts again takes seconds.
	silence = 30 * time.Second
	// fetchWait is how long a broker holds a request that finds nothing.
	fetchWait = 500 * time.Millisecond
	// fetchBytes is what an answer holds at most, one larger batch excepted.
	fetchBytes = 4 << 20
	// retryPause is the pause before a partition is asked for again after an error.
	retryPause = 50 * time.Millisecond
)

// Bounds returns a topic's partitions from their first offset to where they end now, in order: to the last stable offset for committed, else to the high watermark.
// Partitions without offsets between the two are left out.
func Bounds(ctx context.Context, cl *kgo.Client, topic string, committed bool) ([]Part, error) {
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("bounds of topic %s: %w", topic, err)
	}
	list := adm.ListEndOffsets
	if committed {
		list = adm.ListCommittedOffsets
	}
	ends, err := list(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("bounds of topic %s: %w", topic, err)
	}
	var parts []Part
	for partition := range int32(len(ends[topic])) {
		start, _ := starts.Lookup(topic, partition)
		if end, ok := ends.Lookup(topic, partition); ok && start.Offset < end.Offset {
			parts = append(parts, Part{partition, start.Offset, end.Offset})
		}
	}
	return parts, nil
}

// Read calls fn for every record of parts, one part after the other, each in its order; with committed for those of committed transactions and of none. Records of
// control are left out. An error of fn ends the read and is returned as it is.
//
// Brokers that are away or change are waited for, while something comes at least every half a minute. Offsets that were deleted meanwhile are passed over. A topic
// that is deleted meanwhile is an error, also when it is made again.
func Read(ctx context.Context, cl *kgo.Client, topic string, committed bool, parts []Part, fn func(*kgo.Record) error) error {
	s := &scan{cl: cl, topic: topic, committed: committed, decompressor: kgo.DefaultDecompressor(), silence: silence}
	for _, p := range parts {
		if err := s.part(ctx, p, fn); err != nil {
			return err
		}
	}
	return nil
}

// scan is one read of a topic.
type scan struct {
	cl           *kgo.Client
	topic        string
	committed    bool
	decompressor kgo.Decompressor
	silence      time.Duration
	id           [16]byte // of the topic; zero before it is known, and of brokers that have none
}

// part reads one stretch.
func (s *scan) part(ctx context.Context, p Part, fn func(*kgo.Record) error) error {
	leader := int32(-1)
	var cause error // why nothing came
	for at, since := p.From, time.Now(); at < p.To; {
		if time.Since(since) > s.silence {
			return s.silent(p, at, cause)
		}
		next := at
		var records []*kgo.Record
		leader, cause = s.lead(ctx, leader, p.Partition)
		if cause == nil {
			records, next, cause = s.fetch(ctx, leader, p.Partition, at)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case cause != nil && !passing(cause):
			return fmt.Errorf("read topic %s, partition %d, offset %d: %w", s.topic, p.Partition, at, cause)
		case cause != nil:
			leader = -1
			if err := pause(ctx, retryPause); err != nil {
				return err
			}
			continue
		}
		for _, r := range records {
			if r.Offset >= p.To {
				break
			}
			if err := fn(r); err != nil {
				return err
			}
		}
		if next > at {
			at, since = next, time.Now()
		}
	}
	return nil
}

func (s *scan) silent(p Part, at int64, cause error) error {
	err := fmt.Errorf("read topic %s, partition %d: %w: nothing came for %v at offset %d, the end is at %d", s.topic, p.Partition, ErrSilent, s.silence, at, p.To)
	if cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// fetch asks a partition's leader for what follows an offset. It returns the records and the offset behind all that was answered, which moves without records too.
func (s *scan) fetch(ctx context.Context, leader, partition int32, at int64) ([]*kgo.Record, int64, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(fetchWait.Milliseconds()), 1, fetchBytes
	level := kgo.ReadUncommitted()
	if s.committed {
		level, req.IsolationLevel = kgo.ReadCommitted(), 1
	}
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = partition, at, fetchBytes
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID, rt.Partitions = s.topic, s.id, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	answer, err := s.cl.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, at, err
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return nil, at, fmt.Errorf("broker %d answered a fetch with %T", leader, answer)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, at, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 { // a broker that holds a client back leaves all out
		return nil, at, nil
	}
	got := &resp.Topics[0].Partitions[0]
	if got.ErrorCode == kerr.OffsetOutOfRange.Code {
		next, err := s.start(ctx, partition, at)
		return nil, next, err
	}
	read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: at, IsolationLevel: level, Topic: s.topic, Partition: partition}, got, s.decompressor, nil)
	if said := (*kerr.Error)(nil); read.Err != nil && !errors.As(read.Err, &said) {
		return nil, at, fmt.Errorf("%w: %w", errDamaged, read.Err)
	}
	return read.Records, next, read.Err
}

// start returns where a partition begins that has deleted what lay at an offset.
func (s *scan) start(ctx context.Context, partition int32, at int64) (int64, error) {
	starts, err := kadm.NewClient(s.cl).ListStartOffsets(ctx, s.topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return at, err
	}
	if start, ok := starts.Lookup(s.topic, partition); ok && start.Offset > at {
		return start.Offset, nil
	}
	return at, fmt.Errorf("its log ends before that: %w", kerr.OffsetOutOfRange)
}

// lead returns known, or finds a partition's leader.
func (s *scan) lead(ctx context.Context, known, partition int32) (int32, error) {
	if known >= 0 {
		return known, nil
	}
	req := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = kmsg.StringPtr(s.topic)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, s.cl)
	if err != nil {
		return -1, err
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.Topic == nil || *t.Topic != s.topic {
			continue
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return -1, err
		}
		if s.id == [16]byte{} {
			s.id = t.TopicID
		}
		if s.id != t.TopicID {
			return -1, errAnew
		}
		for _, p := range t.Partitions {
			if p.Partition == partition && p.Leader >= 0 {
				return p.Leader, nil
			}
		}
	}
	return -1, kerr.LeaderNotAvailable
}

var (
	errAnew    = errors.New("the topic was deleted and made again")
	errDamaged = errors.New("the answer cannot be read")
)

// passing tells whether asking again may help. Of the errors that are no broker's, those of connections.
func passing(err error) bool {
	for _, lasting := range []error{errAnew, errDamaged, kgo.ErrClientClosed, kerr.OffsetOutOfRange} {
		if errors.Is(err, lasting) {
			return false
		}
	}
	var said *kerr.Error
	return !errors.As(err, &said) || said.Retriable
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
