package faulttest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// audit reads everything on a server that works, and returns what does not fit what was promised. It waits for the markers of the last transaction, which were owed when it
// was acknowledged.
func (s *script) audit() error {
	var faults []error
	if len(s.txns) > 0 && !s.manage(s.settled) {
		faults = append(faults, errors.New("the last transaction does not come to its end"))
	}
	faulty := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, topic := range []string{plain, compacted, doomed} {
		if topic == doomed && s.gone || !s.made[topic] {
			continue
		}
		start, have, err := s.read(topic, 0, false)
		if topic == doomed && errors.Is(err, kerr.UnknownTopicOrPartition) && s.made[doomed] {
			continue // its deletion was refused after it had happened
		}
		if err != nil {
			faulty("%s: %w", topic, err)
			continue
		}
		s.auditLog(topic, start, have, faulty)
	}
	if s.gone {
		if _, _, err := s.read(doomed, 0, false); !errors.Is(err, kerr.UnknownTopicOrPartition) {
			faulty("a deleted topic answers %v", err)
		}
	}
	s.auditTxns(faulty)
	s.auditOffset(faulty)
	return errors.Join(faults...)
}

// settled begins with a new epoch, which is refused until the last transaction is complete.
func (s *script) settled() bool {
	if !s.find(txnID, 1) {
		return false
	}
	_, err := s.initProducer()
	return s.done("beginning with a new epoch", err)
}

// auditLog checks a topic of batches: what was acknowledged is where it was, but for what was deleted or has a successor, and nothing is there that was not sent.
func (s *script) auditLog(topic string, start int64, have []ack, faulty func(string, ...any)) {
	if topic == plain && (start < s.start || start > s.below) {
		faulty("%s begins at %d; records below %d were deleted, and perhaps those below %d", topic, start, s.start, s.below)
	}
	last := int64(-1)
	values := map[string]bool{}
	for _, h := range have {
		if h.offset <= last || values[h.value] || !slices.Contains(s.sent[topic], h.value) {
			faulty("%s has %q at %d after %d, of %q", topic, h.value, h.offset, last, s.sent[topic])
		}
		last, values[h.value] = h.offset, true
	}
	for i, a := range s.acked[topic] {
		if a.offset < start || topic == compacted && i < len(s.acked[topic])-1 {
			continue
		}
		if topic == compacted && last > a.offset {
			continue // one that was refused after it was written stands for the key
		}
		if !slices.Contains(have, a) {
			faulty("%s: %q was acknowledged at %d; there is %v", topic, a.value, a.offset, have)
		}
	}
}

// auditTxns checks what a reader of committed records sees: each transaction as it ended, and whole or not at all.
func (s *script) auditTxns(faulty func(string, ...any)) {
	if !s.made[txns] {
		return
	}
	var seen [2][]string
	for partition := range seen {
		_, have, err := s.read(txns, int32(partition), true)
		if err != nil {
			faulty("%s-%d: %w", txns, partition, err)
			return
		}
		for _, h := range have {
			seen[partition] = append(seen[partition], h.value)
		}
	}
	for _, t := range s.txns {
		first, second := slices.Contains(seen[0], t.value), slices.Contains(seen[1], t.value)
		if first != second || first && t.end == aborted || !first && t.end == committed {
			faulty("transaction %s, which ended as %d, shows in its partitions: %t, %t", t.value, t.end, first, second)
		}
	}
}

func (s *script) auditOffset(faulty func(string, ...any)) {
	if s.offset == 0 {
		return
	}
	if !s.find(groupID, 0) {
		faulty("the group's coordinator is not found")
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = 5, groupID
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = plain, []int32{0}
	req.Topics = append(req.Topics, t)
	resp, err := s.ask(req)
	if err != nil {
		faulty("reading the group's offset: %w", err)
		return
	}
	r := resp.(*kmsg.OffsetFetchResponse)
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		faulty("reading the group's offset: %w", err)
		return
	}
	if got := r.Topics[0].Partitions[0]; got.ErrorCode != 0 || got.Offset < s.offset || got.Offset > s.highest {
		faulty("the group's offset is %d (%v); %d was committed, and perhaps up to %d", got.Offset, kerr.ErrorForCode(got.ErrorCode), s.offset, s.highest)
	}
}

