package txn

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

func sample() *Transaction {
	return &Transaction{
		ID:         "x",
		Identity:   Identity{4711, 32767},
		Next:       5000,
		Previous:   9,
		Last:       32766,
		TimedOut:   true,
		State:      PrepareAbort,
		Protocol:   V2,
		Timeout:    90 * time.Second,
		Partitions: partitions("a/0", "a/7", "b/1"),
		Start:      time.UnixMilli(1_700_000_000_123).UTC(),
		Updated:    time.UnixMilli(1_700_000_000_456).UTC(),
	}
}

func TestARecordReadsBackAsWritten(t *testing.T) {
	for name, change := range map[string]func(*Transaction){
		"all fields":    func(*Transaction) {},
		"no partitions": func(t *Transaction) { t.Partitions = nil },
		"no start":      func(t *Transaction) { t.Start = time.Time{} },
		"nothing to tell": func(t *Transaction) {
			t.Last, t.TimedOut, t.Next, t.Previous = NoEpoch, false, NoProducerID, NoProducerID
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := sample()
			change(want)
			got, known, err := decode(Change{"x", want}.Record())
			if err != nil || !known || !reflect.DeepEqual(got.Next, want) {
				t.Fatalf("read %+v, known %v, error %v\nwrote %+v", got.Next, known, err, want)
			}
		})
	}
	got, known, err := decode(Change{ID: "x"}.Record())
	if err != nil || !known || got.ID != "x" || got.Next != nil {
		t.Fatalf("a tombstone reads as %+v, known %v, error %v", got, known, err)
	}
}

// Kafka's readers find in our records what Kafka's coordinator would have written, and skip our tag: the bytes are those
// of the protocol's own encoder.
func TestARecordIsKafkas(t *testing.T) {
	for name, change := range map[string]func(*Transaction){
		"all fields":    func(*Transaction) {},
		"no partitions": func(t *Transaction) { t.Partitions = nil },
		"no start":      func(t *Transaction) { t.Start = time.Time{} },
		"nothing to tell": func(t *Transaction) {
			t.Last, t.TimedOut, t.Next, t.Previous = NoEpoch, false, NoProducerID, NoProducerID
		},
		"protocol 1": func(t *Transaction) { t.Protocol = V1 },
	} {
		t.Run(name, func(t *testing.T) {
			tx := sample()
			change(tx)
			v := kmsg.NewTxnMetadataValue()
			v.Version, v.ProducerID, v.ProducerEpoch, v.TimeoutMillis = 1, int64(tx.ProducerID), int16(tx.Epoch), int32(tx.Timeout.Milliseconds())
			v.State, v.LastUpdateTimestamp, v.StartTimestamp = kmsg.TransactionState(tx.State), tx.Updated.UnixMilli(), -1
			if !tx.Start.IsZero() {
				v.StartTimestamp = tx.Start.UnixMilli()
			}
			v.PreviousProducerID, v.NextProducerID, v.ClientTransactionVersion = int64(tx.Previous), int64(tx.Next), int16(tx.Protocol)
			if tx.Partitions != nil {
				v.Topics = []kmsg.TxnMetadataValueTopic{{Topic: "a", Partitions: []int32{0, 7}}, {Topic: "b", Partitions: []int32{1}}}
			}
			if tx.Last != NoEpoch {
				v.UnknownTags.Set(10000, []byte{0x7f, 0xfe, 1})
			}
			key := kmsg.NewTxnMetadataKey()
			key.TransactionalID = "x"
			r := Change{"x", tx}.Record()
			if got, want := r.Value, v.AppendTo(nil); !bytes.Equal(got, want) {
				t.Errorf("value %x\nwant  %x", got, want)
			}
			if got, want := r.Key, key.AppendTo(nil); !bytes.Equal(got, want) {
				t.Errorf("key %x, want %x", got, want)
			}
		})
	}
}

