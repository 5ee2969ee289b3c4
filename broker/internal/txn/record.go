package txn

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// The records of __transaction_state are Kafka's TransactionLogKey v0 and TransactionLogValue v1, so that its tools read
// them. What Kafka keeps in memory only, and forgets when the coordinator moves, is in a tagged field of our own that
// Kafka's readers skip:
//
//	tag 10000: │ last epoch int16 │ flags uint8 (bit 0: timed out) │
//
// Values of version 0 and values without the tag, as Kafka writes them, are read too.
const (
	lastTag      = 10000
	lastTagBytes = 3
	flagTimedOut = 1 << 0

	keyVersion   = 0
	valueVersion = 1 // the flexible one, which carries tags
)

// maxIDBytes is the longest transactional id: the key's length field is an int16.
const maxIDBytes = 1<<15 - 1

// Change is one record: how a transactional id stands after it.
type Change struct {
	ID   string
	Next *Transaction // nil: the id is forgotten
}

// Record is the change as it is written. The caller owns the bytes.
func (c Change) Record() entry.Record {
	key := kmsg.NewTxnMetadataKey()
	key.Version = keyVersion
	key.TransactionalID = c.ID
	r := entry.Record{Key: key.AppendTo(make([]byte, 0, 4+len(c.ID)))}
	if c.Next != nil {
		r.Value = c.Next.appendValue(make([]byte, 0, 96+8*len(c.Next.Partitions)))
	}
	return r
}

func (t *Transaction) appendValue(dst []byte) []byte {
	v := kmsg.NewTxnMetadataValue()
	v.Version = valueVersion
	v.ProducerID = int64(t.ProducerID)
	v.ProducerEpoch = int16(t.Epoch)
	v.TimeoutMillis = int32(t.Timeout.Milliseconds())
	v.State = kmsg.TransactionState(t.State)
	v.Topics = topicsOf(t.Partitions)
	v.LastUpdateTimestamp = t.Updated.UnixMilli()
	v.StartTimestamp = startMillis(t.Start)
	v.PreviousProducerID = int64(t.Previous)
	v.NextProducerID = int64(t.Next)
	v.ClientTransactionVersion = int16(t.Protocol)
	if t.Last != NoEpoch || t.TimedOut {
		var tag [lastTagBytes]byte
		binary.BigEndian.PutUint16(tag[:], uint16(t.Last))
		if t.TimedOut {
			tag[2] |= flagTimedOut
		}
		v.UnknownTags.Set(lastTag, tag[:])
	}
	return v.AppendTo(dst)
}

// startMillis writes "no transaction yet" as Kafka does.
func startMillis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

// topicsOf groups sorted partitions by topic.
func topicsOf(tps []TopicPartition) []kmsg.TxnMetadataValueTopic {
	var topics []kmsg.TxnMetadataValueTopic
	for _, tp := range tps {
		if n := len(topics); n == 0 || topics[n-1].Topic != tp.Topic {
			topics = append(topics, kmsg.TxnMetadataValueTopic{Topic: tp.Topic})
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
	return topics
}

// decode reads a record of the log. known is false for a kind or version that a newer program wrote.
func decode(r entry.Record) (c Change, known bool, err error) {
	if len(r.Key) < 2 {
		return c, false, fmt.Errorf("txn: a record's key has %d bytes, not even a version", len(r.Key))
	}
	if binary.BigEndian.Uint16(r.Key) != keyVersion {
		return c, false, nil
	}
	var key kmsg.TxnMetadataKey
	if err := key.ReadFrom(r.Key); err != nil {
		return c, false, fmt.Errorf("txn: key %x: %w", r.Key, err)
	}
	c.ID = key.TransactionalID
	if r.Value == nil {
		return c, true, nil
	}
	if len(r.Value) < 2 {
		return c, false, fmt.Errorf("txn: the value of %q has %d bytes, not even a version", c.ID, len(r.Value))
	}
	if binary.BigEndian.Uint16(r.Value) > valueVersion {
		return c, false, nil
	}
	var v kmsg.TxnMetadataValue
	if err := v.ReadFrom(r.Value); err != nil {
		return c, false, fmt.Errorf("txn: value of %q: %w", c.ID, err)
	}
	c.Next, err = fromValue(c.ID, &v)
	return c, err == nil, err
}

func fromValue(id string, v *kmsg.TxnMetadataValue) (*Transaction, error) {
	t := &Transaction{
		ID:       id,
		Identity: Identity{ProducerID(v.ProducerID), Epoch(v.ProducerEpoch)},
		Next:     ProducerID(v.NextProducerID),
		Previous: ProducerID(v.PreviousProducerID),
		Last:     NoEpoch,
		State:    State(v.State),
		Protocol: Protocol(v.ClientTransactionVersion),
		Timeout:  time.Duration(v.TimeoutMillis) * time.Millisecond,
		Updated:  time.UnixMilli(v.LastUpdateTimestamp).UTC(),
	}
	if t.State < Empty || t.State > CompleteAbort {
		return nil, fmt.Errorf("txn: value of %q: state %d is never written", id, v.State)
	}
	if v.StartTimestamp >= 0 {
		t.Start = time.UnixMilli(v.StartTimestamp).UTC()
	}
	for _, topic := range v.Topics {
		for _, p := range topic.Partitions {
			t.Partitions = append(t.Partitions, TopicPartition{topic.Topic, p})
		}
	}
	t.Partitions = t.with(nil) // sorted: Kafka writes them in the order of its hash set
	if len(t.Partitions) == 0 {
		t.Partitions = nil
	}
	v.UnknownTags.Each(func(tag uint32, b []byte) {
		if tag == lastTag && len(b) >= lastTagBytes {
			t.Last = Epoch(binary.BigEndian.Uint16(b))
			t.TimedOut = b[2]&flagTimedOut != 0
		}
	})
	return t, nil
}
