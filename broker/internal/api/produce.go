package api

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/replica"
	"github.com/millrace-io/millrace/broker/internal/txn"
	"github.com/millrace-io/millrace/internal/record"
)

// Versions of Produce at which something changes for the broker.
const (
	produceZstd       = 7  // clients below do not know zstd
	produceAbortable  = 11 // clients from here on know TRANSACTION_ABORTABLE
	produceAddsItself = 12 // the broker adds partitions to the transaction (KIP-890)
	produceTopicIDs   = 13 // topics are named by id
)

// Acknowledgements that a producer can ask for.
const (
	acksNone   = 0
	acksLeader = 1
	acksAll    = -1
)

// handleProduce appends record batches, one for each partition. All appends are made before the first is waited for, so that flushes are shared.
func handleProduce(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.ProduceRequest)
	p := produce{n: n, req: req, now: n.Now()}
	p.collect()
	p.check()
	p.verify(ctx)
	p.append()
	p.wait(ctx, r)
	p.countErrors()
	if req.Acks == acksNone {
		for i := range p.writes {
			if err := p.writes[i].err; err != nil {
				// There is no answer to carry the error; losing the connection tells the client.
				return nil, fmt.Errorf("produce with acks=0 to %s-%d: %w", p.writes[i].topic, p.writes[i].number, err)
			}
		}
		return nil, nil
	}
	return p.answer(r), nil
}

// produce is one Produce request in process.
type produce struct {
	n      *Node
	req    *kmsg.ProduceRequest
	now    time.Time
	topics []producedTopic
	writes []write
}

// producedTopic is what a request names a topic by: from v13 its id, before its name.
type producedTopic struct {
	name string
	id   [16]byte
}

// write is one partition's part of the request.
type write struct {
	topicAt  int // place of the topic in produce.topics
	topic    string
	number   int32
	records  []byte
	part     *replica.Partition
	guard    commitlog.VerificationGuard
	info     commitlog.AppendInfo
	err      error
	logKnown bool // the log itself refused: the answer tells its start
}

// collect lists the partitions by their topics; of a partition named twice the last naming counts, and a topic without partitions is passed over.
func (p *produce) collect() {
	type key struct {
		topic  int
		number int32
	}
	total := 0
	for i := range p.req.Topics {
		total += len(p.req.Topics[i].Partitions)
	}
	p.writes = make([]write, 0, total)
	var seen map[key]int
	var topics map[producedTopic]int
	if total > 1 {
		seen, topics = make(map[key]int, total), make(map[producedTopic]int, len(p.req.Topics))
	}
	im := p.n.Image()
	for i := range p.req.Topics {
		t := &p.req.Topics[i]
		if len(t.Partitions) == 0 {
			continue
		}
		name := t.Topic
		if p.req.Version >= produceTopicIDs {
			name = ""
			if topic := im.TopicByID(t.TopicID); topic != nil {
				name = topic.Name
			}
		}
		named := producedTopic{name: t.Topic, id: t.TopicID}
		topicAt, ok := topics[named]
		if !ok {
			topicAt = len(p.topics)
			p.topics = append(p.topics, named)
			if topics != nil {
				topics[named] = topicAt
			}
		}
		for j := range t.Partitions {
			w := write{topicAt: topicAt, topic: name, number: t.Partitions[j].Partition, records: t.Partitions[j].Records}
			if at, ok := seen[key{topicAt, w.number}]; ok {
				p.writes[at] = w
				continue
			}
			if seen != nil {
				seen[key{topicAt, w.number}] = len(p.writes)
			}
			p.writes = append(p.writes, w)
		}
	}
}

func (p *produce) failAll(err error) {
	for i := range p.writes {
		p.writes[i].err = err
	}
}

// check finds the partitions and looks at the batches' headers. One transactional batch without the transaction's id fails the request as a whole,
// for nobody may write it.
func (p *produce) check() {
	if p.req.TransactionID == nil {
		for i := range p.writes {
			if b, _, err := nextBatch(p.writes[i].records); err == nil && b.Attributes().IsTransactional() {
				p.failAll(kerr.TransactionalIDAuthorizationFailed)
				return
			}
		}
	}
	for i := range p.writes {
		p.writes[i].err = p.checkOne(&p.writes[i])
	}
}

// checkOne looks in the order that Kafka does: at the partition, the shape of its records, the acknowledgements, and at what the log can take.
func (p *produce) checkOne(w *write) (err error) {
	if w.topic == "" && p.req.Version >= produceTopicIDs {
		return kerr.UnknownTopicID
	}
	internal := controller.IsInternal(w.topic)
	if w.part, err = p.n.Replicas.Partition(w.topic, w.number); err != nil && !internal {
		return err
	}
	if w.records, err = theBatch(w.records, p.req.Version); err != nil {
		return err
	}
	if acks := p.req.Acks; acks != acksNone && acks != acksLeader && acks != acksAll {
		return kerr.InvalidRequiredAcks
	}
	if internal {
		return fmt.Errorf("%s is written by the broker alone: %w", w.topic, kerr.InvalidTopicException)
	}
	if p.req.Acks == acksAll {
		if err := w.part.CanCommit(); err != nil {
			return err
		}
	}
	return nil
}

