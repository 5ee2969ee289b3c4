package txn

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
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

	// Kafka's tags.
	previousTag = 0
	nextTag     = 1
	protocolTag = 2

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

// appendValue writes a value of version 1; three are written for every transaction.
func (t *Transaction) appendValue(dst []byte) []byte {
	be := binary.BigEndian
	dst = be.AppendUint16(dst, valueVersion)
	dst = be.AppendUint64(dst, uint64(t.ProducerID))
	dst = be.AppendUint16(dst, uint16(t.Epoch))
	dst = be.AppendUint32(dst, uint32(t.Timeout.Milliseconds()))
	dst = append(dst, byte(t.State))
	dst = appendTopics(dst, t.Partitions)
	dst = be.AppendUint64(dst, uint64(t.Updated.UnixMilli()))
	dst = be.AppendUint64(dst, uint64(startMillis(t.Start)))
	return t.appendTags(dst)
}

// appendTags writes the tagged fields that have something to say, in the order of their numbers.
func (t *Transaction) appendTags(dst []byte) []byte {
	last := t.Last != NoEpoch || t.TimedOut
	n := 0
	for _, told := range []bool{t.Previous != NoProducerID, t.Next != NoProducerID, t.Protocol != V1, last} {
		if told {
			n++
		}
	}
	be := binary.BigEndian
	dst = append(dst, byte(n))
	if t.Previous != NoProducerID {
		dst = be.AppendUint64(append(dst, previousTag, 8), uint64(t.Previous))
	}
	if t.Next != NoProducerID {
		dst = be.AppendUint64(append(dst, nextTag, 8), uint64(t.Next))
	}
	if t.Protocol != V1 {
		dst = be.AppendUint16(append(dst, protocolTag, 2), uint16(t.Protocol))
	}
	if last {
		dst = binary.AppendUvarint(dst, lastTag)
		dst = be.AppendUint16(append(dst, lastTagBytes), uint16(t.Last))
		var flags byte
		if t.TimedOut {
			flags |= flagTimedOut
		}
		dst = append(dst, flags)
	}
	return dst
}

// startMillis writes "no transaction yet" as Kafka does.
func startMillis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

// appendTopics writes sorted partitions by topic; none is null.
func appendTopics(dst []byte, tps []TopicPartition) []byte {
	if len(tps) == 0 {
		return append(dst, 0)
	}
	topics := 0
	for i := range tps {
		if i == 0 || tps[i].Topic != tps[i-1].Topic {
			topics++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(topics)+1)
	for len(tps) > 0 {
		n := 1
		for n < len(tps) && tps[n].Topic == tps[0].Topic {
			n++
		}
		dst = binary.AppendUvarint(dst, uint64(len(tps[0].Topic))+1)
		dst = append(dst, tps[0].Topic...)
		dst = binary.AppendUvarint(dst, uint64(n)+1)
		for _, tp := range tps[:n] {
			dst = binary.BigEndian.AppendUint32(dst, uint32(tp.Partition))
		}
		dst = append(dst, 0) // no tags
		tps = tps[n:]
	}
	return dst
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
	if err := checkTags(r.Value); err != nil {
		return c, false, fmt.Errorf("txn: value of %q: %w", c.ID, err)
	}
	var v kmsg.TxnMetadataValue
	if err := v.ReadFrom(r.Value); err != nil {
		return c, false, fmt.Errorf("txn: value of %q: %w", c.ID, err)
	}
	c.Next, err = fromValue(c.ID, &v)
	return c, err == nil, err
}

// checkTags refuses a value that has fewer tagged fields than it says: kmsg would look for each of them, up to 2^32.
func checkTags(value []byte) error {
	b := kbin.Reader{Src: value}
	if b.Int16() < valueVersion {
		return nil
	}
	b.Span(8 + 2 + 4 + 1)
	for n := b.CompactArrayLen(); n > 0 && b.Ok(); n-- {
		b.CompactString()
		b.Span(4 * int(max(b.CompactArrayLen(), 0)))
		skipTags(&b)
	}
	b.Span(8 + 8)
	skipTags(&b)
	return b.Complete()
}

func skipTags(b *kbin.Reader) {
	for n := b.Uvarint(); n > 0 && b.Ok(); n-- {
		b.Uvarint()
		b.Span(int(b.Uvarint()))
	}
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