// read returns the records of a partition, and where its log begins.
func (s *script) read(topic string, partition int32, onlyCommitted bool) (start int64, have []ack, err error) {
	if start, err = s.begin(topic, partition); err != nil {
		return 0, nil, err
	}
	for next := start; ; {
		p, err := s.fetch(topic, partition, next, onlyCommitted)
		if err != nil {
			return start, have, err
		}
		if len(p.RecordBatches) == 0 {
			return start, have, nil
		}
		gone := map[int64][]int64{}
		for _, a := range p.AbortedTransactions { // in order of their first offsets
			gone[a.ProducerID] = append(gone[a.ProducerID], a.FirstOffset)
		}
		for rest := p.RecordBatches; len(rest) > 0; {
			var b record.Batch
			if b, rest, err = record.Next(rest); err == nil {
				err = b.Check()
			}
			if err != nil {
				return start, have, err
			}
			next = int64(b.NextOffset())
			have = appendVisible(have, b, start, gone)
		}
	}
}

// appendVisible adds the records of a batch that a consumer shows, gone being where the aborted transactions of each producer begin.
func appendVisible(have []ack, b record.Batch, start int64, gone map[int64][]int64) []ack {
	id := int64(b.ProducerID())
	in := len(gone[id]) > 0 && int64(b.BaseOffset()) >= gone[id][0]
	if b.Attributes().IsControl() {
		if in {
			gone[id] = gone[id][1:] // it ends here
		}
		return have
	}
	if in && b.Attributes().IsTransactional() {
		return have
	}
	it, err := b.Records(record.NewDecompressor(record.DefaultMaxDecompressed))
	if err != nil {
		return append(have, ack{int64(b.BaseOffset()), err.Error()})
	}
	var r record.Record
	for it.Next(&r) {
		if int64(r.Offset) >= start {
			have = append(have, ack{int64(r.Offset), string(r.Value)})
		}
	}
	return have
}

func (s *script) begin(topic string, partition int32) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = 5, -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = partition, -2
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := s.ask(req)
	if err != nil {
		return 0, err
	}
	got := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	return got.Offset, kerr.ErrorForCode(got.ErrorCode)
}

func (s *script) fetch(topic string, partition int32, from int64, onlyCommitted bool) (p kmsg.FetchResponseTopicPartition, err error) {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MaxBytes, req.SessionEpoch = 11, -1, 1<<20, -1
	if onlyCommitted {
		req.IsolationLevel = 1
	}
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	of := kmsg.NewFetchRequestTopicPartition()
	of.Partition, of.FetchOffset, of.PartitionMaxBytes, of.CurrentLeaderEpoch = partition, from, 1<<20, -1
	t.Partitions = append(t.Partitions, of)
	req.Topics = append(req.Topics, t)
	resp, err := s.ask(req)
	if err != nil {
		return p, err
	}
	p = resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	return p, kerr.ErrorForCode(p.ErrorCode)
}

// works asks the server to do everything once more, and returns what it cannot. A transaction that was left open is being ended meanwhile.
func (s *script) works() error {
	var faults []error
	for _, step := range []struct {
		what string
		do   func() bool
	}{
		{"make topics", func() bool { return s.create(plain) && s.create(txns) }},
		{"take a record", func() bool { return s.produce(plain) }},
		{"commit an offset", func() bool { return s.commit(s.highest + 1) }},
		{"end a transaction", func() bool { return s.transaction(committed) }},
	} {
		if !s.manage(step.do) {
			faults = append(faults, fmt.Errorf("it does not %s", step.what))
		}
	}
	return errors.Join(faults...)
}

// tries bounds how often something is tried that may be refused for a moment; each try waits on the server.
const tries = 200
