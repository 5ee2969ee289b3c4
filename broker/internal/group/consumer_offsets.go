package group

import "github.com/twmb/franz-go/pkg/kerr"

// checkCommit says whether a commit comes from a member at its present epoch, or for partitions that the member has had since the
// epoch that it names (KIP-1251): an epoch that is told while a commit is under way fences nobody who still owns what it commits.
func (c *consumerGroup) checkCommit(groupID string, r *CommitRequest) error {
	transactional := !r.Producer.None()
	if r.Generation < 0 && len(c.members) == 0 {
		return nil // an admin
	}
	if transactional && r.Generation == -1 && r.MemberID == "" && r.InstanceID == nil {
		return nil // transactional producers of old versions do not say who they are
	}
	mb := c.members[r.MemberID]
	stale := error(kerr.StaleMemberEpoch)
	switch {
	case mb == nil:
		return notAMember(r.MemberID, groupID)
	case mb.classic != nil || transactional:
		stale = kerr.IllegalGeneration
	case !r.KnowsEpochs:
		return kerr.UnsupportedVersion
	}
	switch {
	case r.Generation < 0 || r.Generation > mb.epoch:
		return stale
	case r.Generation == mb.epoch:
		return nil
	}
	for i := range r.Offsets {
		o := &r.Offsets[i]
		came, ok := mb.assigned.has(o.TopicID, o.Partition)
		if !ok {
			came, ok = mb.revoking.has(o.TopicID, o.Partition)
		}
		if !ok || r.Generation < came {
			return stale
		}
	}
	return nil
}

// CheckFetch says whether a member of a consumer group may rely on the offsets that it asks for: one that is at another epoch may
// not own the partitions any more. Who does not say that it is a member may read what it likes.
func (m *Machine) CheckFetch(groupID string, memberID *string, epoch int32) error {
	g := m.groups[groupID]
	if g == nil || g.consumer == nil || memberID == nil && epoch < 0 {
		return nil
	}
	mb := g.consumer.members[deref(memberID)]
	switch {
	case mb == nil:
		return notAMember(deref(memberID), groupID)
	case mb.epoch == epoch:
		return nil
	case mb.classic != nil:
		return kerr.IllegalGeneration
	}
	return kerr.StaleMemberEpoch
}
