package commitlog

import (
	"time"

	"github.com/millrace-io/millrace/internal/record"
)

// Offset is the place of a record in the log.
type Offset = record.Offset

// Position is the place of a byte in a segment.
type Position int64

// The types of ids and epochs, as package record defines them.
type (
	LeaderEpoch   = record.LeaderEpoch
	ProducerID    = record.ProducerID
	ProducerEpoch = record.ProducerEpoch
)

// Checkpoint is what the owner of a data directory keeps for each log, in files that hold all logs of the directory.
type Checkpoint struct {
	// LogStart is the first offset that may be served. It must be durable before a DeleteRecords is answered; otherwise it may lag.
	LogStart Offset
	// RecoveryPoint: all batches below it were flushed. It may lag; that costs time in recovery, not data.
	RecoveryPoint Offset
	// Cleaned is where the part begins that compaction has not seen yet. It may lag.
	Cleaned Offset
}

// OpenOptions tell [Open] what the owner of the directory knows.
type OpenOptions struct {
	Checkpoint
	// Clean: the last owner closed the log, and nothing has written to it since. Then no batch is read.
	Clean bool
	// Verify checks every batch of the log, whatever Clean and RecoveryPoint say, and writes again what was not known to be flushed: what must be done after
	// [ErrOffline], to the logs beside the one that failed as well. A log that failed itself is opened so without being told.
	Verify bool
	// Now is the time of the opening.
	Now time.Time
}

// Recovery tells what [Open] found.
type Recovery struct {
	ScannedBytes    int64 // bytes whose checksums were verified
	TruncatedBytes  int64 // bytes cut off the tail
	TruncatedAt     Offset
	RebuiltIndexes  int  // indexes that were missing or did not hold
	ProducersReplay bool // the producer snapshot was missing or older than the log's clean end
}

// Origin says who appends.
type Origin uint8

const (
	// Client batches are checked in full: format, records, sizes, timestamps, sequences.
	Client Origin = iota
	// Coordinator batches come from a coordinator of this broker. Format and sequences are its own business; producer epochs are checked.
	Coordinator
	// Replication batches have their offsets and leader epochs already and are appended as they are.
	Replication
)

// AppendOptions go with [Log.Append].
type AppendOptions struct {
	LeaderEpoch LeaderEpoch // stamped into the batches; not used for Replication
	Origin      Origin
	Now         time.Time
	// Verified is the guard of a transaction that its coordinator confirmed; see [Log.BeginVerification].
	Verified VerificationGuard
}

// AppendInfo tells what became of an append.
type AppendInfo struct {
	FirstOffset   Offset
	LastOffset    Offset
	MaxTimestamp  int64  // milliseconds since 1970
	LogAppendTime int64  // the time that the log stamped, or record.NoTimestamp
	LogStart      Offset // the log's start after the append
	Bytes         int    // what the log grew by
	// Duplicate: the batch was here already. The offsets and times are those of the first time; nothing was written.
	Duplicate bool
}

// ReadOptions bound a [Log.Read].
type ReadOptions struct {
	// MaxBytes bounds the bytes returned.
	MaxBytes int
	// UpTo (exclusive) is the high watermark, the last stable offset or the end.
	UpTo Offset
	// AtLeastOne returns the first batch even when it is larger than MaxBytes.
	AtLeastOne bool
}

// ReadResult is what [Log.Read] found.
type ReadResult struct {
	// Bytes is dst with whole batches appended. The first may begin below the offset that was asked for. The caller owns it.
	Bytes []byte
	// First is the base offset of the first batch and Next the offset after the last one; both are the offset asked for when there is none.
	First, Next Offset
}

// AbortedTxn is one producer's aborted transaction: its data batches in [FirstOffset, LastOffset] are not for read_committed readers.
type AbortedTxn struct {
	ProducerID  ProducerID
	FirstOffset Offset
	LastOffset  Offset // the abort marker's
	LastStable  Offset // the last stable offset after the marker: entries that follow overlap nothing below it
}

// TimestampOffset is a record found by its time.
type TimestampOffset struct {
	Offset      Offset
	Timestamp   int64
	LeaderEpoch LeaderEpoch
}

// EpochEntry says that an epoch's first batch has offset Start or would have.
type EpochEntry struct {
	Epoch LeaderEpoch
	Start Offset
}

// ProducerInfo describes a producer that the log remembers.
type ProducerInfo struct {
	ID               ProducerID
	Epoch            ProducerEpoch
	LastSequence     int32 // record.NoSequence when unknown
	LastTimestamp    int64
	CoordinatorEpoch int32
	TxnStart         Offset // first offset of the open transaction, or record.NoOffset
}

// MarkerOptions go with [Log.AppendMarker].
type MarkerOptions struct {
	ProducerID       ProducerID
	ProducerEpoch    ProducerEpoch
	CoordinatorEpoch int32
	Commit           bool
	// EpochBumped: the transaction runs under protocol 2, where the marker carries an epoch above that of the transaction's batches.
	EpochBumped bool
	// Only is nil, or what the log must know of the producer for the marker to be written: nothing has come from it since.
	Only        *ProducerInfo
	LeaderEpoch LeaderEpoch
	Now         time.Time
}

func (o *MarkerOptions) marker() record.Marker {
	m := record.Marker{Type: record.AbortMarker, CoordinatorEpoch: o.CoordinatorEpoch}
	if o.Commit {
		m.Type = record.CommitMarker
	}
	return m
}
