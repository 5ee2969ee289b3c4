package place

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/topicscan"
)

// ReadTopic calls fn with every committed record of a topic, partition by partition in order, as far as it goes now.
func ReadTopic(ctx context.Context, c *Cluster, topic string, fn func(*kgo.Record) error) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	parts, err := topicscan.Bounds(ctx, cl, topic, true)
	if err != nil {
		return err
	}
	return topicscan.Read(ctx, cl, topic, true, parts, func(r *kgo.Record) error {
		if err := fn(r); err != nil {
			return fmt.Errorf("read topic %s, partition %d, offset %d: %w", topic, r.Partition, r.Offset, err)
		}
		return nil
	})
}

// errFound ends a read that looks for any record.
var errFound = errors.New("there is one")

// dataIn tells whether a partition has a committed record in [from, to), besides the markers that end transactions and records of aborted ones.
func dataIn(ctx context.Context, cl *kgo.Client, topic string, partition int32, from, to int64) (bool, error) {
	stretch := []topicscan.Part{{Partition: partition, From: from, To: to}}
	err := topicscan.Read(ctx, cl, topic, true, stretch, func(*kgo.Record) error { return errFound })
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}
