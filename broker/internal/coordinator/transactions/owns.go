package transactions

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// Part is what a transaction has in one partition, as that partition's log tells it: without a transactional id.
type Part struct {
	txn.ProducerID
	txn.TopicPartition
}

// Owns says for each part whether a transaction that is open or ending has it. A log that was open before the question and is still open, unchanged,
// after a no is open for good: a partition enters a transaction before its log opens one, and leaves it after the log has its marker. Owns fails when this
// broker does not coordinate every transactional id, or cannot read what it coordinates: then a no would say nothing.
func (c *Coordinator) Owns(ctx context.Context, parts []Part) ([]bool, error) {
	owned := make([]bool, len(parts))
	for number := range c.cfg.Partitions() {
		shard, err := c.set.Shard(number)
		if err != nil {
			return nil, err
		}
		var unreadable error
		err = shard.Do(ctx, func(m *machine, _ time.Time, _ *coordinator.Writer) {
			switch newer, err := m.Unreadable(); {
			case err != nil:
				unreadable = fmt.Errorf("transactions: %s-%d: %w", Topic, number, err)
			case newer > 0:
				unreadable = fmt.Errorf("transactions: %s-%d has %d records of a newer program", Topic, number, newer)
			}
			for i, p := range parts {
				owned[i] = owned[i] || m.Owns(p.ProducerID, p.TopicPartition)
			}
		})
		if err != nil {
			return nil, err
		}
		if unreadable != nil {
			return nil, unreadable
		}
	}
	return owned, nil
}
