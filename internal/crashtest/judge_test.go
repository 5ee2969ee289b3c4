package crashtest

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/internal/memnet"
)

// judgeDirectory checks the output topic of a word count that has its log in dir, and has ended.
func judgeDirectory(t *testing.T, dir string, c corpus) {
	t.Helper()
	server := &broker.Server{Config: broker.Config{Dir: filepath.Join(dir, "log")}}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	var network memnet.Network
	ln, err := network.Listen("log:9092")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	defer func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, broker.ErrServerClosed) {
			t.Error(err)
		}
	}()
	judge(t, c, kgo.SeedBrokers(ln.Addr().String()), kgo.Dialer(func(ctx context.Context, n, a string) (net.Conn, error) { return network.Dial(ctx, n, a) }))
}

// judge reads the output topic as a reader with read_committed does: no count may go back, and the last ones must be those of the corpus.
func judge(t *testing.T, c corpus, opts ...kgo.Opt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last, steps := map[string]int64{}, 0
	readCounts(ctx, t, opts, func(word string, count int64, at *kgo.Record) {
		if count <= last[word] {
			t.Errorf("partition %d, offset %d: the count of %q goes from %d to %d", at.Partition, at.Offset, word, last[word], count)
		}
		last[word] = count
		steps++
	})
	for word, want := range c.counts {
		if last[word] != want {
			t.Errorf("%q is counted %d times, it stands %d times in the text", word, last[word], want)
		}
	}
	for word, got := range last {
		if c.counts[word] == 0 {
			t.Errorf("%q is counted %d times, it does not stand in the text", word, got)
		}
	}
	t.Logf("judged %d words in %d steps", len(last), steps)
}

// readCounts calls fn with every committed count, in the order of each partition.
func readCounts(ctx context.Context, t *testing.T, opts []kgo.Opt, fn func(word string, count int64, at *kgo.Record)) {
	t.Helper()
	const topic = "word-counts"
	cl, err := kgo.NewClient(append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeTopics(topic))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s: %v; left to read (partition: end): %v", topic, err, left)
		}
		for r := range fetches.RecordsAll() {
			end, wanted := left[r.Partition]
			if !wanted {
				continue
			}
			if !r.Attrs.IsControl() {
				if len(r.Value) != 8 {
					t.Fatalf("partition %d, offset %d: the count of %q has %d bytes, want 8", r.Partition, r.Offset, r.Key, len(r.Value))
				}
				fn(string(r.Key), int64(binary.BigEndian.Uint64(r.Value)), r)
			}
			if r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		}
	}
}
