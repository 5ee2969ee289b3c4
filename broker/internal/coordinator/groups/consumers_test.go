package groups

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
)

// oneTopic is a cluster with a topic t of two partitions.
type oneTopic struct{}

var topicT = group.TopicInfo{Name: "t", ID: [16]byte{1}, Partitions: 2}

func (oneTopic) Version() uint64                               { return 1 }
func (oneTopic) Topic(name string) (group.TopicInfo, bool)     { return topicT, name == topicT.Name }
func (oneTopic) TopicByID(id [16]byte) (group.TopicInfo, bool) { return topicT, id == topicT.ID }
func (oneTopic) TopicNames() []string                          { return []string{topicT.Name} }
func (oneTopic) PartitionRacks([16]byte, int32) []string       { return nil }

func startWithTopic(l *memLog) *Coordinator {
	c := New(Config{
		Group:      group.Config{NewID: func() string { return "id" }, Topics: func() group.Metadata { return oneTopic{} }},
		Partitions: func() int32 { return 1 },
	})
	c.Lead(0, 0, l)
	return c
}

func beat(member string, epoch int32) *group.ConsumerHeartbeatRequest {
	r := &group.ConsumerHeartbeatRequest{Group: "g", MemberID: member, MemberEpoch: epoch, Rebalance: -1, RequireID: true}
	if epoch == 0 {
		r.Rebalance, r.Topics, r.Owned = time.Minute, []string{"t"}, []group.OwnedTopic{}
	}
	return r
}

// G1 beyond the coordinator's life: what a member is told that it owns, the next coordinator knows of.
func TestWhatTheLogRefusedNobodyOwns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		c := startWithTopic(log)
		defer c.Close()
		log.set(func(l *memLog) { l.refuse = errors.New("the disk is broken") })
		if b := c.ConsumerHeartbeat(ctx, beat("a", 0)); b.Err == nil || b.HasAssignment {
			t.Fatalf("a is told %+v, which nobody wrote down", b)
		}
		log.set(func(l *memLog) { l.refuse = nil })
		b := c.ConsumerHeartbeat(ctx, beat("b", 0))
		if b.Err != nil || len(b.Assignment) != 1 || len(b.Assignment[0].Partitions) != 2 {
			t.Fatalf("b is told %+v", b)
		}
		if d := c.DescribeConsumer(ctx, "g"); d.Err != nil || d.State != group.Stable || len(d.Members) != 1 || d.Members[0].ID != "b" {
			t.Fatalf("described %+v", d)
		}
	})
}

func TestConsumerSessionsEndByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		c := startWithTopic(log)
		first := c.ConsumerHeartbeat(ctx, beat("a", 0))
		if first.Err != nil {
			t.Fatal(first.Err)
		}
		c.Close()
		c = startWithTopic(log)
		defer c.Close()
		time.Sleep(44 * time.Second)
		if b := c.ConsumerHeartbeat(ctx, beat("a", first.MemberEpoch)); b.Err != nil {
			t.Fatalf("within the session that a new coordinator began a is told %v", b.Err)
		}
		time.Sleep(46 * time.Second)
		synctest.Wait()
		if d := c.DescribeConsumer(ctx, "g"); d.Err != nil || d.State != group.Empty {
			t.Errorf("after the session: %+v", d)
		}
		if b := c.ConsumerHeartbeat(ctx, beat("a", first.MemberEpoch)); !errors.Is(b.Err, kerr.UnknownMemberID) {
			t.Errorf("after the session a is told %v", b.Err)
		}
	})
}

func TestConsumerGroupsOfOthersAreNotAnswered(t *testing.T) {
	c := New(Config{Partitions: func() int32 { return 0 }, Group: group.Config{NewID: func() string { return "" }}})
	defer c.Close()
	if b := c.ConsumerHeartbeat(ctx, beat("a", 0)); !errors.Is(b.Err, kerr.NotCoordinator) {
		t.Errorf("a heartbeat is told %v", b.Err)
	}
	if d := c.DescribeConsumer(ctx, "g"); !errors.Is(d.Err, kerr.NotCoordinator) {
		t.Errorf("described %+v", d)
	}
}
