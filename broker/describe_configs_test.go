package broker_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// TestABrokerTellsWhereItListens: administrators' tools look for the address and the identity among the settings.
func TestABrokerTellsWhereItListens(t *testing.T) {
	b := brokertest.Start(t, broker.Config{NodeID: 7})
	admin := kadm.NewClient(b.Client(t))
	resources, err := admin.DescribeBrokerConfigs(testContext(t), 7)
	if err != nil {
		t.Fatal(err)
	}
	brokers, err := admin.ListBrokers(testContext(t))
	if err != nil || len(brokers) != 1 {
		t.Fatalf("%v, %v", err, brokers)
	}
	told := map[string]kadm.Config{}
	for _, c := range resources[0].Configs {
		told[c.Key] = c
	}
	address := fmt.Sprintf("PLAINTEXT://%s:%d", brokers[0].Host, brokers[0].Port)
	for name, want := range map[string]string{"listeners": address, "node.id": "7", "broker.id": "7"} {
		if c := told[name]; c.Value == nil || *c.Value != want || c.Source != kmsg.ConfigSourceStaticBrokerConfig || c.Sensitive {
			t.Errorf("%s is %q from %v, want %q as the broker was started with", name, c.MaybeValue(), c.Source, want)
		}
	}
}

// TestLimitsOfConnectionsChangeWhileTheBrokerRuns: Apache Kafka takes them for one broker and for all.
func TestLimitsOfConnectionsChangeWhileTheBrokerRuns(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	admin := kadm.NewClient(b.Client(t))
	one := "1"
	answers, err := admin.AlterBrokerConfigs(testContext(t), []kadm.AlterConfig{{Name: "max.connections", Value: &one}})
	if err != nil || answers[0].Err != nil {
		t.Fatalf("%v, %v", err, answers)
	}
	if !b.Dial(t).Closed() {
		t.Error("a second connection is served")
	}
}
