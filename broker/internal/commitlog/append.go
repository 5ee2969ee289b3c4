package commitlog

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/internal/invariant"
	"github.com/millrace-io/millrace/internal/record"
)

// Append adds batches, which lie one after the other in the given buffer, to the log's end: all of them or none. It patches base offset,
// leader epoch and, where the log sets the time, the timestamp into the buffer; nothing else is changed or encoded anew unless the topic asks
// for another codec. The buffer is the caller's again when Append returns.
//
// A batch that its producer sent before, among its last five, is not written again: the answer is the first time's.
//
// The error wraps one of this package's or package record's. When there is one, nothing of the append is visible, now or after a crash that
// a flush did not precede.
func (l *Log) Append(batches []byte, o AppendOptions) (AppendInfo, error) {
	p, err := l.prepare(batches, o)
	if err != nil {
		return AppendInfo{}, err
	}
	defer p.release()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.appendLocked(p.batches, &o)
}

// AppendMarker ends a producer's transaction in this partition with a commit or abort marker.
func (l *Log) AppendMarker(o MarkerOptions) (AppendInfo, error) {
	m := o.marker()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.checkOnly(&o); err != nil {
		return AppendInfo{}, err
	}
	b := l.marker.FinishMarker(o.Now.UnixMilli(), o.ProducerID, o.ProducerEpoch, m)
	if l.config().LogAppendTime {
		b.SetMaxTimestamp(o.Now.UnixMilli(), true)
	}
	return l.appendLocked(b, &AppendOptions{LeaderEpoch: o.LeaderEpoch, Origin: Coordinator, Now: o.Now, Verified: VerificationGuard{epochBumped: o.EpochBumped}})
}

// appendLocked appends batches that are known to be whole and valid. mu is held.
func (l *Log) appendLocked(batches []byte, o *AppendOptions) (AppendInfo, error) {
	if err := l.usable(); err != nil {
		return AppendInfo{}, err
	}
	info := AppendInfo{MaxTimestamp: record.NoTimestamp, LogAppendTime: record.NoTimestamp, LogStart: l.LogStart(), Bytes: len(batches)}
	dup, err := l.assign(batches, o, &info)
	if err != nil {
		return AppendInfo{}, err
	}
	if dup != nil {
		return l.duplicate(dup, info), nil
	}
	if err := l.makeRoom(batches, info, o.Now); err != nil {
		return AppendInfo{}, err
	}
	if err := l.write(batches); err != nil {
		return AppendInfo{}, err
	}
	return info, nil
}

// duplicate answers for a batch that is in the log already.
func (l *Log) duplicate(k *keptBatch, info AppendInfo) AppendInfo {
	info.FirstOffset, info.LastOffset, info.MaxTimestamp = k.firstOffset(), k.lastOffset, k.timestamp
	info.Bytes, info.Duplicate = 0, true
	if l.config().LogAppendTime {
		info.LogAppendTime = k.timestamp
	}
	return info
}

// assign gives the batches their offsets and holds them against the producers' states, which it leaves as they are: the states after the
// append are in changed and ended. It returns the remembered batch if the append is a duplicate.
func (l *Log) assign(batches []byte, o *AppendOptions, info *AppendInfo) (*keptBatch, error) {
	l.changed, l.ended = l.changed[:0], l.ended[:0]
	next := l.End()
	info.FirstOffset = next
	now := o.Now.UnixMilli()
	for rest, first := batches, true; len(rest) > 0; first = false {
		var b record.Batch
		var err error
		if b, rest, err = record.Next(rest); err != nil {
			return nil, err
		}
		if o.Origin == Replication {
			if b.BaseOffset() < next {
				return nil, fmt.Errorf("%w: batch at %d, expected %d or later", ErrNotMonotonic, b.BaseOffset(), next)
			}
			if first {
				info.FirstOffset = b.BaseOffset()
			}
		} else {
			if next > math.MaxInt64-Offset(b.LastOffsetDelta())-1 {
				return nil, fmt.Errorf("%w: the log's offsets are used up", ErrAppendTooLarge)
			}
			b.SetBaseOffset(next)
			b.SetLeaderEpoch(o.LeaderEpoch)
		}
		if b.ProducerID() >= 0 {
			dup, err := l.trackProducer(b, o, now)
			if dup != nil || err != nil {
				return dup, err
			}
		}
		next = b.NextOffset()
		info.LastOffset = b.LastOffset()
		info.MaxTimestamp = max(info.MaxTimestamp, b.MaxTimestamp())
		if b.Attributes().IsLogAppendTime() {
			info.LogAppendTime = b.MaxTimestamp()
		}
	}
	return nil, nil
}

