package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// produceAll appends values to partition 0 of a topic, one batch each, and fails the test when one is refused.
func produceAll(ctx context.Context, t *testing.T, cl *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatalf("producing %q: %v", v, err)
		}
	}
}

// readAll reads the topic from its start until want records came and returns their values.
func readAll(ctx context.Context, t *testing.T, b *brokertest.Broker, topic string, want int) []string {
	t.Helper()
	cl := b.Client(t, kgo.ConsumeTopics(topic))
	defer cl.Close()
	var got []string
	for len(got) < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return got
}

func numerals(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

func TestTopicsConfigsAndOffsetsOutliveARestart(t *testing.T) {
	for name, restart := range map[string]func(*brokertest.Broker){"clean": (*brokertest.Broker).Restart, "kill": (*brokertest.Broker).Kill} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			b := brokertest.Start(t, broker.Config{})
			cl := b.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
			adm := kadm.NewClient(cl)
			created, err := adm.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": kadm.StringPtr("12345678")}, "t")
			if err != nil {
				t.Fatal(err)
			}
			produceAll(ctx, t, cl, "t", numerals(0, 20)...)
			offsets := kadm.Offsets{}
			offsets.AddOffset("t", 0, 7, -1)
			if err := adm.CommitAllOffsets(ctx, "g", offsets); err != nil {
				t.Fatal(err)
			}
			cluster, err := adm.BrokerMetadata(ctx)
			if err != nil {
				t.Fatal(err)
			}

			restart(b)

			topics, err := adm.ListTopics(ctx, "t")
			if err != nil {
				t.Fatal(err)
			}
			if got := topics["t"]; got.ID != created.ID || len(got.Partitions) != 3 {
				t.Errorf("the topic came back with id %v and %d partitions, want %v and 3", got.ID, len(got.Partitions), created.ID)
			}
			if again, err := adm.BrokerMetadata(ctx); err != nil || again.Cluster != cluster.Cluster {
				t.Errorf("the cluster id was %s and is %s (error %v)", cluster.Cluster, again.Cluster, err)
			}
			configs, err := adm.DescribeTopicConfigs(ctx, "t")
			if err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(configs[0].Configs, func(c kadm.Config) bool { return c.Key == "retention.ms" }); *configs[0].Configs[i].Value != "12345678" {
				t.Errorf("retention.ms is %s after the restart", *configs[0].Configs[i].Value)
			}
			fetched, err := adm.FetchOffsets(ctx, "g")
			if err != nil {
				t.Fatal(err)
			}
			if o, ok := fetched.Lookup("t", 0); !ok || o.At != 7 {
				t.Errorf("the committed offset is %d (found %t), want 7", o.At, ok)
			}
			produceAll(ctx, t, cl, "t", numerals(20, 25)...)
			if got := readAll(ctx, t, b, "t", 25); !slices.Equal(got, numerals(0, 25)) {
				t.Errorf("consumed %v", got)
			}
		})
	}
}

func TestWithFlushAlwaysNoAcknowledgedRecordIsLostByAPowerLoss(t *testing.T) { // L1
	ctx := testContext(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	b := brokertest.Start(t, broker.Config{Flush: broker.FlushAlways})
	cl := b.Client(t, kgo.AllowAutoTopicCreation())
	acked := 0
	for round := range 5 {
		n := 1 + rng.IntN(20)
		produceAll(ctx, t, cl, "t", numerals(acked, acked+n)...)
		acked += n
		b.PowerLoss(rng.IntN(101), rng)
		if got := readAll(ctx, t, b, "t", acked); !slices.Equal(got[:acked], numerals(0, acked)) {
			t.Fatalf("round %d: consumed %v, want 0 to %d", round, got, acked)
		}
	}
}

func TestADirectoryInUseIsRefused(t *testing.T) { // L14
	dir := t.TempDir()
	first := &broker.Server{Config: broker.Config{Dir: dir}}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	second := &broker.Server{Config: broker.Config{Dir: dir}}
	err := second.Start()
	if !errors.Is(err, broker.ErrLocked) {
		t.Fatalf("a second server on the same directory: %v, want ErrLocked", err)
	}
	if msg := err.Error(); !strings.Contains(msg, dir) {
		t.Errorf("the message %q does not name the directory", msg)
	}
	if err := first.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	third := &broker.Server{Config: broker.Config{Dir: dir}}
	if err := third.Start(); err != nil {
		t.Fatalf("the directory of a server that was shut down: %v", err)
	}
	third.Close()
}

func TestANewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := &broker.Server{Config: broker.Config{Dir: dir}}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.WriteFile(filepath.Join(dir, "format"), []byte("millrace data 99\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := (&broker.Server{Config: broker.Config{Dir: dir}}).Start()
	if !errors.Is(err, broker.ErrNewerFormat) || !strings.Contains(err.Error(), "99") {
		t.Fatalf("a directory of format 99: %v, want ErrNewerFormat that says so", err)
	}
}

func TestADeletedTopicLeavesNoFiles(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	cl := b.Client(t, kgo.AllowAutoTopicCreation())
	adm := kadm.NewClient(cl)
	produceAll(ctx, t, cl, "t", "a", "b")
	if _, err := adm.DeleteTopics(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	b.Kill() // before or after the files were removed
	b.Restart()
	for { // a start does not wait for the removal
		names, err := b.FS.List("/millrace/topics")
		if err != nil {
			t.Fatal(err)
		}
		left := slices.DeleteFunc(names, func(s string) bool { return s == "checkpoint" })
		if len(left) == 0 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("directories are left of a deleted topic: %v", left)
		}
	}
}

func TestUnknownAndUnparsableSettingsAreAllNamed(t *testing.T) {
	cfg := broker.Config{Set: map[string]string{"no.such.setting": "1", "num.partitions": "many", "log.retention.hours": "1"}}
	err := cfg.Validate()
	if err == nil || !strings.Contains(err.Error(), "no.such.setting") || !strings.Contains(err.Error(), "num.partitions") || strings.Contains(err.Error(), "log.retention.hours") {
		t.Fatalf("the error does not name just the two that are wrong: %v", err)
	}
}
