package broker_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// What a request names again and again is answered once or a few times, or told to be a fault: the answer never grows with the repetitions of something
// large.
func TestWhatIsNamedAThousandTimesIsDescribedAFewTimes(t *testing.T) {
	const few = 4 // where Apache Kafka describes what is named twice twice
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 100, nil)
	committed := kadm.Offsets{}
	committed.AddOffset("t", 7, 3, -1)
	if err := admin(t, b).CommitAllOffsets(withPatience(t), "one", committed); err != nil {
		t.Fatal(err)
	}
	const times = 1000
	c := b.Dial(t)

	metadata := kmsg.NewPtrMetadataRequest()
	metadata.SetVersion(12)
	metadata.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("t")}}
	id := c.Ask(metadata).(*kmsg.MetadataResponse).Topics[0].TopicID
	metadata.Topics = nil
	configs := kmsg.NewPtrDescribeConfigsRequest()
	configs.SetVersion(4)
	groups := kmsg.NewPtrDescribeGroupsRequest()
	groups.SetVersion(5)
	dirs := kmsg.NewPtrDescribeLogDirsRequest()
	dirs.SetVersion(4)
	producers := kmsg.NewPtrDescribeProducersRequest()
	producers.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t"}}
	transactions := kmsg.NewPtrDescribeTransactionsRequest()
	offsets := kmsg.NewPtrOffsetFetchRequest()
	offsets.SetVersion(9)
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group = "one"
	one.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t"}}
	for range times {
		metadata.Topics = append(metadata.Topics, kmsg.MetadataRequestTopic{TopicID: id})
		configs.Resources = append(configs.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"})
		groups.Groups = append(groups.Groups, "g")
		dirs.Topics = append(dirs.Topics, kmsg.DescribeLogDirsRequestTopic{Topic: "t", Partitions: []int32{3, 4}})
		producers.Topics[0].Partitions = append(producers.Topics[0].Partitions, 7)
		transactions.TransactionalIDs = append(transactions.TransactionalIDs, "id")
		group := kmsg.NewOffsetFetchRequestGroup()
		group.Group = "many"
		offsets.Groups = append(offsets.Groups, group)
		one.Topics[0].Partitions = append(one.Topics[0].Partitions, 7)
	}
	offsets.Groups = append(offsets.Groups, one)

	if got := c.Ask(metadata).(*kmsg.MetadataResponse).Topics; len(got) != 1 || len(got[0].Partitions) != 100 {
		t.Errorf("Metadata has %d topics", len(got))
	}
	if got := c.Ask(groups).(*kmsg.DescribeGroupsResponse).Groups; len(got) != few {
		t.Errorf("DescribeGroups has %d groups", len(got))
	}
	if got := c.Ask(dirs).(*kmsg.DescribeLogDirsResponse).Dirs; len(got) != 1 || len(got[0].Topics) != 1 || len(got[0].Topics[0].Partitions) != 2 {
		t.Errorf("DescribeLogDirs has %+v", got)
	}
	if got := c.Ask(producers).(*kmsg.DescribeProducersResponse).Topics[0].Partitions; len(got) != few {
		t.Errorf("DescribeProducers has %d partitions", len(got))
	}
	if got := c.Ask(transactions).(*kmsg.DescribeTransactionsResponse).TransactionStates; len(got) != 1 {
		t.Errorf("DescribeTransactions has %d transactions", len(got))
	}
	for i, res := range c.Ask(configs).(*kmsg.DescribeConfigsResponse).Resources {
		if first := i < few; first != (res.ErrorCode == 0) || first != (len(res.Configs) > 0) {
			t.Fatalf("DescribeConfigs: resource %d has %d configs and error %d", i, len(res.Configs), res.ErrorCode)
		}
	}
	for i, g := range c.Ask(offsets).(*kmsg.OffsetFetchResponse).Groups {
		switch again := i > 0 && i < times; {
		case again != (g.ErrorCode == kerr.InvalidRequest.Code):
			t.Fatalf("OffsetFetch: group %d has error %d", i, g.ErrorCode)
		case i == times && (len(g.Topics) != 1 || len(g.Topics[0].Partitions) != few || g.Topics[0].Partitions[0].Offset != 3):
			t.Errorf("OffsetFetch has %+v", g.Topics)
		}
	}
}