// trackProducer holds a batch with a producer id against the producer's state, and works out the state after it.
func (l *Log) trackProducer(b record.Batch, o *AppendOptions, now int64) (*keptBatch, error) {
	p, known := l.pendingState(b.ProducerID())
	if b.Attributes().IsControl() {
		return nil, l.trackMarker(p, known, b, o, now)
	}
	if o.Origin == Client {
		if k := p.duplicateOf(b); k != nil {
			return k, nil
		}
		if l.config().VerifyTransactions && b.Attributes().IsTransactional() && !p.txnOpenAt(b.ProducerEpoch()) {
			if err := l.checkVerified(p, b.BaseSequence(), o.Verified); err != nil {
				return nil, err
			}
		}
	}
	if err := p.checkBatch(b, o.Origin, known, o.Verified); err != nil {
		return nil, err
	}
	p.addBatch(b, now)
	return nil, nil
}

// trackMarker is trackProducer for a control batch. Control records that are no transaction markers change nothing.
func (l *Log) trackMarker(p *producerState, known bool, b record.Batch, o *AppendOptions, now int64) error {
	m, ok, err := b.Marker()
	if err != nil || !ok {
		return err
	}
	if o.Origin != Replication {
		if err := p.checkMarker(b, m, known, o.Verified.epochBumped); err != nil {
			return err
		}
	}
	if first := p.addMarker(b, m, now); first != record.NoOffset {
		l.ended = append(l.ended, completion{id: p.id, first: first, last: b.LastOffset(), aborted: m.Type == record.AbortMarker})
	}
	// Under protocol 2 the marker's epoch is that of the producer's next transaction, which the coordinator may be confirming already.
	if v := l.verifications[p.id]; !v.epochBumped || v.epoch < b.ProducerEpoch() {
		delete(l.verifications, p.id)
	}
	return nil
}

// pendingState returns the state of a producer as the batches before this one leave it, in changed; known is false for a new producer.
func (l *Log) pendingState(id ProducerID) (p *producerState, known bool) {
	for i := range l.changed {
		if l.changed[i].id == id {
			return &l.changed[i], true
		}
	}
	s, known := l.producers.get(id)
	l.changed = append(l.changed, s)
	return &l.changed[len(l.changed)-1], known
}

// makeRoom sees to an active segment that can take the batches (C8).
func (l *Log) makeRoom(batches []byte, info AppendInfo, now time.Time) error {
	s := l.activeSegment()
	if s == nil || l.isFull(s, int64(len(batches)), info, now) {
		if err := l.roll(now); err != nil {
			return err
		}
		s = l.activeSegment()
		// Replicated batches may begin above the end: a gap that a compacted leader has. The new segment's base stays at the end.
		if info.LastOffset-s.base > math.MaxInt32 {
			return l.skipTo(info.FirstOffset, now)
		}
	}
	return l.dropTornTail(s)
}

// isFull tells whether the active segment must be closed before n more bytes.
func (l *Log) isFull(s *segment, n int64, info AppendInfo, now time.Time) bool {
	size := s.size.Load()
	if size == 0 {
		return false
	}
	if size+n > l.config().SegmentBytes || info.LastOffset-s.base > math.MaxInt32 {
		return true
	}
	s.mu.Lock()
	first := s.mu.idx.firstTime
	s.mu.Unlock()
	if first == record.NoTimestamp || info.MaxTimestamp == record.NoTimestamp {
		return now.Sub(l.active.created) > l.active.age
	}
	return info.MaxTimestamp > first && uint64(info.MaxTimestamp)-uint64(first) > uint64(l.active.age/time.Millisecond)
}

