package place

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Drain finds out when an application has counted everything: its group has committed the end of its topics, and the transactions that wrote its results are complete.
// That is known to the log, so it holds with any number of instances, in this process and in others.
type Drain struct {
	Cluster *Cluster
	Group   string
	Stages  []string // topics that the application reads, in the order of the topology: what is counted of one is written to the next
	Results []string // topics that it writes at the end
}

// PollInterval is how often the log is asked. Each look costs a few requests.
const PollInterval = 100 * time.Millisecond

// Wait returns when all is counted. The input must be complete. A look that fails is repeated: a broker may be away for a while, and whoever runs the application
// is told so by the application.
func (d *Drain) Wait(ctx context.Context) error {
	cl, err := d.Cluster.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	tick := time.NewTicker(PollInterval)
	defer tick.Stop()
	for {
		if done, err := d.look(ctx, cl, adm); done && err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look asks once. The order matters: the end of a stage is final only when the stage before it is used up.
func (d *Drain) look(ctx context.Context, cl *kgo.Client, adm *kadm.Client) (bool, error) {
	for _, topic := range d.Stages {
		ends, settled, err := endsOf(ctx, adm, topic)
		if err != nil || !settled {
			return false, err
		}
		committed, err := adm.FetchOffsetsForTopics(ctx, d.Group, topic)
		if err != nil {
			return false, err
		}
		for partition, end := range ends {
			at := int64(0)
			if o, ok := committed.Lookup(topic, partition); ok && o.Err == nil && o.At > 0 {
				at = o.At
			}
			if at >= end.end {
				continue
			}
			// Behind the last record counted there may be markers only.
			if more, err := dataIn(ctx, cl, topic, partition, max(at, end.start), end.end); more || err != nil {
				return false, err
			}
		}
	}
	for _, topic := range d.Results {
		if _, settled, err := endsOf(ctx, adm, topic); err != nil || !settled {
			return false, err
		}
	}
	return true, nil
}

type bounds struct{ start, end int64 }

// endsOf returns the bounds of a topic's partitions that have records, and whether no transaction is open in any.
func endsOf(ctx context.Context, adm *kadm.Client, topic string) (map[int32]bounds, bool, error) {
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, false, err
	}
	stable, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, false, err
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, false, err
	}
	for _, listed := range []kadm.ListedOffsets{starts, stable, ends} {
		if err := listed.Error(); err != nil {
			return nil, false, err
		}
	}
	all := map[int32]bounds{}
	settled := len(ends[topic]) > 0
	for partition, end := range ends[topic] {
		settled = settled && stable[topic][partition].Offset == end.Offset
		if start := starts[topic][partition].Offset; start < end.Offset {
			all[partition] = bounds{start, end.Offset}
		}
	}
	return all, settled, nil
}
