package golden_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/runtime/runtimetest"
)

// pollWait is for how long a fetch waits for records; a topic that is added to what is read waits for that fetch.
const pollWait = 20 * time.Millisecond

// terminal writes to the topics of a case and reads them, as a reader of committed records sees them.
type terminal struct {
	client *kgo.Client
	admin  *kadm.Client
	read   map[string]*output
}

// output is a topic that is read.
type output struct {
	next    int64 // the offset behind the last record or marker that was seen
	records []runtimetest.RawRecord
	piped   []int64 // the offsets of records that the case wrote
}

// newTerminal connects to a broker and makes the topics that a case needs, if they are not there.
func newTerminal(in *interpreter, topo *topology.Topology, opts []kgo.Opt) (*terminal, error) {
	opts = append(slices.Clone(opts), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{}), kgo.ProducerLinger(0), kgo.FetchMaxWait(pollWait))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	t := &terminal{client: client, admin: kadm.NewClient(client), read: map[string]*output{}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, topic := range in.topics() {
		if err := t.create(ctx, topic, topo); err != nil {
			client.Close()
			return nil, err
		}
	}
	return t, nil
}

// create makes a topic of one partition; one that is a table's changelog, too, is compacted.
func (t *terminal) create(ctx context.Context, topic string, topo *topology.Topology) error {
	configs := map[string]*string{}
	for _, d := range topo.Stores() {
		if d.Source != nil && d.Source.Name == topic {
			configs["cleanup.policy"] = kadm.StringPtr("compact")
		}
	}
	_, err := t.admin.CreateTopic(ctx, 1, -1, configs, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	return nil
}

// topics are those that must be there before the case starts.
func (in *interpreter) topics() []string {
	all := maps.Clone(in.c.Topics)
	if all == nil {
		all = map[string]topicTypes{}
	}
	for topic := range in.sinks {
		all[topic] = topicTypes{}
	}
	for _, s := range in.c.Steps {
		for _, r := range s.Expect.Out {
			all[r.Topic] = topicTypes{}
		}
	}
	return sortedKeys(all)
}

func (t *terminal) produce(ctx context.Context, topic string, key, value []byte, ts int64, headers []runtimetest.Header) error {
	r := &kgo.Record{Topic: topic, Key: key, Value: value, Timestamp: time.UnixMilli(ts)}
	for _, h := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader(h))
	}
	if err := t.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	out := t.output(topic) // it may be an output too
	out.piped = append(out.piped, r.Offset)
	return nil
}

// output is what is kept of a topic that is read.
func (t *terminal) output(topic string) *output {
	out := t.read[topic]
	if out == nil {
		out = &output{}
		t.read[topic] = out
		t.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}})
	}
	return out
}

// written reads a topic of one partition to its end.
func (t *terminal) written(topic string) ([]runtimetest.RawRecord, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ends, err := t.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	end, ok := ends.Lookup(topic, 0)
	if !ok || errors.Is(end.Err, kerr.UnknownTopicOrPartition) {
		return nil, nil // never made: the library makes topics that we need not
	}
	out := t.output(topic)
	for out.next < end.Offset {
		fetches := t.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("topic %s at %d of %d: %w", topic, out.next, end.Offset, err)
		}
		fetches.EachRecord(t.take)
	}
	records := out.records
	out.records = nil
	return records, nil
}

func (t *terminal) take(r *kgo.Record) {
	out := t.read[r.Topic]
	out.next = r.Offset + 1
	if r.Attrs.IsControl() || slices.Contains(out.piped, r.Offset) {
		return
	}
	raw := runtimetest.RawRecord{Topic: r.Topic, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		raw.Headers = append(raw.Headers, runtimetest.Header(h))
	}
	out.records = append(out.records, raw)
}
