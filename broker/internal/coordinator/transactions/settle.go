package transactions

import (
	"context"
	"errors"
	"sync"
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
	if !m.begin() {
		return
	}
	go func() {
		defer m.settling.Done()
		m.pay(d)
	}()
}

// settleHere pays d on the caller's goroutine, without the shard's lock. What fails, or is not committed within MarkerWait, is left to another one: a producer
// that comes with its next request meets a coordinator that answers.
func (m *machine) settleHere(d txn.Markers) {
	if !m.begin() {
		return // the next incarnation finds the debt in its log
	}
	ctx, cancel := context.WithTimeout(m.ctx, MarkerWait)
	d.Partitions = m.try(ctx, d, 0)
	cancel()
	if len(d.Partitions) == 0 {
		m.settling.Done()
		return
	}
	go func() {
		defer m.settling.Done()
		if sleep(m.ctx, retryMin) {
			m.pay(d)
		}
	}()
}

// begin is to be followed by settling.Done. It is false when the incarnation has ended.
func (m *machine) begin() bool {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	if m.ctx.Err() != nil {
		return false
	}
	m.settling.Add(1)
	return true
}

// pay writes the markers until all are written, or the incarnation ends.
func (m *machine) pay(d txn.Markers) {
	for wait, round := retryMin, 0; ; wait, round = min(2*wait, retryMax), round+1 {
		if d.Partitions = m.try(m.ctx, d, round); len(d.Partitions) == 0 || !sleep(m.ctx, wait) {
			return
		}
	}
}

// try writes the markers once, until ctx ends, and returns what is still owed; nothing when there is no point in going on.
func (m *machine) try(ctx context.Context, d txn.Markers, round int) (left []txn.TopicPartition) {
	written, rest, why := m.writeMarkers(ctx, d, d.Partitions)
	if why != nil && round%failuresPerLog == 0 {
		m.c.cfg.Log.Warn("markers of a transaction are owed", "transactional_id", d.TransactionalID, "producer_id", d.ProducerID,
			"epoch", d.Epoch, "partitions", len(rest), "error", why)
	}
	news := len(written) > 0 || len(d.Partitions) == 0
	if m.ctx.Err() != nil || news && !m.note(d, written) {
		return nil
	}
	return rest
}

// promise is the debt of a decision whose markers the one who asked for it writes, after the answer was given. When nobody waits for the answer any more,
// the markers are written all the same.
type promise struct {
	mu sync.Mutex
	// The fields below are guarded by mu.
	gone bool // nobody waits
	m    *machine
	debt txn.Markers
}

// owe takes the debt when the decision is committed.
func (p *promise) owe(m *machine, d txn.Markers) {
	p.mu.Lock()
	gone := p.gone
	if !gone {
		p.m, p.debt = m, d
	}
	p.mu.Unlock()
	if gone {
		m.settle(d)
	}
}

// keep returns what is to be called after the answer; nil when nothing is owed.
func (p *promise) keep() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	if p.m == nil {
		return nil
	}
	return func() { p.m.settleHere(p.debt) }
}

// writeMarkers tries once, and says what is written, what is still owed, and one reason for that.
func (m *machine) writeMarkers(ctx context.Context, d txn.Markers, left []txn.TopicPartition) (written, rest []txn.TopicPartition, why error) {
	marker := Marker{
		Marker: entry.Marker{
			Producer:         entry.Producer{ID: int64(d.ProducerID), Epoch: int16(d.Epoch)},
			CoordinatorEpoch: m.epoch,
			Commit:           d.Commit,
		},
		Protocol: d.Protocol,
	}
	for i, err := range m.c.cfg.Markers.WriteMarkers(ctx, marker, left) {
		switch {
		case err == nil, errors.Is(err, ErrGone):
			written = append(written, left[i])
		case errors.Is(err, kerr.InvalidProducerEpoch):
			// The log has seen a higher epoch of this producer id than the one that its coordinator knows. Nothing can
			// be open there under ours.
			m.c.cfg.Log.Error("a partition has a newer producer than its coordinator", "transactional_id", d.TransactionalID,
				"producer_id", d.ProducerID, "epoch", d.Epoch, "topic", left[i].Topic, "partition", left[i].Partition)
			written = append(written, left[i])
		default:
			rest, why = append(rest, left[i]), err
		}
	}
	return written, rest, why
}

// note tells the machine of written markers; it says whether there is a point in going on. Nobody waits for the completion: it is left to be written with what the
// producer's next request writes, one append and one flush less for each transaction of a busy producer. A crash before leaves the debt as it was.
func (m *machine) note(d txn.Markers, written []txn.TopicPartition) bool {
	shard, err := m.c.set.Shard(m.partition)
	if err != nil {
		return false
	}
	err = shard.Leave(m.ctx, func(now *machine, at time.Time, w *coordinator.Writer) {
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
