package broker_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// swiftConsumers are settings that let consumer groups settle in milliseconds.
func swiftConsumers() map[string]string {
	return map[string]string{
		"group.consumer.min.heartbeat.interval.ms": "20", "group.consumer.heartbeat.interval.ms": "20", "group.consumer.assignment.interval.ms": "0",
	}
}

func TestConsumersOfTheConsumerProtocolShareATopic(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "uniform": kgo.StickyBalancer()} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.Start(t, broker.Config{Set: swiftConsumers()})
			makeTopic(t, b, "in", 6)
			var members []*member
			for i, want := range [][]int{{6}, {3, 3}, {2, 2, 2}} {
				members = append(members, consume(t, b, "g", "in", kgo.Balancers(balancer), kgo.ServerSideBalancer(), kgo.ClientID(fmt.Sprint("m", i))))
				until(t, members, shared(want...))
			}
			d, err := admin(t, b).DescribeConsumerGroups(withPatience(t), "g")
			if err != nil || d["g"].Err != nil || d["g"].AssignorName != name || len(d["g"].Members) != 3 {
				t.Errorf("described as %+v, %v", d["g"], err)
			}
			members[0].Close() // leaves
			until(t, members[1:], shared(3, 3))
			if _, err := admin(t, b).UpdatePartitions(withPatience(t), 8, "in"); err != nil {
				t.Fatal(err)
			}
			until(t, members[1:], shared(4, 4))
		})
	}
}

// consumerBeat is a heartbeat of a member of group g that subscribes to topic in.
func consumerBeat(t *testing.T, c *brokertest.Conn, member string, epoch int32, owned ...kmsg.ConsumerGroupHeartbeatRequestTopic) *kmsg.ConsumerGroupHeartbeatResponse {
	t.Helper()
	beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	beat.Group, beat.MemberID, beat.MemberEpoch, beat.Topics = "g", member, epoch, owned
	if epoch == 0 {
		beat.RebalanceTimeoutMillis, beat.SubscribedTopicNames, beat.Topics = 10_000, []string{"in"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	return ask[*kmsg.ConsumerGroupHeartbeatResponse](c, beat, 1)
}

func findGroup(t *testing.T, c *brokertest.Conn) {
	t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey = "g"
	if resp := ask[*kmsg.FindCoordinatorResponse](c, find, 3); resp.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
	}
}

func TestConsumerMembershipSurvivesTheBroker(t *testing.T) {
	b := brokertest.Start(t, broker.Config{Set: swiftConsumers()})
	makeTopic(t, b, "in", 4)
	c := b.Dial(t)
	findGroup(t, c)
	first := consumerBeat(t, c, "a", 0)
	if first.ErrorCode != 0 || first.Assignment == nil || len(first.Assignment.Topics) != 1 || len(first.Assignment.Topics[0].Partitions) != 4 {
		t.Fatalf("a joined: %+v", first)
	}
	topic := first.Assignment.Topics[0].TopicID
	b.Kill()
	c = b.Dial(t)
	if r := consumerBeat(t, c, "a", first.MemberEpoch); r.ErrorCode != 0 || r.MemberEpoch != first.MemberEpoch || r.Assignment != nil {
		t.Fatalf("after a kill a is told %+v", r)
	}
	second := consumerBeat(t, c, "b", 0)
	if second.ErrorCode != 0 || len(second.Assignment.Topics) != 0 {
		t.Fatalf("b joined: %+v", second)
	}
	// What a has to give up is as much a fact as what it has.
	told := consumerBeat(t, c, "a", first.MemberEpoch)
	if told.Assignment == nil || len(told.Assignment.Topics[0].Partitions) != 2 {
		t.Fatalf("a is told %+v", told)
	}
	kept := kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: topic, Partitions: told.Assignment.Topics[0].Partitions}
	for _, end := range []func(){b.Restart, b.Kill} {
		end()
		c = b.Dial(t)
		if r := consumerBeat(t, c, "b", second.MemberEpoch); r.ErrorCode != 0 || r.Assignment != nil {
			t.Fatalf("b gets %+v of what a has not given up", r)
		}
	}
	if r := consumerBeat(t, c, "a", first.MemberEpoch, kept); r.ErrorCode != 0 || r.MemberEpoch <= first.MemberEpoch {
		t.Fatalf("a gave up what it had to and is told %+v", r)
	}
	got := consumerBeat(t, c, "b", second.MemberEpoch)
	if got.Assignment == nil || len(got.Assignment.Topics) != 1 || slices.ContainsFunc(got.Assignment.Topics[0].Partitions, func(p int32) bool { return slices.Contains(kept.Partitions, p) }) {
		t.Fatalf("b gets %+v while a has %v", got, kept.Partitions)
	}
	b.Kill()
	if r := consumerBeat(t, b.Dial(t), "a", first.MemberEpoch); kerr.ErrorForCode(r.ErrorCode) != kerr.FencedMemberEpoch {
		t.Errorf("under its old epoch, without a word of what it owns, a is told %+v", r)
	}
}

