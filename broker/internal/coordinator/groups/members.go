package groups

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Join returns when the member is in a generation, or knows why it is not.
func (c *Coordinator) Join(ctx context.Context, r *group.JoinRequest) *group.JoinResponse {
	if r.Group == "" {
		return &group.JoinResponse{Err: kerr.InvalidGroupID, Generation: -1, MemberID: r.MemberID}
	}
	a, err := c.await(ctx, r.Group, r.Taken, func(m *group.Machine, now time.Time, tok group.Token) group.Result {
		return m.Join(now, tok, r)
	})
	if err != nil {
		return &group.JoinResponse{Err: err, Generation: -1, MemberID: r.MemberID}
	}
	return a.Join
}

// Sync returns when the member has its assignment, or knows why it has none.
func (c *Coordinator) Sync(ctx context.Context, r *group.SyncRequest) *group.SyncResponse {
	if r.Group == "" {
		return &group.SyncResponse{Err: kerr.InvalidGroupID}
	}
	a, err := c.await(ctx, r.Group, r.Taken, func(m *group.Machine, now time.Time, tok group.Token) group.Result {
		return m.Sync(now, tok, r)
	})
	if err != nil {
		return &group.SyncResponse{Err: err}
	}
	return a.Sync
}

// Heartbeat extends a member's session. While the group loads, every heartbeat is fine: nobody loses its place for that.
func (c *Coordinator) Heartbeat(ctx context.Context, r *group.HeartbeatRequest) error {
	if r.Group == "" {
		return kerr.InvalidGroupID
	}
	s, err := c.shardOf(r.Group)
	if err != nil {
		return err
	}
	var answer error
	err = s.Peek(ctx, func(m *group.Machine, now time.Time) { answer = m.Heartbeat(now, r) })
	switch {
	case errors.Is(err, kerr.CoordinatorLoadInProgress):
		return nil
	case err != nil:
		return err
	}
	return answer
}

// Leave removes members; each has its own error, besides that of the request.
func (c *Coordinator) Leave(ctx context.Context, groupID string, leavers []group.LeaveMember) error {
	if groupID == "" {
		return kerr.InvalidGroupID
	}
	var answer error
	err := c.do(ctx, groupID, func(m *group.Machine, now time.Time) (res group.Result) {
		res, answer = m.Leave(now, groupID, leavers)
		return res
	})
	return cmp.Or(err, answer)
}

// Describe shows a group. Its error is GROUP_ID_NOT_FOUND for one that does not exist, or that the group cannot be reached.
func (c *Coordinator) Describe(ctx context.Context, groupID string) group.Description {
	var d group.Description
	err := c.do(ctx, groupID, func(m *group.Machine, _ time.Time) (none group.Result) {
		d = m.Describe(groupID)
		return none
	})
	if err != nil {
		return group.Description{Err: err, Group: groupID, State: group.Dead}
	}
	return d
}

// List shows the groups of all partitions that this broker leads. A partition that still loads is an error.
func (c *Coordinator) List(ctx context.Context) ([]group.Listing, error) {
	var all []group.Listing
	for _, s := range c.set.All() {
		err := s.Peek(ctx, func(m *group.Machine, _ time.Time) { all = append(all, m.List()...) })
		if err != nil && !errors.Is(err, kerr.NotCoordinator) {
			return nil, err
		}
	}
	return all, nil
}

// Survey shows how the groups of all partitions that this broker leads stand, with room for that many offsets in all. A partition that still loads is an
// error.
func (c *Coordinator) Survey(ctx context.Context, room int) ([]group.Standing, error) {
	var all []group.Standing
	for _, s := range c.set.All() {
		err := s.Peek(ctx, func(m *group.Machine, _ time.Time) {
			some := m.Survey(room)
			for i := range some {
				room -= len(some[i].Offsets)
			}
			all = append(all, some...)
		})
		if err != nil && !errors.Is(err, kerr.NotCoordinator) {
			return nil, err
		}
	}
	return all, nil
}

// Tally sums up what was done since the start.
func (c *Coordinator) Tally() group.Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.tally
}

// Delete removes a group without members, and its offsets.
func (c *Coordinator) Delete(ctx context.Context, groupID string) error {
	var answer error
	err := c.do(ctx, groupID, func(m *group.Machine, now time.Time) (res group.Result) {
		res, answer = m.Delete(now, groupID)
		return res
	})
	return cmp.Or(err, answer)
}
