package commitlog

import (
	"cmp"
	"slices"

	"github.com/millrace-io/millrace/internal/record"
)

// txnTracker follows the transactions of the batches that the cleaner reads, in the order of the log.
type txnTracker struct {
	aborted map[ProducerID][]AbortedTxn // by first offset
	// live holds the producers of whose current transaction data was seen in this pass: its marker must stay.
	live map[ProducerID]bool
	// last says which batch holds what is known of an active producer, see isLastOf.
	last map[ProducerID]lastOfProducer
}

type lastOfProducer struct {
	dataOffset Offset // last offset of the producer's last data batch, or record.NoOffset when its epoch has none
	epoch      ProducerEpoch
}

func newTxnTracker(aborted []AbortedTxn, active []producerState) *txnTracker {
	t := &txnTracker{
		aborted: map[ProducerID][]AbortedTxn{},
		live:    map[ProducerID]bool{},
		last:    make(map[ProducerID]lastOfProducer, len(active)),
	}
	for _, a := range aborted {
		t.aborted[a.ProducerID] = append(t.aborted[a.ProducerID], a)
	}
	for i := range active {
		t.last[active[i].id] = lastOfProducer{dataOffset: active[i].lastOffset(), epoch: active[i].epoch}
	}
	return t
}

// isAborted tells whether a data batch belongs to an aborted transaction.
func (t *txnTracker) isAborted(b record.Batch) bool {
	if !b.Attributes().IsTransactional() {
		return false
	}
	txns := t.aborted[b.ProducerID()]
	i, exact := slices.BinarySearchFunc(txns, b.BaseOffset(), func(a AbortedTxn, o Offset) int { return cmp.Compare(a.FirstOffset, o) })
	if exact {
		return true
	}
	return i > 0 && b.BaseOffset() <= txns[i-1].LastOffset
}

// sawData notes a data batch.
func (t *txnTracker) sawData(b record.Batch) {
	if b.Attributes().IsTransactional() && b.Count() > 0 {
		t.live[b.ProducerID()] = true
	}
}

// sawMarker notes a marker and tells whether its transaction has no data left in the log, so that the marker may go in its time. Data that
// goes in this very pass counts as left: a reader may still be on its way through it.
func (t *txnTracker) sawMarker(b record.Batch) (idle bool) {
	idle = !t.live[b.ProducerID()]
	delete(t.live, b.ProducerID())
	return idle
}

// isLastOf tells whether a batch holds the last that is known of an active producer: its last sequence or, if its epoch has no data, the
// marker that brought the epoch. Such a batch stays, emptied if need be, so that a replay knows the producer (C5).
func (t *txnTracker) isLastOf(b record.Batch) bool {
	p, ok := t.last[b.ProducerID()]
	if !ok {
		return false
	}
	if p.dataOffset != record.NoOffset {
		return b.LastOffset() == p.dataOffset
	}
	return b.Attributes().IsControl() && b.ProducerEpoch() == p.epoch
}
