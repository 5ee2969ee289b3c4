package kafkatest

import (
	"testing"

	"github.com/millrace-io/millrace/internal/proctest"
)

// TestOlderJavaClients: testdata/JavaClient.java holds each version of Kafka's client to what it was promised.
func TestOlderJavaClients(t *testing.T) {
	needs(t, "java", "mvn")
	for _, version := range []string{"2.8.2", "3.9.1"} {
		t.Run(version, func(t *testing.T) {
			_, address := proctest.Broker(t, t.TempDir(), "", "--set", "group.initial.rebalance.delay.ms=0")
			content(t, version, []string{"KAFKA_VERSION=" + version}, "./kafka", "run", "testdata/JavaClient.java", address)
		})
	}
}
