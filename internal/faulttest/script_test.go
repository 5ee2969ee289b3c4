package faulttest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/record"
)

// The topics of the script.
const (
	plain     = "plain"     // batch after batch, a segment for each
	compacted = "compacted" // one key
	txns      = "txns"      // transactions, over two partitions
	doomed    = "doomed"    // is deleted
)

const (
	groupID = "group"
	txnID   = "producer"
)

// script is a client at work, and what it was promised.
type script struct {
	*client
	promises
	step int   // numbers values; each is sent once
	bad  error // an answer that a client must never get

	// What was tried, whether it was acknowledged or not.
	sent    map[string][]string // values, by topic
	below   int64               // of plain: records below may be deleted
	highest int64               // committed at most

	kept atomic.Pointer[promises] // a copy after each step
}

// promises are what was acknowledged.
type promises struct {
	made   map[string]bool // topics
	gone   bool            // doomed was deleted
	acked  map[string][]ack
	start  int64 // of plain: records below were deleted
	offset int64 // committed at least
	txns   []txn
}

func (p *promises) clone() *promises {
	c := *p
	c.made, c.acked, c.txns = maps.Clone(p.made), map[string][]ack{}, slices.Clone(p.txns)
	for topic, acked := range p.acked {
		c.acked[topic] = slices.Clone(acked)
	}
	return &c
}

// ack is a value that was acknowledged, and where it lies.
type ack struct {
	offset int64
	value  string
}

// txn is a transaction: a value of one name in each partition, and what became of it.
type txn struct {
	value string
	end   outcome
}

type outcome int

const (
	unknown outcome = iota
	committed
	aborted
)

func newScript(c *client) *script {
	s := &script{client: c, promises: promises{made: map[string]bool{}, acked: map[string][]ack{}}, sent: map[string][]string{}}
	s.keep()
	return s
}

// keep notes what was promised by now, for whoever takes a look in the middle of the next step.
func (s *script) keep() { s.kept.Store(s.promises.clone()) }

// done sorts the error of a step, and reports whether the step was acknowledged.
func (s *script) done(what string, err error) bool {
	no, err := refused(err)
	if err != nil {
		s.bad = errors.Join(s.bad, fmt.Errorf("%s: %w", what, err))
	}
	return !no
}

// first is what the client does before the server is stopped.
func (s *script) first() {
	for _, topic := range []string{plain, compacted, txns, doomed} {
		s.create(topic)
		s.keep()
	}
	for range 3 {
		for _, topic := range []string{plain, compacted, doomed} {
			s.produce(topic)
			s.keep()
		}
	}
	s.play(
		func() { s.commit(1) },
		func() { s.transaction(committed) },
		func() { s.deleteRecords(1) },
		func() { s.transaction(aborted) },
		s.deleteTopic,
		func() { s.commit(2) },
		func() { s.produce(compacted) },
	)
}

// second is what it does when the server is there again.
func (s *script) second() {
	s.play(
		func() { s.produce(plain) },
		func() { s.transaction(committed) },
		func() { s.commit(3) },
		func() { s.deleteRecords(2) },
		func() { s.produce(compacted) },
	)
}

func (s *script) play(steps ...func()) {
	for _, step := range steps {
		step()
		s.keep()
	}
}

func (s *script) create(topic string) bool {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, 1, 1
	configs := map[string]string{"segment.ms": "1", "file.delete.delay.ms": "0"}
	switch topic {
	case compacted:
		configs["cleanup.policy"], configs["min.cleanable.dirty.ratio"] = "compact", "0"
	case txns:
		t.NumPartitions = 2
	}
	for name, value := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, &value
		t.Configs = append(t.Configs, c)
	}
	req.Topics = append(req.Topics, t)
	resp, err := s.ask(req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		err = nil // a try before was refused after it had happened
	}
	if s.done("creating "+topic, err) {
		s.made[topic] = true
	}
	return s.made[topic]
}

// next makes a value that was never sent.
func (s *script) next() string {
	s.step++
	return fmt.Sprint(s.step)
}

// produce sends a batch of one record, which begins a segment since its time is a second after that of the one before.
func (s *script) produce(topic string) bool {
	if !s.made[topic] {
		return false
	}
	value := s.next()
	s.sent[topic] = append(s.sent[topic], value)
	at, err := s.send(topic, 0, value, record.NoProducer, 0)
	if !s.done("producing to "+topic, err) {
		return false
	}
	s.acked[topic] = append(s.acked[topic], ack{at, value})
	return true
}

