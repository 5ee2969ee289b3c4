package place

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readTimeout is how long a read waits for the next records of a topic that has some.
const readTimeout = 30 * time.Second

// ReadTopic calls fn with every committed record of a topic, partition by partition in order, as far as it goes now.
func ReadTopic(ctx context.Context, c *Cluster, topic string, fn func(*kgo.Record) error) error {
	cl, err := c.Client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxPartitionBytes(4<<20))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("read topic %s: %w", topic, err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("read topic %s: %w", topic, err)
	}
	left := map[int32]int64{} // partition: end of what is to be read
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(o.Topic, o.Partition)
		if start.Offset < o.Offset {
			left[o.Partition] = o.Offset
			from[o.Partition] = kgo.NewOffset().At(start.Offset)
		}
	})
	if len(left) > 0 {
		cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	}
	for len(left) > 0 {
		pollCtx, cancel := context.WithTimeout(ctx, readTimeout)
		fetches := cl.PollFetches(pollCtx)
		cancel()
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read topic %s: %w", topic, err)
		}
		for r := range fetches.RecordsAll() {
			end, wanted := left[r.Partition]
			if !wanted || r.Offset >= end {
				continue
			}
			if !r.Attrs.IsControl() {
				if err := fn(r); err != nil {
					return fmt.Errorf("read topic %s, partition %d, offset %d: %w", topic, r.Partition, r.Offset, err)
				}
			}
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if n := len(p.Records); n > 0 && p.Records[n-1].Offset+1 >= left[p.Partition] {
				delete(left, p.Partition)
			}
		})
	}
	return nil
}

// dataIn tells whether a partition has a committed record in [from, to), besides the markers that end transactions and records of aborted ones.
func dataIn(ctx context.Context, c *Cluster, topic string, partition int32, from, to int64) (bool, error) {
	cl, err := c.Client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))
	if err != nil {
		return false, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for {
		fetches := cl.PollRecords(ctx, 1000)
		if err := fetches.Err(); err != nil {
			return false, fmt.Errorf("read topic %s: %w", topic, err)
		}
		for r := range fetches.RecordsAll() {
			switch {
			case r.Offset >= to:
				return false, nil
			case !r.Attrs.IsControl():
				return true, nil
			case r.Offset+1 == to:
				return false, nil
			}
		}
	}
}
