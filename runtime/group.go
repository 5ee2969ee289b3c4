package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/runtime/internal/assign"
)

// protocolName is the name of the assignment protocol in the group. Claims and grants travel as the user data of Kafka's own consumer protocol, so that Kafka's tools
// can show which partitions a member has.
const protocolName = "millrace"

// balancer is the seam between franz-go's group membership and package assign. kgo calls it on its group goroutine, one call at a time.
type balancer struct {
	app           *App
	process       string
	transactional string

	mu    sync.Mutex
	grant assign.Grant // the last one; guarded by mu
	again bool         // a grant was taken in before; guarded by mu
}

func (b *balancer) latest() assign.Grant {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.grant
}

// unfinished reports whether the member's first grant is one that withholds tasks from it. A static member that was killed before it could join without them gets that
// grant again when it comes back, without a rebalance; nobody would run those tasks if it did not ask for one now.
func (b *balancer) unfinished() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := !b.again
	b.again = true
	return first && b.grant.Withheld
}

func (b *balancer) ProtocolName() string { return protocolName }
func (b *balancer) IsCooperative() bool  { return true }

// JoinGroupMetadata says what this member has.
func (b *balancer) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	last := b.latest()
	claim := assign.Claim{
		Process: b.process, TransactionalID: b.transactional, Fingerprint: b.app.topo.Fingerprint(),
		Generation: -1, Owned: b.app.tasksOf(current), Former: last.Former,
	}
	if last.Generation > 0 {
		claim.Generation = last.Generation
	}
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version = 2
	meta.Topics = topics
	meta.UserData = claim.Append(nil)
	meta.Generation = generation
	for topic, partitions := range current {
		owned := kmsg.NewConsumerMemberMetadataOwnedPartition()
		owned.Topic, owned.Partitions = topic, partitions
		meta.OwnedPartitions = append(meta.OwnedPartitions, owned)
	}
	slices.SortFunc(meta.OwnedPartitions, func(x, y kmsg.ConsumerMemberMetadataOwnedPartition) int {
		return strings.Compare(x.Topic, y.Topic)
	})
	return meta.AppendTo(nil)
}

// ParseSyncAssignment takes in the grant.
func (b *balancer) ParseSyncAssignment(bytes []byte) (map[string][]int32, error) {
	assigned := make(map[string][]int32)
	if len(bytes) == 0 { // the leader knew nothing of this member
		b.mu.Lock()
		b.grant.Tasks, b.grant.Fence = nil, nil
		b.mu.Unlock()
		return assigned, nil
	}
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(bytes); err != nil {
		return nil, fmt.Errorf("runtime: assignment of group %s: %w", b.app.cfg.AppID, err)
	}
	grant, err := assign.ParseGrant(a.UserData)
	if err != nil {
		return nil, b.app.fatal(fmt.Errorf("runtime: assignment of group %s: %w", b.app.cfg.AppID, err))
	}
	if grant.Refused != "" {
		return nil, b.app.fatal(fmt.Errorf("runtime: application %s: %s", b.app.cfg.AppID, grant.Refused))
	}
	b.mu.Lock()
	b.grant = grant
	b.mu.Unlock()
	for _, t := range a.Topics {
		assigned[t.Topic] = t.Partitions
	}
	return assigned, nil
}

// MemberBalancer reads the members' claims; this member leads the group.
func (b *balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	g := &groupLeader{b: b}
	topics := make(map[string]struct{})
	for i := range members {
		m := &members[i]
		var meta kmsg.ConsumerMemberMetadata
		if err := meta.ReadFrom(m.ProtocolMetadata); err != nil {
			return nil, nil, fmt.Errorf("runtime: group %s: subscription of member %s: %w", b.app.cfg.AppID, m.MemberID, err)
		}
		claim, err := assign.ParseClaim(meta.UserData)
		if err != nil {
			return nil, nil, fmt.Errorf("runtime: group %s: member %s: %w", b.app.cfg.AppID, m.MemberID, err)
		}
		g.members = append(g.members, assign.Member{ID: m.MemberID, Claim: claim})
		for _, t := range meta.Topics {
			topics[t] = struct{}{}
		}
	}
	return g, topics, nil
}

// groupLeader makes one assignment.
type groupLeader struct {
	b          *balancer
	members    []assign.Member
	generation int32
}

func (g *groupLeader) SetBalanceInfo(info kgo.BalanceInfo) { g.generation = info.Generation }

// Balance is not called: BalanceOrError is.
func (g *groupLeader) Balance(topics map[string]int32) kgo.IntoSyncAssignment {
	into, _ := g.BalanceOrError(topics)
	return into
}

func (g *groupLeader) BalanceOrError(topics map[string]int32) (kgo.IntoSyncAssignment, error) {
	app := g.b.app
	for topic, n := range topics {
		if want, ok := app.partitions[topic]; ok && n != want {
			return nil, app.fatal(fmt.Errorf("runtime: topic %s has %d partitions now, %d when the application started: records of one key may be on two partitions; reset the application, or give it another id", topic, n, want))
		}
	}
	return &assignment{app, assign.Assign(g.members, app.plan.Tasks, app.topo.Fingerprint(), g.generation)}, nil
}

