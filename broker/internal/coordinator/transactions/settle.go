package transactions

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// ErrGone is a MarkerWriter's answer for a partition that does not exist any more: nobody will ever read its marker.
var ErrGone = errors.New("transactions: the partition was deleted")

// A marker that failed is tried again after retryMin, doubling up to retryMax, until it is written or somebody else
// coordinates: giving up would show aborted records with the producer's next commit.
const (
	retryMin = 10 * time.Millisecond
	retryMax = 5 * time.Second

	// failuresPerLog is how many rounds of failures one line in the log stands for, after the first.
	failuresPerLog = 20
)

// settle pays d on a goroutine of its own. It may be called with or without the shard's lock.
func (m *machine) settle(d txn.Markers) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	if m.ctx.Err() != nil {
		return
	}
	m.settling.Add(1)
	go func() {
		defer m.settling.Done()
		m.pay(d)
	}()
}

// pay writes the markers until all are written, or the incarnation ends.
func (m *machine) pay(d txn.Markers) {
	left := d.Partitions
	for wait, round := retryMin, 0; ; wait, round = min(2*wait, retryMax), round+1 {
		written, rest, why := m.writeMarkers(d, left)
		if why != nil && round%failuresPerLog == 0 {
			m.c.cfg.Log.Warn("markers of a transaction are owed", "txn", d.TransactionalID, "producer", d.ProducerID,
				"epoch", d.Epoch, "partitions", len(rest), "error", why)
		}
		if m.ctx.Err() != nil || len(written) > 0 && !m.note(d, written) {
			return
		}
		if left = rest; len(left) == 0 {
			return
		}
		if !sleep(m.ctx, wait) {
			return
		}
	}
}

// writeMarkers tries once, and says what is written, what is still owed, and one reason for that.
func (m *machine) writeMarkers(d txn.Markers, left []txn.TopicPartition) (written, rest []txn.TopicPartition, why error) {
	marker := Marker{
		Marker: entry.Marker{
			Producer:         entry.Producer{ID: int64(d.ProducerID), Epoch: int16(d.Epoch)},
			CoordinatorEpoch: m.epoch,
			Commit:           d.Commit,
		},
		Protocol: d.Protocol,
	}
	for i, err := range m.c.cfg.Markers.WriteMarkers(m.ctx, marker, left) {
		switch {
		case err == nil, errors.Is(err, ErrGone):
			written = append(written, left[i])
		case errors.Is(err, kerr.InvalidProducerEpoch):
			// The log has seen a higher epoch of this producer id than the one that its coordinator knows. Nothing can
			// be open there under ours.
			m.c.cfg.Log.Error("a partition has a newer producer than its coordinator", "txn", d.TransactionalID,
				"producer", d.ProducerID, "epoch", d.Epoch, "topic", left[i].Topic, "partition", left[i].Partition)
			written = append(written, left[i])
		default:
			rest, why = append(rest, left[i]), err
		}
	}
	return written, rest, why
}

// note tells the machine of written markers; it says whether there is a point in going on.
func (m *machine) note(d txn.Markers, written []txn.TopicPartition) bool {
	shard, err := m.c.set.Shard(m.partition)
	if err != nil {
		return false
	}
	err = shard.Do(m.ctx, func(now *machine, at time.Time, w *coordinator.Writer) {
		if now == m {
			m.take(m.MarkersWritten(at, d.TransactionalID, d.Identity, written), w)
		}
	})
	// After any failure the shard has reloaded, or will, and finds the debt again.
	return err == nil
}

// sleep says whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
