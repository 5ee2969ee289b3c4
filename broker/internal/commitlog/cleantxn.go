package commitlog

import (
	"cmp"
	"slices"

	"github.com/millrace-io/millrace/internal/record"
)

// txnTracker follows the transactions of the batches that the cleaner reads, in the order of the log.
type txnTracker struct {
	aborted map[ProducerID][]AbortedTxn // by first offset
	// met holds the aborted transactions of which data was seen in this pass: their index entries must stay for readers that are on their way
	// through that data.
	met map[AbortedTxn]bool
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
		met:     map[AbortedTxn]bool{},
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

// abortedBy returns the aborted transaction that a data batch belongs to, if it does.
func (t *txnTracker) abortedBy(b record.Batch) (AbortedTxn, bool) {
	if !b.Attributes().IsTransactional() {
		return AbortedTxn{}, false
	}
	txns := t.aborted[b.ProducerID()]
	i, exact := slices.BinarySearchFunc(txns, b.BaseOffset(), func(a AbortedTxn, o Offset) int { return cmp.Compare(a.FirstOffset, o) })
	if !exact {
		i--
	}
	if i < 0 || b.BaseOffset() > txns[i].LastOffset {
		return AbortedTxn{}, false
	}
	return txns[i], true
}

// sawData notes a data batch and tells whether its transaction was aborted.
func (t *txnTracker) sawData(b record.Batch) (aborted bool) {
	txn, aborted := t.abortedBy(b)
	if aborted && b.Count() > 0 {
		t.met[txn] = true
	}
	if b.Attributes().IsTransactional() && b.Count() > 0 {
		t.live[b.ProducerID()] = true
	}
	return aborted
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
