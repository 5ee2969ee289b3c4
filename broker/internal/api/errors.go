package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/replica"
	"github.com/millrace-io/millrace/internal/record"
)

// errorRow maps a Go sentinel to Kafka's error. Whether a client may retry is part of the Kafka error (kerr.Error.Retriable).
type errorRow struct {
	err  error
	code *kerr.Error
}

// errorTable is the only place where our errors become Kafka's; the first row that fits counts. A *kerr.Error in a chain needs no row: it is its own code.
var errorTable = []errorRow{
	{replica.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{replica.ErrClosed, kerr.NotLeaderForPartition},
	{replica.ErrOffline, kerr.KafkaStorageError},
	{replica.ErrDisk, kerr.KafkaStorageError},
	{replica.ErrNotEnoughReplicas, kerr.NotEnoughReplicas},
	{replica.ErrFencedEpoch, kerr.FencedLeaderEpoch},
	{replica.ErrUnknownEpoch, kerr.UnknownLeaderEpoch},

	{commitlog.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{commitlog.ErrBatchTooLarge, kerr.MessageTooLarge},
	{commitlog.ErrAppendTooLarge, kerr.RecordListTooLarge},
	{commitlog.ErrOutOfOrderSequence, kerr.OutOfOrderSequenceNumber},
	{commitlog.ErrInvalidProducerEpoch, kerr.InvalidProducerEpoch},
	{commitlog.ErrInvalidTxnState, kerr.InvalidTxnState},
	{commitlog.ErrCoordinatorFenced, kerr.TransactionCoordinatorFenced},
	{commitlog.ErrNoSpace, kerr.KafkaStorageError},
	{commitlog.ErrOffline, kerr.KafkaStorageError},
	{commitlog.ErrCorrupt, kerr.KafkaStorageError},
	{commitlog.ErrClosed, kerr.NotLeaderForPartition},

	{record.ErrDecompress, kerr.UnknownServerError}, // as Kafka; the row goes before those of errors that come with it
	{record.ErrInvalidTimestamp, kerr.InvalidTimestamp},
	{record.ErrInvalid, kerr.InvalidRecord},
	{record.ErrOldFormat, kerr.InvalidRecord},
	{record.ErrUnknownCodec, kerr.UnknownServerError},
	{record.ErrTooLarge, kerr.MessageTooLarge},
	{record.ErrShort, kerr.CorruptMessage},
	{record.ErrCorrupt, kerr.CorruptMessage},

	{context.DeadlineExceeded, kerr.RequestTimedOut},
	{context.Canceled, kerr.RequestTimedOut},
}

// CodeOf returns Kafka's error for err: nil for nil, UNKNOWN_SERVER_ERROR for what the table does not know.
func CodeOf(err error) *kerr.Error {
	if err == nil {
		return nil
	}
	var k *kerr.Error
	if errors.As(err, &k) {
		return k
	}
	for _, row := range errorTable {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	return kerr.UnknownServerError
}

// Code returns the number of Kafka's error for err; 0 for nil.
func Code(err error) int16 {
	if k := CodeOf(err); k != nil {
		return k.Code
	}
	return 0
}

// Fault is a Kafka error with a text for the client.
type Fault = controller.Fault

// MessageOf returns the text for the client in err, or null.
func MessageOf(err error) *string {
	var f interface{ ClientMessage() string }
	if errors.As(err, &f) {
		s := f.ClientMessage()
		return &s
	}
	return nil
}
