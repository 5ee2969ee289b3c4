package kafkatest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/capture"
	"github.com/millrace-io/millrace/internal/proctest"
)

// record runs a broker behind a proxy, has a client do what it does, and writes what it sent into package capture's testdata.
func record(t *testing.T, name string, client func(t *testing.T, address string)) {
	t.Helper()
	p, err := capture.Listen()
	if err != nil {
		t.Fatal(err)
	}
	_, address := proctest.Broker(t, t.TempDir(), "", "--advertise", p.Addr(), "--set", "group.initial.rebalance.delay.ms=0")
	go p.Serve(address)
	client(t, p.Addr())
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("..", "capture", "testdata", name+".frames"), p.Recording.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRecordClients makes the recordings that the fuzz targets begin with anew. It changes files of the repository, so it asks for a variable of its own.
func TestRecordClients(t *testing.T) {
	needs(t, "kcat", "java", "mvn")
	if os.Getenv("MILLRACE_RECORD") != "1" {
		t.Skip("left out, since MILLRACE_RECORD=1 is not set: it writes the recordings of package capture anew")
	}
	t.Run("franz-go", func(t *testing.T) { record(t, "franz-go", useFranz) })
	t.Run("kcat", func(t *testing.T) { record(t, "kcat", useKcat) })
	t.Run("java", func(t *testing.T) { record(t, "java", useJava) })
}

func useFranz(t *testing.T, address string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		produce(ctx, t, address, fmt.Sprint("t", i), kgo.ProducerBatchCompression(codec))
	}
	produce(ctx, t, address, "t0", kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
	produce(ctx, t, address, "t0", kgo.TransactionalID("x"))
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t0", "t1"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.InstanceID("member"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if fetches := cl.PollFetches(ctx); fetches.Err() != nil {
		t.Fatal(fetches.Err())
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(cl)
	value := "1000000"
	for what, err := range map[string]error{
		"create":    second(adm.CreateTopics(ctx, 3, 1, map[string]*string{"retention.ms": &value}, "made", "made too")),
		"configs":   second(adm.DescribeTopicConfigs(ctx, "made")),
		"alter":     second(adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, "made")),
		"offsets":   second(adm.ListOffsetsAfterMilli(ctx, 1, "t0")),
		"groups":    second(adm.DescribeGroups(ctx, "g")),
		"list":      second(adm.ListGroups(ctx)),
		"fetch":     second(adm.FetchOffsets(ctx, "g")),
		"producers": second(adm.DescribeProducers(ctx, nil)),
		"txns":      second(adm.ListTransactions(ctx, nil, nil)),
		"dirs":      second(adm.DescribeAllLogDirs(ctx, nil)),
		"epochs":    second(adm.OffsetForLeaderEpoch(ctx, kadm.OffsetForLeaderEpochRequest{"t0": {0: 0}})),
		"delete":    second(adm.DeleteTopics(ctx, "t4")),
	} {
		if err != nil {
			t.Logf("%s: %v", what, err) // what is refused is a request too
		}
	}
}

func second[T any](_ T, err error) error { return err }

// produce writes some records, in a transaction if the client has one.
func produce(ctx context.Context, t *testing.T, address, topic string, opts ...kgo.Opt) {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	transactional := cl.BeginTransaction() == nil
	var records []*kgo.Record
	for i := range 20 {
		records = append(records, &kgo.Record{Key: fmt.Append(nil, i), Value: []byte(strings.Repeat("value ", i)), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if transactional {
		// kgo may write to a topic that it has just met before it can see it in the transaction, and would not commit; this waits until it can.
		if err := cl.AbortBufferedRecords(ctx); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
}

func useKcat(t *testing.T, address string) {
	kcat(t, "k1:one\nk2:two\n", "-b", address, "-P", "-t", "t", "-K", ":")
	for _, codec := range []string{"gzip", "snappy", "lz4", "zstd"} {
		kcat(t, strings.Repeat("a line\n", 100), "-b", address, "-P", "-t", "t", "-z", codec)
	}
	kcat(t, "x\n", "-b", address, "-P", "-t", "t", "-X", "enable.idempotence=true")
	kcat(t, "", "-b", address, "-C", "-t", "t", "-o", "beginning", "-e", "-q")
	kcat(t, "", "-b", address, "-C", "-t", "t", "-o", "s@1", "-e", "-q")
	kcat(t, "", "-b", address, "-L")
	kcat(t, "", "-b", address, "-G", "g", "-c", "3", "-X", "auto.offset.reset=earliest", "t")
}

func useJava(t *testing.T, address string) {
	const tools = "org.apache.kafka.tools."
	for _, run := range []struct {
		class, args string
	}{
		{tools + "TopicCommand", "--create --topic t --partitions 3 --config retention.ms=1000000"},
		{tools + "TopicCommand", "--describe"},
		{"kafka.admin.ConfigCommand", "--alter --entity-type topics --entity-name t --add-config segment.bytes=1048576"},
		{"kafka.admin.ConfigCommand", "--describe --entity-type topics --entity-name t --all"},
		{tools + "VerifiableProducer", "--topic t --max-messages 100"},
		{tools + "consumer.ConsoleConsumer", "--topic t --from-beginning --timeout-ms 5000 --isolation-level read_committed --group g"},
		{tools + "consumer.group.ConsumerGroupCommand", "--describe --group g"},
		{tools + "consumer.group.ConsumerGroupCommand", "--reset-offsets --group g --topic t --to-earliest --execute"},
		{tools + "GetOffsetShell", "--topic t"},
		{tools + "TransactionsCommand", "list"},
		{tools + "LogDirsCommand", "--describe"},
		{tools + "TopicCommand", "--delete --topic t"},
	} {
		script(t, append([]string{"run", run.class, "--bootstrap-server", address}, strings.Fields(run.args)...)...)
	}
}