// theBatch makes sure that there is exactly one whole batch of the current format, and returns it. Bytes after it that are no whole batch are left out.
func theBatch(records []byte, version int16) ([]byte, error) {
	batch, rest, err := nextBatch(records)
	switch {
	case errors.Is(err, record.ErrShort):
		return nil, &Fault{Kafka: kerr.InvalidRecord, Message: "A partition's records are exactly one whole record batch"}
	case err != nil:
		return nil, err
	case batch.Attributes().Codec() == record.Zstd && version < produceZstd:
		return nil, kerr.UnsupportedCompressionType
	}
	switch _, _, err := nextBatch(rest); {
	case err == nil, errors.Is(err, record.ErrOldFormat):
		return nil, &Fault{Kafka: kerr.InvalidRecord, Message: "A partition's records are exactly one record batch, here is more"}
	case !errors.Is(err, record.ErrShort):
		return nil, err
	}
	return batch, nil
}

// A batch's length comes after its base offset, and is at least that of the smallest entry that any format ever had.
const (
	lengthAt       = 8
	smallestLength = 14
)

// nextBatch is [record.Next] for what a client sent: a length that no batch can have is corrupt even where the rest of the header is missing.
func nextBatch(buf []byte) (record.Batch, []byte, error) {
	if len(buf) >= record.LogOverhead {
		if n := int32(binary.BigEndian.Uint32(buf[lengthAt:])); n < smallestLength {
			return nil, nil, fmt.Errorf("%w: length %d", record.ErrCorrupt, n)
		}
	}
	return record.Next(buf)
}

// verify asks the transaction coordinator about the partitions that a transaction is new to.
func (p *produce) verify(ctx context.Context) {
	if p.req.TransactionID == nil {
		return
	}
	ask := txn.AddRequest{ID: *p.req.TransactionID}
	add := p.req.Version >= produceAddsItself
	if !add && !p.n.Settings().Bool("transaction.partition.verification.enable") {
		return
	}
	var asked []*write
	for i := range p.writes {
		w := &p.writes[i]
		if w.err != nil {
			continue
		}
		batch := record.Batch(w.records)
		if !batch.Attributes().IsTransactional() || batch.ProducerID() < 0 {
			continue // the log refuses a transactional batch of nobody
		}
		var err error
		w.guard, err = w.part.BeginVerification(batch, add)
		if err != nil {
			w.err = err
			continue
		}
		if !w.guard.Needed() {
			continue
		}
		ask.Identity = identity(int64(batch.ProducerID()), int16(batch.ProducerEpoch()))
		ask.Partitions = append(ask.Partitions, txn.TopicPartition{Topic: w.topic, Partition: w.number})
		asked = append(asked, w)
	}
	if len(asked) == 0 {
		return
	}
	for i, err := range p.n.Transactions.EnsurePartitions(ctx, ask, add) {
		asked[i].err = p.verificationError(err)
	}
}

// verificationError is what the producer is told when its coordinator did not confirm the transaction.
func (p *produce) verificationError(err error) error {
	switch code := CodeOf(err); {
	case code == kerr.TransactionAbortable && p.req.Version < produceAbortable:
		return kerr.InvalidTxnState
	case code == kerr.ConcurrentTransactions && p.req.Version >= produceAddsItself:
		return err
	case code == kerr.ConcurrentTransactions, code == kerr.CoordinatorNotAvailable, code == kerr.CoordinatorLoadInProgress, code == kerr.NotCoordinator:
		// Clients do not expect these from Produce; this one they retry.
		return &Fault{Kafka: kerr.NotEnoughReplicas,
			Message: "Unable to verify the partition has been added to the transaction. Underlying error: " + code.Message}
	}
	return err
}

func (p *produce) append() {
	for i := range p.writes {
		w := &p.writes[i]
		if w.err != nil {
			continue
		}
		w.info, w.err = w.part.Append(w.records, commitlog.AppendOptions{Origin: commitlog.Client, Now: p.now, Verified: w.guard})
		w.logKnown = w.err != nil && tellsLogStart(w.err)
	}
}

// tellsLogStart separates faults of the records, whose answer names the log start, from those of the batch or the log as a whole.
func tellsLogStart(err error) bool {
	switch CodeOf(err) {
	case kerr.UnknownTopicOrPartition, kerr.NotLeaderForPartition, kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.CorruptMessage, kerr.KafkaStorageError:
		return false
	}
	return true
}