// Values that Kafka wrote, of both versions and with partitions in any order.
func TestKafkasRecordsAreRead(t *testing.T) {
	for version := range int16(2) {
		v := kmsg.NewTxnMetadataValue()
		v.Version, v.ProducerID, v.ProducerEpoch, v.TimeoutMillis, v.State = version, 12, 3, 1000, 1
		v.StartTimestamp, v.LastUpdateTimestamp = 5, 6
		v.Topics = []kmsg.TxnMetadataValueTopic{{Topic: "b", Partitions: []int32{2, 1}}, {Topic: "a", Partitions: []int32{0}}}
		key := kmsg.NewTxnMetadataKey()
		key.TransactionalID = "x"
		c := New(Config{})
		c.Apply(entry.Record{Key: key.AppendTo(nil), Value: v.AppendTo(nil)}, entry.NoProducer())
		got, ok := c.Get("x")
		if _, err := c.Unreadable(); !ok || err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if got.Identity != (Identity{12, 3}) || got.Last != NoEpoch || got.State != Ongoing || !got.has(partitions("a/0", "b/1", "b/2")) || !sortedPartitions(got.Partitions) {
			t.Fatalf("version %d: %+v", version, got)
		}
	}
}

func TestRecordsOfNewerProgramsAreSkippedAndCounted(t *testing.T) {
	r := Change{"x", sample()}.Record()
	r.Value[1] = 9
	key := Change{"y", sample()}.Record()
	key.Key[1] = 4
	c := New(Config{})
	c.Apply(r, entry.NoProducer())
	c.Apply(key, entry.NoProducer())
	if newer, err := c.Unreadable(); err != nil || newer != 2 || c.Len() != 0 {
		t.Fatalf("error %v, %d newer, %d ids", err, newer, c.Len())
	}
}

func TestGarbageIsSaidAndChangesNothing(t *testing.T) {
	whole := Change{"x", sample()}.Record()
	badState := Change{"x", sample()}.Record()
	badState.Value[16] = 6                                                                                         // Dead is never written
	tags := 17 + 1 + len("\x02a") + 1 + 2*4                                                                        // where the first topic's tagged fields begin
	manyTags := entry.Record{Key: whole.Key, Value: append(whole.Value[:tags:tags], 0xff, 0xff, 0xff, 0xff, 0x0f)} // 2^32-1 of them
	for name, r := range map[string]entry.Record{
		"no key":          {Key: nil, Value: whole.Value},
		"half a key":      {Key: whole.Key[:3], Value: whole.Value},
		"an empty value":  {Key: whole.Key, Value: []byte{}},
		"half a value":    {Key: whole.Key, Value: whole.Value[:20]},
		"a state no more": badState,
		"too many tags":   manyTags,
	} {
		t.Run(name, func(t *testing.T) {
			c := New(Config{})
			c.Apply(r, entry.NoProducer())
			if _, err := c.Unreadable(); err == nil || c.Len() != 0 {
				t.Fatalf("error %v, %d ids", err, c.Len())
			}
		})
	}
}

// FuzzApply feeds any bytes to a replay: it must not panic, and what it took must be writable and readable again.
func FuzzApply(f *testing.F) {
	r := Change{"x", sample()}.Record()
	f.Add(r.Key, r.Value)
	f.Add(r.Key, []byte(nil))
	f.Add(r.Key, append(r.Value[:len(r.Value):len(r.Value)], 0x02, 0x02, 0x00, 0x95, 0x95, 0x95, 0x03))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		const limit = 1 << 16
		if len(key)+len(value) > limit {
			return
		}
		c := New(Config{})
		c.Apply(entry.Record{Key: key, Value: value}, entry.NoProducer())
		for _, tx := range c.All() {
			again, known, err := decode(Change{tx.ID, tx}.Record())
			if err != nil || !known || !reflect.DeepEqual(again.Next, tx) {
				t.Fatalf("read %+v\nthen %+v, known %v, error %v", tx, again.Next, known, err)
			}
		}
	})
}
