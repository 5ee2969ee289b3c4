package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// describeConsumer shows a group that speaks the consumer protocol (KIP-848): the request that shows classic groups does not know it.
// Where nothing is committed there is no lag to tell.
func describeConsumer(ctx context.Context, adm *kadm.Client, name string) (describedGroup, error) {
	all, err := adm.DescribeConsumerGroups(ctx, name)
	if err != nil {
		return describedGroup{}, err
	}
	c := all[name]
	if c.Err != nil {
		return describedGroup{}, c.Err
	}
	d := describedGroup{Group: name, State: c.State, Protocol: c.AssignorName, Coordinator: c.Coordinator.NodeID, Members: len(c.Members)}
	committed, err := adm.FetchOffsets(ctx, name)
	if err != nil {
		return describedGroup{}, err
	}
	topics := c.AssignedPartitions()
	committed.Each(func(o kadm.OffsetResponse) { topics.Add(o.Topic, o.Partition) })
	ends, err := adm.ListEndOffsets(ctx, topics.Topics()...)
	if err != nil {
		return describedGroup{}, err
	}
	d.Offsets = []groupOffset{}
	for _, t := range topics.Sorted() {
		for _, p := range t.Partitions {
			o := groupOffset{Topic: t.Topic, Partition: p, Current: -1, LogEnd: -1, Lag: -1}
			if at, ok := committed.Lookup(t.Topic, p); ok && at.Err == nil {
				o.Current = at.At
			}
			if end, ok := ends.Lookup(t.Topic, p); ok && end.Err == nil {
				o.LogEnd = end.Offset
			}
			if o.Current >= 0 && o.LogEnd >= 0 {
				o.Lag = max(o.LogEnd-o.Current, 0)
			}
			for i := range c.Members {
				if mb := &c.Members[i]; mb.Assignment.Lookup(t.Topic, p) {
					o.Consumer, o.Host, o.Client = mb.MemberID, mb.ClientHost, mb.ClientID
				}
			}
			d.Lag += max(o.Lag, 0)
			d.Offsets = append(d.Offsets, o)
		}
	}
	return d, nil
}
