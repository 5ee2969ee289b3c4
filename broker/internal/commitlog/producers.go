package commitlog

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/internal/record"
)

// keptBatches is how many batches of a producer can be recognised when they come again: a client has at most so many in flight.
const keptBatches = 5

// keptBatch is what is remembered of one batch.
type keptBatch struct {
	lastSeq    int32
	delta      int32 // last sequence - first sequence = last offset - first offset
	lastOffset Offset
	timestamp  int64
}

func (k *keptBatch) firstSeq() int32 {
	if k.lastSeq >= k.delta {
		return k.lastSeq - k.delta
	}
	return math.MaxInt32 - (k.delta - k.lastSeq) + 1 // it went past the largest number
}

func (k *keptBatch) firstOffset() Offset { return k.lastOffset - Offset(k.delta) }

// producerState is what the log knows of one producer (I1).
type producerState struct {
	id               ProducerID
	epoch            ProducerEpoch
	coordinatorEpoch int32
	lastTimestamp    int64
	seen             int64  // when this process last saw it, in milliseconds since 1970: what expiry counts from
	txnStart         Offset // first offset of the open transaction, or record.NoOffset
	n                int    // batches in use, oldest first
	batches          [keptBatches]keptBatch
}

func newProducerState(id ProducerID) producerState {
	return producerState{id: id, epoch: record.NoProducerEpoch, coordinatorEpoch: -1, lastTimestamp: record.NoTimestamp, txnStart: record.NoOffset}
}

func (p *producerState) lastSeq() int32 {
	if p.n == 0 {
		return record.NoSequence
	}
	return p.batches[p.n-1].lastSeq
}

func (p *producerState) lastOffset() Offset {
	if p.n == 0 {
		return record.NoOffset
	}
	return p.batches[p.n-1].lastOffset
}

// duplicateOf returns the remembered batch that b repeats (I2).
func (p *producerState) duplicateOf(b record.Batch) *keptBatch {
	if p.epoch != b.ProducerEpoch() {
		return nil
	}
	for i := range p.batches[:p.n] {
		if k := &p.batches[i]; k.lastSeq == b.LastSequence() && k.firstSeq() == b.BaseSequence() {
			return k
		}
	}
	return nil
}

// setEpoch moves the producer to another epoch; a different one forgets the batches of the former.
func (p *producerState) setEpoch(e ProducerEpoch) {
	if p.epoch != e {
		p.epoch, p.n = e, 0
	}
}

// addBatch notes a data batch at the offsets that it has now.
func (p *producerState) addBatch(b record.Batch, now int64) {
	p.setEpoch(b.ProducerEpoch())
	if p.n == keptBatches {
		copy(p.batches[:], p.batches[1:])
		p.n--
	}
	p.batches[p.n] = keptBatch{lastSeq: b.LastSequence(), delta: b.LastOffsetDelta(), lastOffset: b.LastOffset(), timestamp: b.MaxTimestamp()}
	p.n++
	p.lastTimestamp, p.seen = b.MaxTimestamp(), now
	// An emptied batch was cleaned, and only what is decided is cleaned: it opens nothing.
	if b.Attributes().IsTransactional() && b.Count() > 0 && p.txnStart == record.NoOffset {
		p.txnStart = b.BaseOffset()
	}
}

// addMarker notes the end of a transaction at offset o. It returns where the transaction began, or record.NoOffset if none was open.
func (p *producerState) addMarker(b record.Batch, m record.Marker, now int64) Offset {
	started := p.txnStart
	p.setEpoch(b.ProducerEpoch())
	p.coordinatorEpoch = m.CoordinatorEpoch
	p.txnStart = record.NoOffset
	p.lastTimestamp, p.seen = b.MaxTimestamp(), now
	return started
}

// openTxn is a transaction with data and without a marker.
type openTxn struct {
	id    ProducerID
	first Offset
}

// endedTxn is a transaction whose marker may still lie above the high watermark.
type endedTxn struct {
	first, last Offset
}

// producers is the producer state of one log (I1-I8). Log.mu serialises its changes; mu lets readers look in between.
type producers struct {
	mu    sync.Mutex
	byID  map[ProducerID]*producerState
	open  []openTxn  // ascending by first: transactions begin at the log's end
	ended []endedTxn // ascending by last; those below the high watermark are dropped when somebody asks
}

func (ps *producers) init() { ps.byID = map[ProducerID]*producerState{} }

// reset forgets everything.
func (ps *producers) reset() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	clear(ps.byID)
	ps.open, ps.ended = ps.open[:0], ps.ended[:0]
}

// get returns a copy of what is known of a producer.
func (ps *producers) get(id ProducerID) (producerState, bool) {
	if p := ps.byID[id]; p != nil {
		return *p, true
	}
	return newProducerState(id), false
}