type assignment struct {
	app    *App
	grants map[string]assign.Grant
}

func (a *assignment) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	var all []kmsg.SyncGroupRequestGroupAssignment
	for id, grant := range a.grants {
		m := kmsg.NewConsumerMemberAssignment()
		m.Version = 1
		byTopic := a.app.inputsOf(grant.Tasks)
		for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
			t := kmsg.NewConsumerMemberAssignmentTopic()
			t.Topic, t.Partitions = topic, byTopic[topic]
			m.Topics = append(m.Topics, t)
		}
		m.UserData = grant.Append(nil)
		s := kmsg.NewSyncGroupRequestGroupAssignment()
		s.MemberID, s.MemberAssignment = id, m.AppendTo(nil)
		all = append(all, s)
	}
	slices.SortFunc(all, func(x, y kmsg.SyncGroupRequestGroupAssignment) int {
		return strings.Compare(x.MemberID, y.MemberID)
	})
	return all
}

// tasksOf returns the tasks whose input partitions are given.
func (a *App) tasksOf(partitions map[string][]int32) []topology.TaskID {
	seen := make(map[topology.TaskID]struct{})
	for topic, ps := range partitions {
		sub, ok := a.readers[topic]
		if !ok {
			continue
		}
		for _, p := range ps {
			seen[topology.TaskID{Subtopology: sub, Partition: p}] = struct{}{}
		}
	}
	tasks := make([]topology.TaskID, 0, len(seen))
	for t := range seen {
		tasks = append(tasks, t)
	}
	slices.SortFunc(tasks, assign.CompareTasks)
	return tasks
}

// inputsOf returns the input partitions of tasks.
func (a *App) inputsOf(tasks []topology.TaskID) map[string][]int32 {
	in := make(map[string][]int32)
	for _, t := range tasks {
		for _, src := range a.shape.Subtopologies()[t.Subtopology].Sources() {
			for _, ref := range src.Topics {
				name := ref.Resolve(a.cfg.AppID)
				if t.Partition < a.partitions[name] && !slices.Contains(in[name], t.Partition) {
					in[name] = append(in[name], t.Partition)
				}
			}
		}
	}
	for _, ps := range in {
		slices.Sort(ps)
	}
	return in
}

// groupErrors hears what ends a group session.
type groupErrors struct{ w *worker }

// hopeless are errors of a group that waiting does not cure, each with what to do.
var hopeless = []struct {
	err    error
	remedy string
}{
	{kerr.FencedInstanceID, "another process uses this instance id: give each instance its own StateDir or InstanceID"},
	{kerr.InconsistentGroupProtocol, "the group is used by other consumers: choose an application id that is no consumer group"},
	{kerr.GroupAuthorizationFailed, "allow the application to read its group"},
	{kerr.GroupMaxSizeReached, "the group has as many members as group.max.size allows"},
	{kerr.InvalidSessionTimeout, "choose a SessionTimeout between the broker's group.min.session.timeout.ms and group.max.session.timeout.ms"},
	{kerr.InvalidGroupID, "choose another application id"},
}

// OnGroupManageError implements kgo.HookGroupManageError.
func (h groupErrors) OnGroupManageError(err error) {
	for _, e := range hopeless {
		if errors.Is(err, e.err) {
			h.w.app.fatal(fmt.Errorf("runtime: group %s: %w: %s", h.w.app.cfg.AppID, err, e.remedy))
			return
		}
	}
	h.w.trouble(fmt.Errorf("group %s: %w", h.w.app.cfg.AppID, err))
}

// groupOptions are those of the worker's client that make it a member.
func (w *worker) groupOptions() []kgo.Opt {
	cfg := &w.app.cfg
	opts := []kgo.Opt{
		kgo.ConsumerGroup(cfg.AppID),
		kgo.ConsumeTopics(slices.Sorted(maps.Keys(w.app.readers))...),
		kgo.Balancers(w.balancer),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.RebalanceTimeout(max(cfg.SessionTimeout, cfg.TransactionTimeout) * 2),
		kgo.HeartbeatInterval(cfg.HeartbeatInterval),
		kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, _ map[string][]int32) {
			w.assigned()
			if w.balancer.unfinished() {
				cl.ForceRebalance()
			}
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { w.revoked(lost) }),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { w.lost() }),
		// Tasks ask for their offsets and fetch for themselves: the client is only a member and gets nothing to fetch.
		kgo.AdjustFetchOffsetsFn(func(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			return map[string]map[int32]kgo.Offset{}, nil
		}),
		kgo.WithHooks(groupErrors{w}),
	}
	if id := w.instanceID(); id != nil {
		opts = append(opts, kgo.InstanceID(*id))
	}
	return opts
}
