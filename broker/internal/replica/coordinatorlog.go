package replica

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/internal/record"
)

// CoordinatorLog is the partition as the coordinator of an internal topic uses it.
type CoordinatorLog struct{ *Partition }

// readAhead is the room that a coordinator's Read begins with.
const readAhead = 64 << 10

// Append writes complete batches and returns when they are committed.
func (l CoordinatorLog) Append(ctx context.Context, batches []byte) error {
	info, err := l.Partition.Append(batches, commitlog.AppendOptions{Origin: commitlog.Coordinator})
	if err != nil {
		return kafkaError(err)
	}
	return l.Commit(ctx, info.LastOffset+1)
}

// Read returns complete batches from the one that holds offset from, one at least; none at the end. It reads up to the log end: a new leader takes over
// everything that its log holds.
func (l CoordinatorLog) Read(_ context.Context, from int64, maxBytes int) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	end := l.log.End()
	if record.Offset(from) >= end {
		return nil, nil
	}
	got, err := l.log.Read(make([]byte, 0, min(maxBytes, readAhead)), record.Offset(from),
		commitlog.ReadOptions{MaxBytes: maxBytes, UpTo: end, AtLeastOne: true})
	if err != nil {
		return nil, l.judge(err)
	}
	return got.Bytes, nil
}

// Bounds returns the log start and the log end (exclusive).
func (l CoordinatorLog) Bounds() (start, end int64) {
	if l.log == nil {
		return 0, 0
	}
	return int64(l.log.LogStart()), int64(l.log.End())
}

// CheckProducer tells beforehand whether an Append would refuse a producer's transactional records.
func (l CoordinatorLog) CheckProducer(p entry.Producer) error {
	if err := l.check(); err != nil {
		return err
	}
	return kafkaError(l.log.CheckProducer(record.ProducerID(p.ID), record.ProducerEpoch(p.Epoch)))
}

// CheckMarker tells beforehand whether an Append would refuse a marker.
func (l CoordinatorLog) CheckMarker(m entry.Marker) error {
	if err := l.check(); err != nil {
		return err
	}
	return kafkaError(l.log.CheckMarker(commitlog.MarkerOptions{
		ProducerID:       record.ProducerID(m.ID),
		ProducerEpoch:    record.ProducerEpoch(m.Epoch),
		CoordinatorEpoch: m.CoordinatorEpoch,
		Commit:           m.Commit,
		EpochBumped:      m.EpochBumped,
		Now:              l.m.cfg.Now(),
	}))
}

// kafkaError says in Kafka's words what a coordinator passes on to its clients. The rest it takes as a failure of the log.
func kafkaError(err error) error {
	switch {
	case errors.Is(err, commitlog.ErrInvalidProducerEpoch):
		return kerr.InvalidProducerEpoch
	case errors.Is(err, commitlog.ErrCoordinatorFenced):
		return kerr.TransactionCoordinatorFenced
	case errors.Is(err, commitlog.ErrInvalidTxnState):
		return kerr.InvalidTxnState
	case errors.Is(err, commitlog.ErrBatchTooLarge), errors.Is(err, commitlog.ErrAppendTooLarge):
		return kerr.MessageTooLarge
	}
	return err
}
