package kafkatest

import "testing"

// TestSaramasFunctionalTests runs what sarama asks of five brokers behind a proxy, as far as one broker without a proxy can answer.
func TestSaramasFunctionalTests(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: its groups wait for minutes")
	}
	needs(t, "go")
	const file = "functional_test.go"
	edits := []edit{
		{file, "url.Parse(toxiproxyAddr)", `url.Parse("kafka://" + toxiproxyAddr)`},
		{file, `	if err := setupToxiProxies(env, toxiproxyURL.String()); err != nil {
		return false, fmt.Errorf("failed to setup toxiproxies: %w", err)
	}
`, "	env.KafkaBrokerAddrs = []string{toxiproxyURL.Host}\n"},
		{file, `	if err := FunctionalTestEnv.ToxiproxyClient.ResetState(); err != nil {
		t.Error(err)
	}
`, ""},
		{"functional_producer_test.go", "minRequestLatencyInMs := 10", "minRequestLatencyInMs := 0"}, // the proxy would be that slow
	}
	// A single node holds one copy of a topic.
	for _, topic := range []string{
		"\"test.1\": {\n\t\t\tNumPartitions:     1", "\"test.4\": {\n\t\t\tNumPartitions:     4", "\"test.64\": {\n\t\t\tNumPartitions:     64",
		"uncommittedTopic: {\n\t\t\tNumPartitions:     1", "\"test.1_to_2\": {\n\t\t\tNumPartitions:     1",
	} {
		edits = append(edits, edit{file, topic + ",\n\t\t\tReplicationFactor: 3", topic + ",\n\t\t\tReplicationFactor: 1"})
	}
	suite{
		module: "github.com/IBM/sarama", version: "v1.61.1", sum: "h1:I59MWPHQUWqJNdRpsDUcbeCriog8SxjQaPfHNWxidEg=",
		pkg: ".", address: "TOXIPROXY_ADDR",
		flags: []string{
			"-tags=functional", "-run=Func|Interceptors|TestVersionMatrix|TestConsumer(HighWaterMark|PartialBatch|GroupDeadlock)",
			"-skip=ConnectionFailure|NetworkError|RemoteBrokerClosed|WithBrokerFailure|Example", // these want the proxy to cut what goes through it
		},
		env:   []string{"KAFKA_VERSION=4.3.0"},
		edits: edits,
		must: []string{
			"TestFuncConsumerGroupFuzzy", "TestFuncConsumerGroupStaticMembership_Fenced", "TestFuncConsumerGroupCooperative", "TestFuncAdminQuotas",
			"TestFuncTxnProduceAndCommitOffset", "TestVersionMatrixZstd", "TestFuncAdminIncrementalAlterConfigs",
		},
		fails: map[string]string{
			"TestFuncAdminListConsumerGroupOffsets":    "it stops a broker of its cluster",
			"TestFuncAdminAlterPartitionReassignments": "it moves a partition to a second broker",
			"TestFuncIdempotentBufferedSequence":       "it reads the log of a broker in a container",
			"TestFuncClientMetadata":                   "its cluster makes no topic by itself, which Apache Kafka does unless told otherwise",
		},
	}.run(t)
}