func TestConsumerGroupsAreServedOnlyWhenTheirFeatureIs(t *testing.T) {
	t.Run("a broker that serves classic groups alone", func(t *testing.T) {
		b := brokertest.Start(t, broker.Config{Set: map[string]string{"group.coordinator.rebalance.protocols": "classic"}})
		makeTopic(t, b, "in", 1)
		c := b.Dial(t)
		findGroup(t, c)
		if r := consumerBeat(t, c, "a", 0); kerr.ErrorForCode(r.ErrorCode) != kerr.UnsupportedVersion {
			t.Errorf("joined: %+v", r)
		}
	})
	t.Run("a cluster without the feature", func(t *testing.T) {
		b := brokertest.Start(t, broker.Config{})
		makeTopic(t, b, "in", 1)
		c := b.Dial(t)
		findGroup(t, c)
		update := kmsg.NewPtrUpdateFeaturesRequest()
		off := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		off.Feature, off.MaxVersionLevel, off.UpgradeType = "group.version", 0, 2
		update.FeatureUpdates = append(update.FeatureUpdates, off)
		if r := ask[*kmsg.UpdateFeaturesResponse](c, update, 1); r.ErrorCode != 0 {
			t.Fatal(kerr.ErrorForCode(r.ErrorCode))
		}
		if r := consumerBeat(t, c, "a", 0); kerr.ErrorForCode(r.ErrorCode) != kerr.UnsupportedVersion {
			t.Errorf("joined: %+v", r)
		}
		describe := kmsg.NewPtrConsumerGroupDescribeRequest()
		describe.Groups = []string{"g"}
		if r := ask[*kmsg.ConsumerGroupDescribeResponse](c, describe, 1); kerr.ErrorForCode(r.Groups[0].ErrorCode) != kerr.UnsupportedVersion {
			t.Errorf("described: %+v", r)
		}
	})
}

// A group's own settings hold at once, and go away with their setting.
func TestGroupConfigsChangeAConsumerGroup(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	makeTopic(t, b, "in", 1)
	c := b.Dial(t)
	findGroup(t, c)
	set := func(op kmsg.IncrementalAlterConfigOp, value string) {
		t.Helper()
		alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, "g"
		r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "consumer.heartbeat.interval.ms", Op: op, Value: &value}}
		alter.Resources = append(alter.Resources, r)
		if resp := ask[*kmsg.IncrementalAlterConfigsResponse](c, alter, 1); resp.Resources[0].ErrorCode != 0 {
			t.Fatal(kerr.ErrorForCode(resp.Resources[0].ErrorCode))
		}
	}
	first := consumerBeat(t, c, "a", 0)
	if first.HeartbeatIntervalMillis != 5000 {
		t.Errorf("the interval is %d", first.HeartbeatIntervalMillis)
	}
	set(kmsg.IncrementalAlterConfigOpSet, "9000")
	if r := consumerBeat(t, c, "a", first.MemberEpoch); r.HeartbeatIntervalMillis != 9000 {
		t.Errorf("with its own setting the interval is %d", r.HeartbeatIntervalMillis)
	}
	set(kmsg.IncrementalAlterConfigOpDelete, "")
	if r := consumerBeat(t, c, "a", first.MemberEpoch); r.HeartbeatIntervalMillis != 5000 {
		t.Errorf("without it the interval is %d", r.HeartbeatIntervalMillis)
	}
}
