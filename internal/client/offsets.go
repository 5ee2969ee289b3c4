package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// Member is a member of a group at one generation: what fences the offsets that it commits.
type Member struct {
	Group      string
	ID         string
	Generation int32
	InstanceID *string // static membership; nil without
}

// Offset is a consumed position: everything before At has been dealt with.
type Offset struct {
	Topic     string
	TopicID   TopicID
	Partition int32
	At        int64
	Epoch     int32 // leader epoch of the last record consumed, -1 when not known
	Metadata  string
}

// byTopic calls topic for each run of offsets of one topic and partition for each offset. Offsets of a topic stand together.
func byTopic(offsets []Offset, topic func(o *Offset), partition func(o *Offset)) {
	for i := range offsets {
		if o := &offsets[i]; i == 0 || o.Topic != offsets[i-1].Topic {
			topic(o)
		}
		partition(&offsets[i])
	}
}

func txnOffsets(transactionalID string, id record.Producer, m Member, offsets []Offset) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = transactionalID, int64(id.ID), int16(id.Epoch)
	req.Group, req.MemberID, req.Generation, req.InstanceID = m.Group, m.ID, m.Generation, m.InstanceID
	byTopic(offsets, func(o *Offset) {
		rt := kmsg.NewTxnOffsetCommitRequestTopic()
		rt.Topic, rt.TopicID = o.Topic, o.TopicID
		req.Topics = append(req.Topics, rt)
	}, func(o *Offset) {
		rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = o.Partition, o.At, o.Epoch, &o.Metadata
		rt := &req.Topics[len(req.Topics)-1]
		rt.Partitions = append(rt.Partitions, rp)
	})
	return req
}

// CommitOffsets commits offsets outside a transaction.
func CommitOffsets(ctx context.Context, cl *kgo.Client, m Member, offsets []Offset, limit time.Duration) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation, req.InstanceID = m.Group, m.ID, m.Generation, m.InstanceID
	byTopic(offsets, func(o *Offset) {
		rt := kmsg.NewOffsetCommitRequestTopic()
		rt.Topic, rt.TopicID = o.Topic, o.TopicID
		req.Topics = append(req.Topics, rt)
	}, func(o *Offset) {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = o.Partition, o.At, o.Epoch, &o.Metadata
		rt := &req.Topics[len(req.Topics)-1]
		rt.Partitions = append(rt.Partitions, rp)
	})
	err := retry(ctx, limit, func() error {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
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
	})
	if err != nil {
		return fmt.Errorf("client: offsets of group %s: %w", m.Group, txnError(err))
	}
	return nil
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Committed is what a group has committed for a partition. At is -1 when there is nothing.
type Committed struct {
	At       int64
	Epoch    int32
	Metadata string
}

// FetchOffsets returns the committed offsets of partitions. With stable it waits, up to limit, until no transaction has offsets of them pending; without, it returns what was
// committed before such a transaction.
func FetchOffsets(ctx context.Context, cl *kgo.Client, topics *Topics, group string, parts []TopicPartition, stable bool, limit time.Duration) (map[TopicPartition]Committed, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = stable
	rg := kmsg.NewOffsetFetchRequestGroup()
	rg.Group = group
	names := map[TopicID]string{}
	for _, tp := range parts {
		i := len(rg.Topics) - 1
		if i < 0 || rg.Topics[i].Topic != tp.Topic {
			info, err := topics.Get(ctx, tp.Topic)
			if err != nil {
				return nil, fmt.Errorf("client: topic %s: %w", tp.Topic, err)
			}
			names[info.ID] = tp.Topic
			rt := kmsg.NewOffsetFetchRequestGroupTopic()
			rt.Topic, rt.TopicID = tp.Topic, info.ID
			rg.Topics = append(rg.Topics, rt)
			i++
		}
		rg.Topics[i].Partitions = append(rg.Topics[i].Partitions, tp.Partition)
	}
	req.Groups = append(req.Groups, rg)
	var got map[TopicPartition]Committed
	err := retry(ctx, limit, func() (err error) {
		got, err = fetchOffsets(ctx, cl, req, names)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("client: committed offsets of group %s: %w", group, err)
	}
	for _, tp := range parts {
		if _, ok := got[tp]; !ok {
			return nil, fmt.Errorf("client: committed offsets of group %s: the answer lacks partition %d of topic %s", group, tp.Partition, tp.Topic)
		}
	}
	return got, nil
}

func fetchOffsets(ctx context.Context, cl *kgo.Client, req *kmsg.OffsetFetchRequest, names map[TopicID]string) (map[TopicPartition]Committed, error) {
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	got := make(map[TopicPartition]Committed)
	for i := range resp.Groups {
		if err := kerr.ErrorForCode(resp.Groups[i].ErrorCode); err != nil {
			return nil, err
		}
		for j := range resp.Groups[i].Topics {
			rt := &resp.Groups[i].Topics[j]
			name := rt.Topic
			if name == "" {
				name = names[rt.TopicID]
			}
			for k := range rt.Partitions {
				rp := &rt.Partitions[k]
				if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
					return nil, err
				}
				c := Committed{At: rp.Offset, Epoch: rp.LeaderEpoch}
				if rp.Metadata != nil {
					c.Metadata = *rp.Metadata
				}
				got[TopicPartition{name, rp.Partition}] = c
			}
		}
	}
	return got, nil
}

// Ends are the bounds of a partition. All but Start are exclusive ends.
type Ends struct {
	Start         int64
	LastStable    int64
	HighWatermark int64
}

// Special timestamps of ListOffsets.
const (
	atEnd   = -1
	atStart = -2
)

// ListEnds asks for the bounds of a partition.
func ListEnds(ctx context.Context, cl *kgo.Client, tp TopicPartition, limit time.Duration) (Ends, error) {
	var e Ends
	for _, ask := range []struct {
		at        int64
		committed bool
		to        *int64
	}{{atEnd, true, &e.LastStable}, {atEnd, false, &e.HighWatermark}, {atStart, false, &e.Start}} {
		err := retry(ctx, limit, func() (err error) {
			*ask.to, err = listOffset(ctx, cl, tp, ask.at, ask.committed)
			return err
		})
		if err != nil {
			return Ends{}, fmt.Errorf("client: offsets of topic %s, partition %d: %w", tp.Topic, tp.Partition, err)
		}
	}
	return e, nil
}

// OffsetAt returns the first offset of a partition whose record has at least a time, in milliseconds since 1970, among those before the last stable offset; -1 when
// there is none.
func OffsetAt(ctx context.Context, cl *kgo.Client, tp TopicPartition, at int64, limit time.Duration) (offset int64, err error) {
	err = retry(ctx, limit, func() (err error) {
		offset, err = listOffset(ctx, cl, tp, max(at, 0), true)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("client: the offset of a time in topic %s, partition %d: %w", tp.Topic, tp.Partition, err)
	}
	return offset, nil
}

func listOffset(ctx context.Context, cl *kgo.Client, tp TopicPartition, at int64, committed bool) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	if committed {
		req.IsolationLevel = 1
	}
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = tp.Topic
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp = tp.Partition, at
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, errors.New("the answer does not name the partition")
	}
	a := &resp.Topics[0].Partitions[0]
	return a.Offset, kerr.ErrorForCode(a.ErrorCode)
}
