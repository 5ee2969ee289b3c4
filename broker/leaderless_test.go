package broker_test

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// TestAPartitionThatIsOfflineHasNoLeader: Apache Kafka tells it so, with the replica among those that are offline, and clients wait instead of asking the broker in vain.
func TestAPartitionThatIsOfflineHasNoLeader(t *testing.T) {
	fs := vfs.NewMem()
	b := brokertest.Start(t, broker.Config{FS: fs, NodeID: 3})
	createTopic(t, b, "bad", 1, nil)
	produceAll(testContext(t), t, b.Client(t), "bad", numerals(0, 20)...)
	file := logFile(t, fs)
	createTopic(t, b, "good", 1, nil)
	b.Stop()
	flip(t, fs, file)
	b.Resume()
	readUntilError(t, b, "bad") // now the server knows
	c := b.Dial(t)

	all := []int32{3}
	leaderless := func(what string, leader int32, replicas, isr, offline []int32) {
		t.Helper()
		if leader != -1 || !slices.Equal(replicas, all) || len(isr) != 0 || !slices.Equal(offline, all) {
			t.Errorf("%s: leader %d, replicas %v, in sync %v, offline %v", what, leader, replicas, isr, offline)
		}
	}
	metadata := ask[*kmsg.MetadataResponse](c, kmsg.NewPtrMetadataRequest(), 9)
	for _, topic := range metadata.Topics {
		switch p := topic.Partitions[0]; *topic.Topic {
		case "bad":
			leaderless("Metadata", p.Leader, p.Replicas, p.ISR, p.OfflineReplicas)
			if p.ErrorCode != kerr.LeaderNotAvailable.Code {
				t.Errorf("Metadata says %v", kerr.ErrorForCode(p.ErrorCode))
			}
		case "good":
			if p.Leader != 3 || p.ErrorCode != 0 || !slices.Equal(p.ISR, all) || len(p.OfflineReplicas) > 0 {
				t.Errorf("the other topic is told as %+v", p)
			}
		}
	}
	describe := kmsg.NewPtrDescribeTopicPartitionsRequest()
	describe.ResponsePartitionLimit = 10
	describe.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "bad"}}
	p := ask[*kmsg.DescribeTopicPartitionsResponse](c, describe, 0).Topics[0].Partitions[0]
	leaderless("DescribeTopicPartitions", p.LeaderID, p.Replicas, p.ISR, p.OfflineReplicas)
	if p.ErrorCode != 0 || !slices.Equal(p.EligibleLeaderReplicas, all) || !slices.Equal(p.LastKnownELR, all) {
		t.Errorf("DescribeTopicPartitions says %v, eligible %v, last known %v", kerr.ErrorForCode(p.ErrorCode), p.EligibleLeaderReplicas, p.LastKnownELR)
	}
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.TimeoutMillis = 60_000
	elect.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "bad", Partitions: []int32{0}}}
	for kind, want := range []*kerr.Error{electPreferred: kerr.PreferredLeaderNotAvailable, electUnclean: kerr.EligibleLeadersNotAvailable} {
		elect.ElectionType = int8(kind)
		if code := ask[*kmsg.ElectLeadersResponse](c, elect, 2).Topics[0].Partitions[0].ErrorCode; code != want.Code {
			t.Errorf("an election of kind %d is answered with %v, want %v", kind, kerr.ErrorForCode(code), want)
		}
	}
	b.Server.Kill() // a clean end is not to be had
	b.Ended()
}

// The kinds of elections that an administrator can ask for.
const (
	electPreferred = 0
	electUnclean   = 1
)
