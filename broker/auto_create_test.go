package broker_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// Naming a topic makes it, and a frame names many: what one request makes is bounded, and the rest is unknown, which clients ask for again.
func TestOneRequestMakesAFewTopicsOnly(t *testing.T) {
	const names, most = 5000, 100
	b := brokertest.Start(t, broker.Config{})
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	for i := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(fmt.Sprint("t", i))
		req.Topics = append(req.Topics, topic)
	}
	req.Topics[0].Topic = kmsg.StringPtr("no/name")
	c := b.Dial(t)
	for round := range 2 {
		answers := 0
		for _, topic := range ask[*kmsg.MetadataResponse](c, req, 12).Topics {
			answers++
			if err := kerr.ErrorForCode(topic.ErrorCode); *topic.Topic == "no/name" && err != kerr.InvalidTopicException ||
				*topic.Topic != "no/name" && err != nil && err != kerr.UnknownTopicOrPartition {
				t.Fatalf("%s is answered with %v", *topic.Topic, err)
			}
		}
		if answers != names {
			t.Fatalf("%d of %d names were answered", answers, names)
		}
		made, err := kadm.NewClient(b.Client(t)).ListTopics(testContext(t))
		if err != nil || len(made) != (round+1)*most {
			t.Fatalf("after request %d there are %d topics (%v), want %d more with each", round+1, len(made), err, most)
		}
	}
}
