package groups

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/broker/internal/group"
)

// ConsumerHeartbeat joins, keeps or sees off a member of a consumer group. Unlike a classic heartbeat it is answered when all that
// it tells is in the log: a member that owns a partition owns it for the next coordinator as well.
func (c *Coordinator) ConsumerHeartbeat(ctx context.Context, r *group.ConsumerHeartbeatRequest) *group.ConsumerHeartbeatResponse {
	var resp *group.ConsumerHeartbeatResponse
	err := c.do(ctx, r.Group, func(m *group.Machine, now time.Time) (res group.Result) {
		res, resp = m.ConsumerHeartbeat(now, r)
		return res
	})
	if err != nil {
		return &group.ConsumerHeartbeatResponse{Err: err}
	}
	return resp
}

// DescribeConsumer shows a consumer group.
func (c *Coordinator) DescribeConsumer(ctx context.Context, groupID string) group.ConsumerDescription {
	var d group.ConsumerDescription
	err := c.do(ctx, groupID, func(m *group.Machine, _ time.Time) (none group.Result) {
		d = m.DescribeConsumer(groupID)
		return none
	})
	if err != nil {
		return group.ConsumerDescription{Err: err, Group: groupID}
	}
	return d
}
