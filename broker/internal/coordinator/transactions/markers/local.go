package markers

import (
	"context"
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/coordinator/transactions"
	"github.com/millrace-io/millrace/broker/internal/replica"
	"github.com/millrace-io/millrace/broker/internal/txn"
	"github.com/millrace-io/millrace/internal/record"
)

// Local writes markers into the logs of this broker, as the leader of all partitions. All fields are set before the
// first use.
type Local struct {
	Image func() *controller.Image
	// Partition finds a partition that this broker holds.
	Partition func(topic string, partition int32) (*replica.Partition, error)
	// Offsets writes the marker of a partition of __consumer_offsets, whose coordinator makes the offsets count.
	Offsets OffsetsMarker
}

// OffsetsMarker is the group coordinator's part in a transaction.
type OffsetsMarker interface {
	WriteMarker(ctx context.Context, partition int32, m entry.Marker) error
}

// WriteMarkers appends to all partitions before it waits for any of them, so that flushes are shared and run side by side.
func (l *Local) WriteMarkers(ctx context.Context, m transactions.Marker, tps []txn.TopicPartition) []error {
	m.EpochBumped = m.Protocol != txn.V1
	errs := make([]error, len(tps))
	im := l.Image()
	var open []func() // what is left to do for a partition, which may take a flush
	flushed := true
	for i, tp := range tps {
		switch {
		case !exists(im, tp):
			errs[i] = transactions.ErrGone
		case tp.Topic == controller.OffsetsTopic:
			open = append(open, func() { errs[i] = l.Offsets.WriteMarker(ctx, tp.Partition, m.Marker) })
		default:
			var a appended
			if a, errs[i] = l.append(m, tp); errs[i] == nil && !a.p.Committed(a.end) {
				open = append(open, func() { errs[i] = a.p.Commit(ctx, a.end) })
				flushed = false
			}
		}
	}
	if flushed { // the offsets' markers will not take a flush either
		for _, do := range open {
			do()
		}
		return errs
	}
	sideBySide(open)
	return errs
}

func exists(im *controller.Image, tp txn.TopicPartition) bool {
	t := im.Topic(tp.Topic)
	return t != nil && tp.Partition >= 0 && int(tp.Partition) < len(t.Partitions)
}

// appended is a marker in a log that may not be committed yet.
type appended struct {
	p   *replica.Partition
	end record.Offset // exclusive
}

func (l *Local) append(m transactions.Marker, tp txn.TopicPartition) (appended, error) {
	p, err := l.Partition(tp.Topic, tp.Partition)
	if err != nil {
		return appended{}, err
	}
	info, err := p.AppendMarker(commitlog.MarkerOptions{
		ProducerID:       record.ProducerID(m.ID),
		ProducerEpoch:    record.ProducerEpoch(m.Epoch),
		CoordinatorEpoch: m.CoordinatorEpoch,
		Commit:           m.Commit,
		EpochBumped:      m.EpochBumped,
	})
	return appended{p: p, end: info.LastOffset + 1}, kafkaError(err)
}

// kafkaError says in Kafka's words what the coordinator decides on; the rest is tried again.
func kafkaError(err error) error {
	switch {
	case errors.Is(err, commitlog.ErrInvalidProducerEpoch):
		return kerr.InvalidProducerEpoch
	case errors.Is(err, commitlog.ErrCoordinatorFenced):
		return kerr.TransactionCoordinatorFenced
	}
	return err
}

// sideBySide returns when all are done; the last one on this goroutine, which for a lone one is all.
func sideBySide(all []func()) {
	last := len(all) - 1
	var others sync.WaitGroup
	for _, do := range all[:last] {
		others.Go(do)
	}
	all[last]()
	others.Wait()
}