func (s *script) send(topic string, partition int32, value string, by record.Producer, attrs record.Attributes) (offset int64, err error) {
	var b record.Builder
	b.AppendRecord(1_700_000_000_000+1000*int64(s.step), []byte("key"), []byte(value), nil)
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 11, -1, 30_000
	if attrs.IsTransactional() {
		id := txnID
		req.TransactionID = &id
	}
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	t.Partitions = append(t.Partitions, kmsg.ProduceRequestTopicPartition{Partition: partition, Records: b.Finish(by, attrs, record.None)})
	req.Topics = append(req.Topics, t)
	resp, err := s.ask(req)
	if err != nil {
		return 0, err
	}
	got := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return got.BaseOffset, kerr.ErrorForCode(got.ErrorCode)
}

// commit stores an offset of the group's, from outside of it.
func (s *script) commit(at int64) bool {
	if !s.made[plain] || !s.find(groupID, 0) {
		return false
	}
	s.highest = max(s.highest, at)
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 7, groupID, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = plain
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = at
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := s.ask(req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
	}
	if !s.done("committing an offset", err) {
		return false
	}
	s.offset = max(s.offset, at)
	return true
}

// find asks for a coordinator, which makes its topic.
func (s *script) find(key string, kind int8) bool {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorKeys, req.CoordinatorType = 4, []string{key}, kind
	resp, err := s.ask(req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode)
	}
	return s.done("looking for a coordinator", err)
}

func (s *script) deleteRecords(below int64) {
	if len(s.acked[plain]) < int(below) {
		return
	}
	s.below = max(s.below, below)
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 2, 30_000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = plain
	t.Partitions = append(t.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Offset: below})
	req.Topics = append(req.Topics, t)
	resp, err := s.ask(req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0].ErrorCode)
	}
	if s.done("deleting records", err) {
		s.start = below
	}
}

func (s *script) deleteTopic() {
	if !s.made[doomed] {
		return
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 5, 30_000, []string{doomed}
	resp, err := s.ask(req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode)
	}
	if s.done("deleting a topic", err) {
		s.gone = true
	}
}

// transaction writes a value to both partitions, commits an offset with them, and ends as it is told. A step that is refused leaves it as it is: the next one begins with
// a new epoch, which aborts it.
func (s *script) transaction(end outcome) bool {
	if !s.made[txns] || !s.made[plain] || !s.find(txnID, 1) || !s.find(groupID, 0) {
		return false
	}
	by, err := s.initProducer()
	if !s.done("beginning with a new epoch", err) {
		return false
	}
	value := s.next()
	s.txns = append(s.txns, txn{value: value})
	at := &s.txns[len(s.txns)-1]
	for partition := range int32(2) {
		if !s.done("adding a partition", s.addPartition(by, partition)) {
			return false
		}
		if _, err := s.send(txns, partition, value, by, record.Transactional); !s.done("producing in a transaction", err) {
			return false
		}
	}
	if end == committed && !s.done("committing an offset in a transaction", s.commitInTxn(by, s.highest+1)) {
		return false
	}
	if !s.done("ending a transaction", s.endTxn(by, end == committed)) {
		return false
	}
	at.end = end
	if end == committed {
		s.offset = s.highest
	}
	return true
}

func (s *script) initProducer() (record.Producer, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	id := txnID
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 4, &id, 60_000
	resp, err := s.ask(req)
	if err != nil {
		return record.Producer{}, err
	}
	r := resp.(*kmsg.InitProducerIDResponse)
	return record.Producer{ID: record.ProducerID(r.ProducerID), Epoch: record.ProducerEpoch(r.ProducerEpoch)}, kerr.ErrorForCode(r.ErrorCode)
}

func (s *script) addPartition(by record.Producer, partition int32) error {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, txnID, int64(by.ID), int16(by.Epoch)
	t := kmsg.NewAddPartitionsToTxnRequestTopic()
	t.Topic, t.Partitions = txns, []int32{partition}
	req.Topics = append(req.Topics, t)
	resp, err := s.ask(req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode)
}

func (s *script) commitInTxn(by record.Producer, at int64) error {
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.Version, add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = 3, txnID, int64(by.ID), int16(by.Epoch), groupID
	resp, err := s.ask(add)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.AddOffsetsToTxnResponse).ErrorCode)
	}
	if err != nil {
		return err
	}
	s.highest = max(s.highest, at)
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group, req.Generation = 3, txnID, int64(by.ID), int16(by.Epoch), groupID, -1
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic = plain
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset = at
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	if resp, err = s.ask(req); err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
}

func (s *script) endTxn(by record.Producer, commit bool) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 3, txnID, int64(by.ID), int16(by.Epoch), commit
	resp, err := s.ask(req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.EndTxnResponse).ErrorCode)
}
