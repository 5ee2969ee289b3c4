package broker_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// TestPartitionsAddedUnderLoadLoseNothing adds partitions to a topic, and makes and deletes others, while it is written to, and kills the server at its end: what was
// acknowledged in the middle of a change of the metadata is there (NATS 7545 lost it in a change of the members).
func TestPartitionsAddedUnderLoadLoseNothing(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	createTopic(t, b, "t", 1, nil)
	cl := b.Client(t, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerLinger(0))
	var acked []string // the producer's until it has ended
	produced, stop := make(chan struct{}, 1), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			value := fmt.Sprint(n)
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(value)}).FirstErr(); err != nil {
				t.Errorf("record %d: %v", n, err)
				return
			}
			acked = append(acked, value)
			select {
			case produced <- struct{}{}:
			default:
			}
		}
	})
	adm := kadm.NewClient(b.Client(t))
	for round := range 8 {
		select {
		case <-produced: // something is acknowledged between two changes
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
		other := fmt.Sprint("other", round)
		if _, err := adm.CreateTopic(ctx, 2, 1, nil, other); err != nil {
			t.Fatal(err)
		}
		if resp, err := adm.CreatePartitions(ctx, 1, "t"); err != nil || resp.Error() != nil {
			t.Fatal(err, resp.Error())
		}
		if resp, err := adm.DeleteTopics(ctx, other); err != nil || resp.Error() != nil {
			t.Fatal(err, resp.Error())
		}
	}
	close(stop)
	wg.Wait()
	b.Kill()
	got := readAll(ctx, t, b, "t", len(acked))
	slices.Sort(got)
	slices.Sort(acked)
	if !slices.Equal(got, acked) {
		t.Errorf("%d records were acknowledged, %d are there", len(acked), len(got))
	}
	topics, err := adm.ListTopics(ctx, "t")
	if err != nil || len(topics["t"].Partitions) != 9 {
		t.Errorf("the topic has %d partitions (%v), want 9", len(topics["t"].Partitions), err)
	}
}
