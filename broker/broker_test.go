package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestWhatIsProducedIsConsumedInOrder(t *testing.T) {
	ctx := testContext(t)
	b := brokertest.Start(t, broker.Config{})
	cl := b.Client(t, kgo.ConsumeTopics("words"))
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, "words"); err != nil {
		t.Fatal(err)
	}
	const n = 1000
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Topic: "words", Value: fmt.Appendf(nil, "%d", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("record %d: %v", i, err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for seen := 0; seen < n; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if want := fmt.Sprint(seen); string(r.Value) != want || r.Offset != int64(seen) {
				t.Fatalf("record %d at offset %d holds %q, want %q", seen, r.Offset, r.Value, want)
			}
			seen++
		})
	}
}