// wait returns when every append is as safe as the producer asked for, or its time is up.
func (p *produce) wait(ctx context.Context, r *Request) {
	if p.req.Acks == acksNone {
		return
	}
	var pending []*write
	for i := range p.writes {
		if w := &p.writes[i]; w.err == nil && !w.settled() {
			pending = append(pending, w)
		}
	}
	if len(pending) == 0 {
		return
	}
	defer waiting(r, &p.n.Meter.ProducesWaiting)()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(p.req.TimeoutMillis, 0))*time.Millisecond)
	defer cancel()
	last := len(pending) - 1
	var others sync.WaitGroup
	slots := make(chan struct{}, maxFlushes)
	for _, w := range pending[:last] {
		slots <- struct{}{}
		others.Go(func() {
			w.settle(ctx, p.req.Acks)
			<-slots
		})
	}
	pending[last].settle(ctx, p.req.Acks)
	others.Wait()
}

// maxFlushes bounds the partitions of one request that are flushed side by side.
const maxFlushes = 16

// settled reports whether there is nothing to wait for.
func (w *write) settled() bool {
	return w.part.Committed(w.info.LastOffset + 1)
}

func (w *write) settle(ctx context.Context, acks int16) {
	end := w.info.LastOffset + 1
	if acks == acksLeader {
		w.err = w.part.Persist(end)
		return
	}
	w.err = w.part.Commit(ctx, end)
}

func (p *produce) countErrors() {
	for i := range p.writes {
		if w := &p.writes[i]; w.err != nil {
			p.n.Meter.Of(p.req.Key()).Error(Code(w.err))
			if w.part != nil {
				w.part.ProduceFailed()
			}
		}
	}
}

func (p *produce) answer(r *Request) *kmsg.ProduceResponse {
	resp := p.req.ResponseKind().(*kmsg.ProduceResponse)
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(p.topics))
	for i, t := range p.topics {
		resp.Topics[i].Topic, resp.Topics[i].TopicID = t.name, t.id
	}
	for i := range p.writes {
		w := &p.writes[i]
		t := &resp.Topics[w.topicAt]
		t.Partitions = append(t.Partitions, w.answer(p.n, resp, r))
	}
	return resp
}

func (w *write) answer(n *Node, resp *kmsg.ProduceResponse, r *Request) kmsg.ProduceResponseTopicPartition {
	out := kmsg.NewProduceResponseTopicPartition()
	out.Partition = w.number
	if w.err == nil {
		out.BaseOffset, out.LogAppendTime, out.LogStartOffset = int64(w.info.FirstOffset), w.info.LogAppendTime, int64(w.info.LogStart)
		if w.info.Duplicate {
			out.LogAppendTime = w.info.MaxTimestamp // as Kafka: the time of the batch that is here already, whatever kind of time the topic has
		}
		return out
	}
	out.ErrorCode, out.ErrorMessage = Code(w.err), MessageOf(w.err)
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = -1, -1, -1
	if w.logKnown {
		out.LogStartOffset = int64(w.part.Offsets().LogStart)
	}
	w.recordFaults(&out)
	if out.ErrorCode == kerr.NotLeaderForPartition.Code {
		w.hintLeader(n, resp, &out, r)
	}
	return out
}

// maxRecordErrors is how many faulty records are quoted in the text of an answer; the list has them all.
const maxRecordErrors = 3

// recordFaults names the records that were refused (KIP-467).
func (w *write) recordFaults(out *kmsg.ProduceResponseTopicPartition) {
	var faults *record.FaultsError
	if !errors.As(w.err, &faults) {
		return
	}
	var quoted []string
	for i, f := range faults.Faults {
		text := f.Message
		if out.ErrorCode == kerr.InvalidRecord.Code {
			text = fmt.Sprintf("Compacted topic cannot accept message without key in topic partition %s-%d", w.topic, w.number)
		}
		out.ErrorRecords = append(out.ErrorRecords, kmsg.ProduceResponseTopicPartitionErrorRecord{RelativeOffset: int32(f.Index), ErrorMessage: &text})
		if i < maxRecordErrors {
			quoted = append(quoted, fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", f.Index, text))
		}
	}
	text := "One or more records have been rejected due to invalid timestamp"
	if out.ErrorCode == kerr.InvalidRecord.Code {
		text = fmt.Sprintf("One or more records have been rejected due to %d record errors in total, and only showing the first three errors at most: [%s]",
			faults.Total, strings.Join(quoted, ", "))
	}
	out.ErrorMessage = &text
}

// hintLeader tells who leads the partition, where that is known (KIP-951).
func (w *write) hintLeader(n *Node, resp *kmsg.ProduceResponse, out *kmsg.ProduceResponseTopicPartition, r *Request) {
	t := n.Image().Topic(w.topic)
	if t == nil || int(w.number) >= len(t.Partitions) {
		return
	}
	meta := &t.Partitions[w.number]
	out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = meta.Leader, meta.LeaderEpoch
	for _, b := range resp.Brokers {
		if b.NodeID == meta.Leader {
			return
		}
	}
	resp.Brokers = append(resp.Brokers, kmsg.ProduceResponseBroker{NodeID: meta.Leader, Host: r.Conn.Listener.Host, Port: r.Conn.Listener.Port})
}
