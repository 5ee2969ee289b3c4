package groups

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Commit stores offsets; r.Offsets get their own errors, besides that of the request. With a producer they count when its
// transaction commits; see CommitInTransaction for who makes sure that __consumer_offsets is part of it.
func (c *Coordinator) Commit(ctx context.Context, r *group.CommitRequest) error {
	return c.commit(ctx, r, nil)
}

// commit stores offsets if allowed, unless nil, has no objection when it is their turn.
func (c *Coordinator) commit(ctx context.Context, r *group.CommitRequest, allowed func() error) error {
	s, err := c.shardOf(r.Group)
	if err != nil {
		return err
	}
	var answer error
	step := func(m *group.Machine, now time.Time, w *coordinator.Writer) {
		if allowed != nil {
			if answer = allowed(); answer != nil {
				return
			}
		}
		var res group.Result
		res, answer = m.Commit(now, r)
		w.AppendTxn(r.Producer, res.Records...)
		c.count(res.Tally, w)
	}
	if r.Producer.None() {
		err = s.Do(ctx, step)
	} else {
		err = s.DoTxn(ctx, r.Producer, step)
	}
	if err != nil {
		return err
	}
	return answer
}

// Fetcher is who asks for offsets; the zero value but for an Epoch of -1 is nobody in particular.
type Fetcher struct {
	MemberID *string
	Epoch    int32 // the member's, in a consumer group
}

// Fetch returns the committed offsets of the partitions, in their order; all of the group's when partitions is nil.
func (c *Coordinator) Fetch(ctx context.Context, groupID string, by Fetcher, partitions []group.Partition, stable bool) ([]group.FetchedOffset, error) {
	var out []group.FetchedOffset
	var refused error
	err := c.do(ctx, groupID, func(m *group.Machine, _ time.Time) (none group.Result) {
		if refused = m.CheckFetch(groupID, by.MemberID, by.Epoch); refused != nil {
			return none
		}
		if partitions == nil {
			out = m.FetchAll(groupID, stable)
		} else {
			out = m.Fetch(groupID, partitions, stable)
		}
		return none
	})
	return out, cmp.Or(err, refused)
}

// DeleteOffsets removes committed offsets; each partition has its own error, besides that of the request.
func (c *Coordinator) DeleteOffsets(ctx context.Context, groupID string, partitions []group.Partition) ([]error, error) {
	if groupID == "" {
		return nil, kerr.InvalidGroupID
	}
	var errs []error
	var answer error
	err := c.do(ctx, groupID, func(m *group.Machine, now time.Time) (res group.Result) {
		res, errs, answer = m.DeleteOffsets(now, groupID, partitions)
		return res
	})
	if err == nil {
		err = answer
	}
	return errs, err
}

// TopicsDeleted drops the offsets that groups committed for topics which are gone. What cannot be dropped now, for a
// partition that this broker does not lead, ends with the group's retention.
func (c *Coordinator) TopicsDeleted(ctx context.Context, topics []group.Topic) {
	c.drop(ctx, func(m *group.Machine, now time.Time) group.Result { return m.TopicsDeleted(now, topics) })
}

// DropOffsets is TopicsDeleted for the start: it drops the offsets of all topics that gone says are.
func (c *Coordinator) DropOffsets(ctx context.Context, gone func(of group.Topic) bool) {
	c.drop(ctx, func(m *group.Machine, now time.Time) group.Result { return m.DropOffsets(now, gone) })
}

// drop runs a step on every partition, and waits for those that load.
func (c *Coordinator) drop(ctx context.Context, step func(*group.Machine, time.Time) group.Result) {
	for _, s := range c.set.All() {
		err := error(kerr.CoordinatorLoadInProgress)
		for errors.Is(err, kerr.CoordinatorLoadInProgress) && ctx.Err() == nil { // each try waits for a while
			err = s.Do(ctx, func(m *group.Machine, now time.Time, w *coordinator.Writer) { c.take(step(m, now), w) })
		}
		if err != nil && ctx.Err() == nil {
			c.cfg.Log.Warn("offsets of deleted topics stay until they expire", "topic", Topic, "partition", s.Partition(), "error", err)
		}
	}
}