// skipTo replaces the empty active segment by one that begins at o. It serves replicated batches beyond a gap of more than 2^31 offsets.
func (l *Log) skipTo(o Offset, now time.Time) error {
	segs := l.segs()
	empty := segs[len(segs)-1]
	invariant.Always(empty.size.Load() == 0, "commitlog: segment %s is not empty", empty.name())
	l.setSegs(segs[: len(segs)-1 : len(segs)-1])
	if err := empty.removeFiles(); err != nil {
		return l.writeError(err)
	}
	if err := empty.release(); err != nil {
		return l.writeError(err)
	}
	l.end.Store(int64(o))
	return l.roll(now)
}

// dropTornTail removes what a failed append left past the segment's size. mu is held.
func (l *Log) dropTornTail(s *segment) error {
	if !l.active.tornTail || s != l.activeSegment() {
		return nil
	}
	if err := l.cutFile(s, s.size.Load()); err != nil {
		return l.writeError(err)
	}
	l.active.tornTail = false
	return nil
}

// cutFile cuts a segment's file to size bytes. mu is held.
func (l *Log) cutFile(s *segment, size int64) error {
	replaced, err := truncateFile(s.fs, s.path(suffixLog), size)
	if err != nil || !replaced {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.file != nil { // readers may be inside the old file: it is closed when the last one has left the segment
		s.mu.retired = append(s.mu.retired, s.mu.file)
		s.mu.file = nil
	}
	return nil
}

// write puts the batches at the end of the active segment and makes them visible. mu is held.
func (l *Log) write(batches []byte) error {
	s := l.activeSegment()
	f, err := s.open()
	if err != nil {
		return l.writeError(err)
	}
	size := s.size.Load()
	f.reserve(size, int64(len(batches)), l.config().SegmentBytes)
	if err := f.appendAt(batches, size); err != nil {
		l.active.tornTail = true
		return l.writeError(err)
	}
	l.filed = false
	end := l.indexBatches(s, batches, size)
	s.size.Store(size + int64(len(batches)))
	if old := l.End(); end <= old { // spelt out, so that the arguments cost nothing when all is well
		invariant.Always(false, "commitlog: log end moves from %d to %d", old, end)
	}
	l.producers.commit(l.changed, l.ended)
	l.end.Store(int64(end))
	return nil
}

// indexBatches enters batches, written at pos, into the indexes and the epochs. It returns the offset after them.
func (l *Log) indexBatches(s *segment, batches []byte, pos int64) (end Offset) {
	aborted := l.abortedEntries()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := pos
	for rest := batches; len(rest) > 0; {
		b, r, err := record.Next(rest)
		if err != nil {
			invariant.Always(false, "commitlog: batch at %d of an append: %v", at, err)
		}
		s.mu.idx.add(b, at, len(b))
		if e := b.LeaderEpoch(); e >= 0 {
			if last, ok := l.epochs.latest(); !ok || e > last.Epoch {
				l.epochs.assign(e, b.BaseOffset())
			}
		}
		end = b.NextOffset()
		at += int64(len(b))
		rest = r
	}
	s.mu.aborted = append(s.mu.aborted, aborted...)
	s.markGoodLocked(pos, at)
	return end
}

// abortedEntries returns the index entries of the transactions that this append aborted.
func (l *Log) abortedEntries() []AbortedTxn {
	var entries []AbortedTxn
	for _, c := range l.ended {
		if c.aborted {
			entries = append(entries, AbortedTxn{
				ProducerID: c.id, FirstOffset: c.first, LastOffset: c.last, LastStable: l.producers.stableAfter(c, l.changed),
			})
		}
	}
	return entries
}
