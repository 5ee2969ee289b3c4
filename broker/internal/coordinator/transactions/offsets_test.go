package transactions_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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
			if err := s.Client().Flush(ctx); err != nil {
				t.Fatal(err)
			}
			known(t, s.Client())
			if ok, err := s.End(ctx, kgo.TryCommit); !ok || err != nil {
				t.Fatalf("End: %v, %v", ok, err)
			}
			b.Kill()
			if at := fetchStable(t, in, "g"); at < int64(len(seen)) {
				t.Fatalf("after %d records the committed offset is %d", len(seen), at)
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
			if at := fetchStable(t, in, "g"); at != step.want {
				t.Fatalf("after End(%v) the committed offset is %d, want %d", step.end, at, step.want)
			}
		}
	})
}

// fetchStable returns the committed offset of partition 0 of t, and asks again while a marker is on its way. The partition
// is named: a request for all of a group's offsets says nothing of partitions that have only pending ones.
func fetchStable(t *testing.T, c *kgo.Client, groupID string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic, topic.Partitions = "t", []int32{0}
	for {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group, req.RequireStable, req.Topics = groupID, true, []kmsg.OffsetFetchRequestTopic{topic}
		resp, err := c.Request(ctx, pinned{req, 7})
		if err != nil {
			t.Fatal(err)
		}
		p := resp.(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0]
		switch kerr.ErrorForCode(p.ErrorCode) {
		case nil:
			return p.Offset
		case kerr.UnstableOffsetCommit:
		default:
			t.Fatalf("OffsetFetch: %v", kerr.ErrorForCode(p.ErrorCode))
		}
	}
}
