package group

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kerr"
)

// offset is one committed offset.
type offset struct {
	at          int64
	leaderEpoch int32 // -1: unknown
	metadata    string
	committed   time.Time
	expires     time.Time // zero: by the group's rule
	topicID     [16]byte  // zero: unknown
	seq         uint64    // its place among all offsets applied, the log's order
}

func (g *group) setOffset(p Partition, o offset) {
	if g.offsets == nil {
		g.offsets = map[string]map[int32]offset{}
	}
	byPartition := g.offsets[p.Topic]
	if byPartition == nil {
		byPartition = map[int32]offset{}
		g.offsets[p.Topic] = byPartition
	}
	byPartition[p.Partition] = o
}

func (g *group) deleteOffset(p Partition) {
	delete(g.offsets[p.Topic], p.Partition)
	if len(g.offsets[p.Topic]) == 0 {
		delete(g.offsets, p.Topic)
	}
}

// Commit stores offsets, at once or, with a producer, when the marker of its transaction comes. An error concerns the whole
// request; otherwise every offset has its own.
func (m *Machine) Commit(now time.Time, r *CommitRequest) (Result, error) {
	m.begin(now)
	g, err := m.checkCommit(r)
	if err != nil {
		return m.end(nil), err
	}
	for i := range r.Offsets {
		c := &r.Offsets[i]
		c.Err = nil
		if len(c.Metadata) > m.cfg.MaxOffsetMetadata {
			c.Err = kerr.OffsetMetadataTooLarge
			continue
		}
		o := offset{at: c.Offset, leaderEpoch: c.LeaderEpoch, metadata: c.Metadata, committed: now, topicID: c.TopicID}
		if r.Retention > 0 {
			o.expires = now.Add(r.Retention)
		}
		m.write(m.enc.offset(r.Group, Partition{c.Topic, c.Partition}, &o), r.Producer)
		m.tally.Commits++
	}
	if g == nil {
		g = m.groups[r.Group] // the commit made it
	}
	return m.end(g), nil
}

// checkCommit finds the group, nil if the commit makes it, and says whether the sender may commit.
func (m *Machine) checkCommit(r *CommitRequest) (*group, error) {
	transactional := !r.Producer.None()
	g := m.groups[r.Group]
	if g != nil && g.consumer != nil {
		return g, g.consumer.checkCommit(g.id, r)
	}
	if g == nil {
		if r.Generation < 0 {
			return nil, nil // an admin, or a consumer without group management
		}
		if r.MissingGroup != nil {
			return nil, r.MissingGroup
		}
		return nil, kerr.IllegalGeneration
	}
	if r.Generation < 0 && g.state == Empty {
		return g, nil
	}
	if r.Generation < 0 && r.MemberID == "" && r.InstanceID == nil {
		if !transactional {
			return nil, kerr.UnknownMemberID
		}
		return g, nil // transactional producers of old versions do not say who they are
	}
	mb, err := g.check(r.MemberID, r.InstanceID)
	switch {
	case err != nil:
		return nil, err
	case r.Generation != g.generation:
		return nil, kerr.IllegalGeneration
	case g.state == CompletingRebalance && !transactional:
		return nil, kerr.RebalanceInProgress
	case !transactional:
		m.extend(mb)
	}
	return g, nil
}

// Fetch returns the committed offsets of the partitions asked for, in their order: offset -1 where there is none, also for
// a group that never was. With stable, a partition for which a transaction has not ended is UNSTABLE_OFFSET_COMMIT.
func (m *Machine) Fetch(groupID string, partitions []Partition, stable bool) []FetchedOffset {
	g := m.groups[groupID]
	out := make([]FetchedOffset, len(partitions))
	for i, p := range partitions {
		out[i] = g.fetch(p, stable)
	}
	return out
}

// FetchAll returns all of the group's committed offsets, by topic and partition.
func (m *Machine) FetchAll(groupID string, stable bool) []FetchedOffset {
	g := m.groups[groupID]
	if g == nil {
		return nil
	}
	var out []FetchedOffset
	for _, p := range g.partitions() {
		out = append(out, g.fetch(p, stable))
	}
	return out
}

func (g *group) fetch(p Partition, stable bool) FetchedOffset {
	f := FetchedOffset{Partition: p, Offset: -1, LeaderEpoch: -1}
	if g == nil {
		return f
	}
	if stable && g.pending[p] > 0 {
		f.Err = kerr.UnstableOffsetCommit
		return f
	}
	if o, ok := g.offsets[p.Topic][p.Partition]; ok {
		f.Offset, f.LeaderEpoch, f.Metadata, f.TopicID = o.at, o.leaderEpoch, o.metadata, o.topicID
	}
	return f
}

// partitions are those with a committed offset, in order.
func (g *group) partitions() []Partition {
	var all []Partition
	for topic, byPartition := range g.offsets {
		for partition := range byPartition {
			all = append(all, Partition{topic, partition})
		}
	}
	slices.SortFunc(all, comparePartitions)
	return all
}

func comparePartitions(a, b Partition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}

// forgetOffset writes that an offset is gone.
func (m *Machine) forgetOffset(g *group, p Partition) {
	m.write(entry.Record{Key: m.enc.offsetKey(g.id, p)}, entry.NoProducer())
}

// groupIDs are all groups, in order.
func (m *Machine) groupIDs() []string { return slices.Sorted(maps.Keys(m.groups)) }
