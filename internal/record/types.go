package record

import (
	"fmt"
	"math"
)

// Offset is the place of a record in its partition.
type Offset int64

// LeaderEpoch numbers the reigns of a partition's leaders.
type LeaderEpoch int32

// ProducerID names an idempotent or transactional producer.
type ProducerID int64

// ProducerEpoch fences earlier incarnations of one [ProducerID].
type ProducerEpoch int16

// What stands in a field that has no value.
const (
	NoOffset        Offset        = -1
	NoLeaderEpoch   LeaderEpoch   = -1
	NoProducerID    ProducerID    = -1
	NoProducerEpoch ProducerEpoch = -1
	NoSequence      int32         = -1
	NoTimestamp     int64         = -1
)

// Producer is what a batch says about who wrote it. A batch outside any producer's sequence carries [NoProducer].
type Producer struct {
	ID           ProducerID
	Epoch        ProducerEpoch
	BaseSequence int32
}

// NoProducer marks a batch that is neither idempotent nor transactional.
var NoProducer = Producer{ID: NoProducerID, Epoch: NoProducerEpoch, BaseSequence: NoSequence}

// AddSequence returns the sequence number that lies n after seq. Sequence numbers run from 0 to the largest int32 and start again at 0.
func AddSequence(seq, n int32) int32 {
	if seq > math.MaxInt32-n {
		return n - (math.MaxInt32 - seq) - 1
	}
	return seq + n
}

// Attributes are the flags of a batch.
type Attributes uint16

// The bits of [Attributes] above the codec.
const (
	LogAppendTime    Attributes = 1 << 3 // the records' timestamp is the batch's max timestamp, set by the log
	Transactional    Attributes = 1 << 4 // the batch belongs to a transaction
	Control          Attributes = 1 << 5 // the batch holds a control record, not data
	HasDeleteHorizon Attributes = 1 << 6 // the base timestamp is the time from which tombstones and markers in the batch may go

	codecMask Attributes = 0b111
)

// Codec returns the codec of the batch's records.
func (a Attributes) Codec() Codec { return Codec(a & codecMask) }

// WithCodec returns a with its codec replaced.
func (a Attributes) WithCodec(c Codec) Attributes { return a&^codecMask | Attributes(c)&codecMask }

// IsLogAppendTime tells whether the log set the timestamp.
func (a Attributes) IsLogAppendTime() bool { return a&LogAppendTime != 0 }

// IsTransactional tells whether the batch belongs to a transaction.
func (a Attributes) IsTransactional() bool { return a&Transactional != 0 }

// IsControl tells whether the batch holds a control record.
func (a Attributes) IsControl() bool { return a&Control != 0 }

// HasDeleteHorizon tells whether the base timestamp is a delete horizon.
func (a Attributes) HasDeleteHorizon() bool { return a&HasDeleteHorizon != 0 }

// Header is one key and value beside a record's own. A nil Value is null.
type Header struct {
	Key   string
	Value []byte
}

// Codec says how the records of a batch are compressed.
type Codec uint8

// The codecs of Kafka.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

var codecNames = [...]string{None: "none", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd"}

// Valid tells whether c is a codec that this package reads and writes.
func (c Codec) Valid() bool { return c <= Zstd }

// String returns the codec's name as it stands in Kafka's configuration.
func (c Codec) String() string {
	if c.Valid() {
		return codecNames[c]
	}
	return fmt.Sprintf("codec(%d)", uint8(c))
}

// ParseCodec returns the codec of that name; "uncompressed" is another name of none.
func ParseCodec(name string) (Codec, error) {
	for c, n := range codecNames {
		if n == name {
			return Codec(c), nil
		}
	}
	if name == "uncompressed" {
		return None, nil
	}
	return None, fmt.Errorf("record: unknown compression %q (want none, gzip, snappy, lz4 or zstd)", name)
}
