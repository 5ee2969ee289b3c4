package commitlog

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/millrace-io/millrace/internal/record"
)

// replayTo says how far producer state is to be built again.
type replayTo struct {
	end        Offset   // exclusive
	snapshots  []Offset // those that there may be, ascending
	snapshotBy Offset   // begin at the latest snapshot that is not above this
	collect    *segment // note the transactions that were aborted in this segment; snapshotBy must not be above its base
	now        time.Time
	aborted    []AbortedTxn // what was collected
	snapshot   Offset       // the snapshot that served, or record.NoOffset
}

// replay builds ps as it is after the batches below r.end: from the latest snapshot that holds, or from the log's first batch, and the
// headers of the batches from there (I6).
func (l *Log) replay(ps *producers, r replayTo) error {
	_, err := l.replayCollecting(ps, &r)
	return err
}

func (l *Log) replayCollecting(ps *producers, r *replayTo) ([]AbortedTxn, error) {
	ps.reset()
	r.snapshot = record.NoOffset
	for _, o := range slices.Backward(r.snapshots) {
		if o > r.snapshotBy {
			continue
		}
		if states, err := loadSnapshot(l.fs, l.dir, o, r.now.UnixMilli()); err == nil {
			ps.load(states)
			r.snapshot = o
			break
		}
	}
	segs := l.segs()
	for _, s := range segs[max(segmentFor(segs, r.snapshot), 0):] {
		if s.base >= r.end || r.snapshot >= r.end {
			break // the snapshot says it all: after a clean close the usual case, and nothing is read
		}
		if err := l.replaySegment(ps, s, r); err != nil {
			return nil, err
		}
	}
	return r.aborted, nil
}

// replaySegment applies the batches of s in [r.snapshot, r.end).
func (l *Log) replaySegment(ps *producers, s *segment, r *replayTo) error {
	f, err := s.open()
	if err != nil {
		return err
	}
	sc := newScanner(f, 0, s.size.Load(), false)
	defer sc.close()
	for {
		b, err := sc.next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return scanFailed(s, sc.pos, err)
		case b.header.BaseOffset() >= r.end:
			return nil
		case b.header.BaseOffset() < r.snapshot || b.header.ProducerID() < 0:
			continue
		}
		c, err := ps.apply(b.header, r.now.UnixMilli())
		if err != nil {
			return scanFailed(s, b.pos, err)
		}
		if c.aborted && s == r.collect {
			r.aborted = append(r.aborted, AbortedTxn{ProducerID: c.id, FirstOffset: c.first, LastOffset: c.last, LastStable: ps.stableAfter(c, nil)})
		}
	}
}

// apply brings the producer state past a batch of the log: its header, or all of a control batch. It returns the completion of a transaction,
// if the batch is one.
func (ps *producers) apply(b record.Batch, now int64) (completion, error) {
	p, _ := ps.get(b.ProducerID())
	if !b.Attributes().IsControl() {
		p.addBatch(b, now)
		ps.commit([]producerState{p}, nil)
		return completion{}, nil
	}
	m, ok, err := b.Marker()
	if err != nil || !ok {
		if err == nil && b.Count() == 0 { // an emptied marker stays for its producer's epoch
			p.setEpoch(b.ProducerEpoch())
			ps.commit([]producerState{p}, nil)
		}
		return completion{}, err
	}
	first := p.addMarker(b, m, now)
	if first == record.NoOffset {
		ps.commit([]producerState{p}, nil)
		return completion{}, nil
	}
	c := completion{id: p.id, first: first, last: b.LastOffset(), aborted: m.Type == record.AbortMarker}
	ps.commit([]producerState{p}, []completion{c})
	return c, nil
}

// snapshotOffsets returns the offsets of the producer snapshots, ascending.
func (l *Log) snapshotOffsets() ([]Offset, error) {
	names, err := l.fs.List(l.dir)
	if err != nil && !isNotExist(err) {
		return nil, err
	}
	return snapshotsAmong(names), nil
}

// snapshotsAmong returns the offsets of the producer snapshots in a directory's listing, ascending.
func snapshotsAmong(names []string) []Offset {
	var offsets []Offset
	for _, name := range names {
		if o, ok := parseName(name, suffixSnapshot); ok {
			offsets = append(offsets, o)
		}
	}
	slices.Sort(offsets)
	return offsets
}

// ensureIndex loads a segment's indexes: from its index files or, where they are missing or do not hold, from its batches.
func (l *Log) ensureIndex(s *segment) error {
	s.mu.Lock()
	loaded := s.mu.loaded
	s.mu.Unlock()
	if loaded {
		return nil
	}
	l.rebuildMu.Lock()
	defer l.rebuildMu.Unlock()
	cfg := l.config()
	idx := newIndex(s.base, int64(cfg.IndexInterval), cfg.indexEntries())
	aborted, ok := readIndexFiles(s.fs, s.dir, &idx, s.size.Load())
	if !ok {
		idx = newIndex(s.base, int64(cfg.IndexInterval), cfg.indexEntries())
		if err := l.scanIndex(s, &idx); err != nil {
			return err
		}
		snapshots, err := l.snapshotOffsets()
		if err != nil {
			return err
		}
		var ps producers
		ps.init()
		if aborted, err = l.replayCollecting(&ps, &replayTo{end: idx.next, snapshots: snapshots, snapshotBy: s.base, collect: s}); err != nil {
			return err
		}
	}
	if err := l.checkReach(s, idx.next); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.loaded {
		s.mu.idx, s.mu.aborted, s.mu.loaded = idx, aborted, true
	}
	return nil
}

// checkReach refuses a segment that ends at offset end, before the next one begins: it was cut between two batches, or the one that followed is gone, and nothing else would tell.
func (l *Log) checkReach(s *segment, end Offset) error {
	segs := l.segs()
	if i := segmentFor(segs, s.base) + 1; i < len(segs) && segs[i].base > end && !l.fromKafka(s) {
		return corruptAt(s.name(), Position(s.size.Load()), fmt.Errorf("it ends at offset %d, the next begins at %d", end, segs[i].base))
	}
	return nil
}

// scanIndex fills idx from the headers of s.
func (l *Log) scanIndex(s *segment, idx *index) error {
	f, err := s.open()
	if err != nil {
		return err
	}
	sc := newScanner(f, 0, s.size.Load(), false)
	defer sc.close()
	for {
		b, err := sc.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return scanFailed(s, sc.pos, err)
		}
		idx.add(b.header, b.pos, b.size)
	}
}
