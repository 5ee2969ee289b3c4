package coordinator

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/internal/record"
)

// batches encodes what a flight writes into record batches, one after another in one buffer: a batch ends where the
// producer changes, where it is full, and at a marker.
type batches struct {
	done     []byte // complete batches
	open     record.Builder
	producer entry.Producer // of the open batch
}

func (b *batches) empty() bool { return len(b.done) == 0 && b.open.Count() == 0 }

// recycle makes b ready for another flight. It returns nil when b has grown so much that it would better be forgotten.
func (b *batches) recycle() *batches {
	const maxIdle = 64 << 10
	if cap(b.done) > maxIdle || b.open.Len() > maxIdle {
		return nil
	}
	b.done = b.done[:0]
	b.open.Reset()
	return b
}

func (b *batches) add(p entry.Producer, now time.Time, maxBytes int, r *entry.Record) {
	if b.open.Count() > 0 && (p != b.producer || b.open.Len()+record.MaxRecordSize(r.Key, r.Value, nil) > maxBytes) {
		b.end()
	}
	b.producer = p
	b.open.AppendRecord(now.UnixMilli(), r.Key, r.Value, nil)
}

func (b *batches) marker(m entry.Marker, now time.Time) {
	b.end()
	kind := record.AbortMarker
	if m.Commit {
		kind = record.CommitMarker
	}
	batch := b.open.FinishMarker(now.UnixMilli(), record.ProducerID(m.ID), record.ProducerEpoch(m.Epoch),
		record.Marker{Type: kind, CoordinatorEpoch: m.CoordinatorEpoch})
	b.done = append(b.done, batch...)
	b.open.Reset()
}

// close ends the open batch and returns all of them; valid until recycle.
func (b *batches) close() []byte {
	if len(b.done) == 0 {
		return b.finish() // the usual case: one batch, and no copy
	}
	b.end()
	return b.done
}

func (b *batches) end() {
	if b.open.Count() == 0 {
		return
	}
	b.done = append(b.done, b.finish()...)
	b.open.Reset()
}

func (b *batches) finish() record.Batch {
	p := record.Producer{ID: record.ProducerID(b.producer.ID), Epoch: record.ProducerEpoch(b.producer.Epoch), BaseSequence: record.NoSequence}
	var attrs record.Attributes
	if !b.producer.None() {
		attrs = record.Transactional
	}
	return b.open.Finish(p, attrs, record.None)
}

// replayBatches feeds the batches in data to m and returns the offset after the last one, which is never below next.
func replayBatches(data []byte, next int64, m Machine, unpack *record.Decompressor) (int64, error) {
	for batch, err := range record.All(data) {
		if err == nil {
			err = batch.Check()
		}
		if err != nil {
			return next, fmt.Errorf("batch after offset %d: %w", next, err)
		}
		if int64(batch.LastOffset()) < next {
			continue // a read may begin before the offset that was asked for
		}
		if err := replayBatch(batch, m, unpack); err != nil {
			return next, fmt.Errorf("batch at offset %d: %w", batch.BaseOffset(), err)
		}
		next = int64(batch.NextOffset())
	}
	return next, nil
}

func replayBatch(batch record.Batch, m Machine, unpack *record.Decompressor) error {
	p := entry.NoProducer()
	if batch.Attributes().IsTransactional() {
		p = entry.Producer{ID: int64(batch.ProducerID()), Epoch: int16(batch.ProducerEpoch())}
	}
	if batch.Attributes().IsControl() {
		mk, ok, err := batch.Marker()
		if ok {
			m.ApplyMarker(entry.Marker{Producer: p, CoordinatorEpoch: mk.CoordinatorEpoch, Commit: mk.Type == record.CommitMarker})
		}
		return err
	}
	it, err := batch.Records(unpack)
	if err != nil {
		return err
	}
	for r := (record.Record{}); it.Next(&r); {
		m.Apply(entry.Record{Key: r.Key, Value: r.Value}, p)
	}
	return it.Err()
}
