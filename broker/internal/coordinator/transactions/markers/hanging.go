package markers

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/coordinator/transactions"
	"github.com/millrace-io/millrace/broker/internal/replica"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// Hanging aborts transactions that are open in a log and that no coordinator knows (KIP-664): nobody else would ever end them, and the last stable offset
// would stay where they begin. A power loss leaves such with flush=interval and flush=os, when it takes the end of the coordinator's log and not that of
// the partition.
//
//	open in a log ──▶ unchanged for `rounds` rounds in a row ──▶ coordinators asked ──no──▶ still unchanged: abort marker
//	                        ▲ ▲── anything new from the producer     │ yes, or nobody can tell
//	                        └────────────────────────────────────────┘
//
// The rounds make up the longest time-out that a transaction can have, so that what hangs is told from what merely takes long, and an operator can look
// at it before it is gone. They are counted, not read off a clock, which may jump. The coordinators' no is final whatever the time; see
// [transactions.Coordinator.Owns].
type Hanging struct {
	Open  func() []OpenTxn
	Owns  func(ctx context.Context, parts []transactions.Part) ([]bool, error)
	Abort func(ctx context.Context, o OpenTxn) error
	Log   *slog.Logger

	seen map[OpenTxn]int // rounds in a row; owned by whoever calls Round
}

// OpenTxn is a transaction that is open in a log. Two of them are equal when nothing came from the producer in between.
type OpenTxn struct {
	txn.TopicPartition
	TopicID  controller.TopicID
	Producer commitlog.ProducerInfo
}

// rounds is for how many rounds in a row a transaction stays as it is before its coordinators are asked.
const rounds = 5

// Run makes rounds until ctx ends; longest is the longest time-out of a transaction.
func (h *Hanging) Run(ctx context.Context, longest time.Duration) {
	every := time.NewTicker(max(longest/(rounds-1), time.Millisecond))
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			h.Round(ctx)
		}
	}
}

// Round looks at all logs once.
func (h *Hanging) Round(ctx context.Context) {
	now := make(map[OpenTxn]int)
	var due []OpenTxn
	var parts []transactions.Part
	for _, o := range h.Open() {
		now[o] = min(h.seen[o]+1, rounds)
		if now[o] == rounds {
			due = append(due, o)
			parts = append(parts, transactions.Part{ProducerID: txn.ProducerID(o.Producer.ID), TopicPartition: o.TopicPartition})
		}
	}
	h.seen = now
	if len(due) == 0 {
		return
	}
	owned, err := h.Owns(ctx, parts)
	if err != nil {
		if ctx.Err() == nil {
			h.Log.Warn("transactions are open for long, and whether they hang is not known; the next round asks again", "partitions", len(due), "error", err)
		}
		return
	}
	for i, o := range due {
		if !owned[i] {
			h.abort(ctx, o)
		}
	}
}

func (h *Hanging) abort(ctx context.Context, o OpenTxn) {
	log := h.Log.With("topic", o.Topic, "partition", o.Partition, "offset", o.Producer.TxnStart, "producer_id", o.Producer.ID, "epoch", o.Producer.Epoch)
	switch err := h.Abort(ctx, o); {
	case err == nil:
		log.Warn("a transaction that no coordinator knows was aborted")
	case ctx.Err() == nil:
		log.Error("a transaction that no coordinator knows cannot be aborted; the next round tries again", "error", err)
	}
}

// OpenIn lists what is open in the logs of partitions.
func OpenIn(partitions []*replica.Partition) []OpenTxn {
	var all []OpenTxn
	for _, p := range partitions {
		if p.Log() == nil {
			continue
		}
		for _, producer := range p.Log().OpenTransactions() {
			all = append(all, OpenTxn{TopicPartition: txn.TopicPartition{Topic: p.Topic, Partition: p.Number}, TopicID: p.TopicID, Producer: producer})
		}
	}
	return all
}

// AbortHanging ends o where the log still has it as it was. Its marker has the epoch of its producer and, since no coordinator decided, the epoch of
// the coordinator whose marker was the last one.
func (l *Local) AbortHanging(ctx context.Context, o OpenTxn) error {
	p, err := l.Partition(o.Topic, o.Partition)
	switch {
	case err != nil:
		return err
	case p.TopicID != o.TopicID:
		return transactions.ErrGone
	}
	marker := commitlog.MarkerOptions{
		ProducerID: o.Producer.ID, ProducerEpoch: o.Producer.Epoch, CoordinatorEpoch: max(o.Producer.CoordinatorEpoch, 0), Only: &o.Producer,
	}
	if o.Topic == controller.OffsetsTopic {
		return l.abortOffsets(ctx, p, marker)
	}
	info, err := p.AppendMarker(marker)
	if err != nil {
		return err
	}
	return p.Commit(ctx, info.LastOffset+1)
}

// abortOffsets leaves the marker to the group coordinator, which forgets the transaction's offsets with it. The coordinator alone appends to that log; it
// refuses a transactional commit whose marker comes while the commit is being confirmed.
func (l *Local) abortOffsets(ctx context.Context, p *replica.Partition, o commitlog.MarkerOptions) error {
	if err := p.Log().CheckMarker(o); err != nil {
		return kafkaError(err)
	}
	return l.Offsets.WriteMarker(ctx, p.Number, entry.Marker{
		Producer:         entry.Producer{ID: int64(o.ProducerID), Epoch: int16(o.ProducerEpoch)},
		CoordinatorEpoch: o.CoordinatorEpoch,
	})
}
