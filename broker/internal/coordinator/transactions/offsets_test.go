package transactions_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// RP#9571: after a commit that was confirmed, whoever fetches stable offsets gets the new ones; while it is open, nobody
// gets old ones as if nothing were pending.
func TestOffsetsCommitWithTheTransaction(t *testing.T) {
	forProtocols(t, func(t *testing.T, opts []kgo.Opt) {
		b := cluster(t, 1)
		in := producer(t, b, "in", opts...)
		for _, v := range []string{"1", "2", "3"} {
			begin(t, in)
			produce(t, in, 0, v)
			end(t, in, kgo.TryCommit)
		}
		adm := kadm.NewClient(b.Client(t))
		if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, "out"); err != nil {
			t.Fatal(err)
		}
		s, err := kgo.NewGroupTransactSession(slices.Concat(b.Opts(), opts, []kgo.Opt{
			kgo.TransactionalID("etl"), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		})...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var seen []string
		for len(seen) < 3 {
			fs := s.PollFetches(ctx)
			if err := fs.Err0(); err != nil {
				t.Fatal(err)
			}
			if err := s.Begin(); err != nil {
				t.Fatal(err)
			}
			fs.EachRecord(func(r *kgo.Record) {
				seen = append(seen, string(r.Value))
				s.Produce(ctx, &kgo.Record{Topic: "out", Value: r.Value}, nil)
			})
			if ok, err := s.End(ctx, kgo.TryCommit); !ok || err != nil {
				t.Fatalf("End: %v, %v", ok, err)
			}
			b.Kill()
			offsets, err := fetchStable(ctx, adm, "g")
			if err != nil {
				t.Fatal(err)
			}
			if o, ok := offsets.Lookup("t", 0); !ok || o.At < int64(len(seen)) {
				t.Fatalf("after %d records the committed offset is %d", len(seen), o.At)
			}
		}
		if all := strings.Join(seen, ""); all != "123" {
			t.Fatalf("read %q", all)
		}
	})
}

// RP#13364: an aborted transaction leaves the committed offset where it was, to the record.
func TestAnAbortLeavesTheCommittedOffset(t *testing.T) {
	forProtocols(t, func(t *testing.T, opts []kgo.Opt) {
		b := cluster(t, 1)
		in := producer(t, b, "in", opts...)
		begin(t, in)
		produce(t, in, 0, "1", "2", "3")
		end(t, in, kgo.TryCommit)
		s, err := kgo.NewGroupTransactSession(slices.Concat(b.Opts(), opts, []kgo.Opt{
			kgo.TransactionalID("etl"), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		})...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		adm := kadm.NewClient(b.Client(t))
		for _, step := range []struct {
			end  kgo.TransactionEndTry
			want int64
		}{{kgo.TryCommit, 1}, {kgo.TryAbort, 1}, {kgo.TryAbort, 1}, {kgo.TryCommit, 2}, {kgo.TryAbort, 2}, {kgo.TryCommit, 3}} {
			fs := s.PollRecords(ctx, 1)
			if err := fs.Err0(); err != nil {
				t.Fatal(err)
			}
			if err := s.Begin(); err != nil {
				t.Fatal(err)
			}
			if ok, err := s.End(ctx, step.end); err != nil || ok != bool(step.end) {
				t.Fatalf("End(%v): %v, %v", step.end, ok, err)
			}
			offsets, err := fetchStable(ctx, adm, "g")
			if err != nil {
				t.Fatal(err)
			}
			if o, _ := offsets.Lookup("t", 0); o.At != step.want {
				t.Fatalf("after End(%v) the committed offset is %d, want %d", step.end, o.At, step.want)
			}
		}
	})
}

// fetchStable asks again while the transaction's marker is on its way.
func fetchStable(ctx context.Context, adm *kadm.Client, group string) (kadm.OffsetResponses, error) {
	for {
		offsets, err := adm.FetchOffsets(kadm.RequireStable(ctx), group)
		if err == nil {
			err = offsets.Error()
		}
		var k *kerr.Error
		if errors.As(err, &k) && (k.Retriable || k == kerr.UnstableOffsetCommit) && ctx.Err() == nil {
			continue
		}
		return offsets, err
	}
}
