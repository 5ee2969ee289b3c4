package coordinator

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// Machine is the pure state of one shard. The shard calls it under its lock only.
//
// The steps themselves are not in the interface: they are the machine's own methods, called by the function given to
// Shard.Do. A step applies what it hands to the Writer by the same Apply that a replay uses.
type Machine interface {
	// Apply takes one record of the log, in log order; p is the transaction's producer, or none. The record's bytes
	// are valid during the call only. A record of a kind or version that the machine does not know is skipped: it
	// was written by a newer program.
	Apply(r entry.Record, p entry.Producer)
	// ApplyMarker ends a transaction that began in this log.
	ApplyMarker(m entry.Marker)
	// Loaded says that the replay is complete; timers begin to run.
	Loaded(now time.Time)
	// NextDeadline is the time of the next Tick; zero when there is nothing to wait for. It may be early, never late.
	NextDeadline() time.Time
}

// Log is the partition of an internal topic as its leader sees it. The replica implements it.
type Log interface {
	// Append writes complete record batches one after another and returns when all of them are committed (flushed as
	// the server's flush mode says, and below the high watermark). The batches are valid during the call only. After
	// an error the log may hold a part of them: a prefix of batches, never a part of one.
	Append(ctx context.Context, batches []byte) error
	// Read returns complete batches from the one that holds offset from, at most about maxBytes but one batch at
	// least; none at the log end. The caller owns the bytes until its next Read.
	Read(ctx context.Context, from int64, maxBytes int) ([]byte, error)
	// Bounds returns the log start and the log end (exclusive) that a new leader has to load before it may answer.
	Bounds() (start, end int64)
}

// Fencer is what a Log may be able to tell beforehand: whether it would refuse a producer's records or marker. Without it
// the refusal costs a reload of the shard.
type Fencer interface {
	CheckProducer(p entry.Producer) error
	CheckMarker(m entry.Marker) error
}

// Config says what runs in the shards of one topic. It is immutable after NewSet.
type Config[M Machine] struct {
	Topic string // for messages

	// New makes an empty machine; epoch is the leader epoch under which the shard leads the partition.
	New func(partition, epoch int32) M

	// Tick runs what is due; called under the shard's lock.
	Tick func(s *Shard[M], m M, now time.Time, w *Writer)

	// Unloaded is told that the state of s is gone, and why: after a failed append, and at Resign. Whoever waits for
	// an answer that the machine owed must be told now. Called without the shard's lock. May be nil.
	Unloaded func(s *Shard[M], why error)

	// Refused is told why the log refused an append, of several in a row the first: whoever waits for the append learns
	// no more than what to do about it. Called without the shard's lock, before they learn it. May be nil.
	Refused func(s *Shard[M], cause error)

	// LoadFailed is told when a load failed and will be tried again. May be nil.
	LoadFailed func(s *Shard[M], err error)

	// Now is the clock; nil is time.Now.
	Now func() time.Time

	// MaxBatchBytes bounds one batch; 0 is DefaultMaxBatchBytes. A single record above it is written alone, and the
	// log judges it.
	MaxBatchBytes int

	// LoadWait is how long a step waits on the server for a shard that loads before it is told to come back; 0 is
	// DefaultLoadWait, negative is not at all.
	LoadWait time.Duration
}

const (
	// DefaultMaxBatchBytes stays below the default max.message.bytes (1 MiB + 12) of an internal topic.
	DefaultMaxBatchBytes = 1 << 20

	// DefaultLoadWait spares the client a back-off of 100 ms or more when a shard loads in less than this.
	DefaultLoadWait = 500 * time.Millisecond

	// leaveFor is how long what was left for the next step stays out of the log. The next request of a busy client takes well below a millisecond.
	leaveFor = 5 * time.Millisecond

	// loadReadBytes is how much of the log one Read of a load asks for (Kafka's offsets.load.buffer.size).
	loadReadBytes = 5 << 20

	// A failed load is tried again after loadRetryMin, doubling up to loadRetryMax, until it succeeds or the shard is
	// resigned: there is nobody else who could answer.
	loadRetryMin = 50 * time.Millisecond
	loadRetryMax = 5 * time.Second
)