// commit makes changed states valid: those that the batches of one append led to.
func (ps *producers) commit(changed []producerState, ended []completion) {
	if len(changed) == 0 && len(ended) == 0 {
		return
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	// Ends come before beginnings: a producer that ended a transaction may have begun the next one in the same append.
	for _, e := range ended {
		ps.endTxn(e)
	}
	for i := range changed {
		ps.put(&changed[i])
	}
}

func (ps *producers) put(c *producerState) {
	p := ps.byID[c.id]
	if p == nil {
		p = new(producerState)
		*p = newProducerState(c.id)
		ps.byID[c.id] = p
	}
	if c.txnStart != record.NoOffset && p.txnStart != c.txnStart {
		ps.beginTxn(openTxn{id: c.id, first: c.txnStart})
	}
	*p = *c
}

func (ps *producers) beginTxn(t openTxn) {
	i, _ := slices.BinarySearchFunc(ps.open, t.first, func(o openTxn, first Offset) int { return cmp.Compare(o.first, first) })
	ps.open = slices.Insert(ps.open, i, t)
}

func (ps *producers) endTxn(e completion) {
	for i := range ps.open {
		if ps.open[i].id == e.id && ps.open[i].first == e.first {
			ps.open = slices.Delete(ps.open, i, i+1)
			break
		}
	}
	if p := ps.byID[e.id]; p != nil && p.txnStart == e.first {
		p.txnStart = record.NoOffset
	}
	ps.ended = append(ps.ended, endedTxn{first: e.first, last: e.last})
}

// completion is the end of one transaction.
type completion struct {
	id          ProducerID
	first, last Offset
	aborted     bool
}

// stableAfter returns the last stable offset right after the completion of c, if everything were replicated: what an aborted-transaction
// entry carries (T11).
func (ps *producers) stableAfter(c completion, changed []producerState) Offset {
	for _, t := range ps.open {
		if t.id == c.id && t.first == c.first {
			continue
		}
		return t.first
	}
	lowest := c.last + 1
	for i := range changed {
		if s := changed[i].txnStart; s != record.NoOffset && s < lowest {
			lowest = s
		}
	}
	return lowest
}

// lastStable returns the last stable offset at high watermark hw (T10).
func (ps *producers) lastStable(hw, logStart Offset) Offset {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for len(ps.ended) > 0 && ps.ended[0].last < hw {
		ps.ended = ps.ended[1:]
	}
	stable := hw
	if len(ps.open) > 0 {
		stable = min(stable, ps.open[0].first)
	}
	for _, e := range ps.ended {
		stable = min(stable, e.first)
	}
	return max(stable, min(logStart, hw))
}

// expire forgets producers that were idle for longer than d and have no open transaction. It returns how many.
func (ps *producers) expire(now time.Time, d time.Duration) int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	before := now.Add(-d).UnixMilli()
	n := 0
	for id, p := range ps.byID {
		if p.txnStart == record.NoOffset && p.seen < before {
			delete(ps.byID, id)
			n++
		}
	}
	return n
}

// list describes all producers, by id.
func (ps *producers) list() []ProducerInfo {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	out := make([]ProducerInfo, 0, len(ps.byID))
	for _, p := range ps.byID {
		out = append(out, p.info())
	}
	slices.SortFunc(out, func(a, b ProducerInfo) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// listOpen describes the producers that have a transaction open, by where it began.
func (ps *producers) listOpen() []ProducerInfo {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var out []ProducerInfo
	for _, t := range ps.open {
		if p := ps.byID[t.id]; p != nil {
			out = append(out, p.info())
		}
	}
	return out
}

func (p *producerState) info() ProducerInfo {
	return ProducerInfo{
		ID: p.id, Epoch: p.epoch, LastSequence: p.lastSeq(), LastTimestamp: p.lastTimestamp,
		CoordinatorEpoch: p.coordinatorEpoch, TxnStart: p.txnStart,
	}
}

// checkBatch holds a data batch against its producer's state (I3-I5, I8). Sequences are checked for clients only, and nothing for
// replication: the leader has done it.
func (p *producerState) checkBatch(b record.Batch, origin Origin, known bool, guard VerificationGuard) error {
	if origin == Replication {
		return nil
	}
	if b.ProducerEpoch() < p.epoch {
		return fmt.Errorf("%w: producer %d: epoch %d, current epoch %d", ErrInvalidProducerEpoch, p.id, b.ProducerEpoch(), p.epoch)
	}
	if p.txnStart != record.NoOffset && !b.Attributes().IsTransactional() {
		return fmt.Errorf("%w: producer %d writes outside its open transaction", ErrInvalidTxnState, p.id)
	}
	if origin != Client {
		return nil
	}
	seq := b.BaseSequence()
	switch {
	case p.epoch == b.ProducerEpoch():
		if last := p.lastSeq(); seq != record.AddSequence(last, 1) {
			return p.outOfOrder(b, last)
		}
	case seq != 0 && (known || guard.epochBumped):
		return p.outOfOrder(b, record.NoSequence)
	}
	return nil
}

func (p *producerState) outOfOrder(b record.Batch, last int32) error {
	return fmt.Errorf("%w: producer %d, epoch %d: sequence %d after %d of epoch %d",
		ErrOutOfOrderSequence, p.id, b.ProducerEpoch(), b.BaseSequence(), last, p.epoch)
}

// checkMarker holds a marker against its producer's state (T7, T9).
func (p *producerState) checkMarker(b record.Batch, m record.Marker, known, epochBumped bool) error {
	if !known {
		return nil
	}
	if m.CoordinatorEpoch < p.coordinatorEpoch {
		return fmt.Errorf("%w: producer %d: coordinator epoch %d, current epoch %d", ErrCoordinatorFenced, p.id, m.CoordinatorEpoch, p.coordinatorEpoch)
	}
	fenced := b.ProducerEpoch() < p.epoch
	if epochBumped && b.ProducerEpoch() == p.epoch {
		// Under protocol 2 the marker's epoch lies above its transaction's. The same epoch with nothing open is the marker once more; with
		// something open it is a late marker that would end the next transaction.
		fenced = p.txnStart != record.NoOffset
	}
	if fenced {
		return fmt.Errorf("%w: producer %d: marker of epoch %d, current epoch %d", ErrInvalidProducerEpoch, p.id, b.ProducerEpoch(), p.epoch)
	}
	return nil
}
