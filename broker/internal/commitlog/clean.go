package commitlog

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/internal/record"
)

// CleanOptions go with [Log.Clean].
type CleanOptions struct {
	// UpTo is the last stable offset: nothing at or above it is looked at.
	UpTo Offset
	Now  time.Time
}

// CleanStats tell what a cleaning did.
type CleanStats struct {
	BytesRead, BytesWritten  int64
	RecordsRead, RecordsKept int64
	Segments                 int    // segments that were replaced
	Cleaned                  Offset // where the dirty part begins now
}

// errFull ends the building of the offset map before the dirty part's end.
var errFull = errors.New("offset map is full")

// cleaner is one cleaning of one log.
type cleaner struct {
	l     *Log
	cfg   *Config
	o     CleanOptions
	stats CleanStats

	segs     []*segment // all that may be rewritten, each with a reference: from the log's first to the last below the bound
	dirty    Offset     // where the dirty part begins
	mapEnd   Offset     // the map knows the keys of [dirty, mapEnd)
	keys     *offsetMap
	txns     *txnTracker
	unpacker *record.Decompressor
	builder  record.Builder
}

// DirtyRatio returns which part of the log's cleanable bytes has not been cleaned, and whether a cleaning is due by the topic's rules.
func (l *Log) DirtyRatio(upTo Offset, now time.Time) (ratio float64, due bool) {
	cfg := l.config()
	if !cfg.Compact || l.usable() != nil {
		return 0, false
	}
	dirty := l.dirtyStart()
	bound, err := l.cleanBound(cfg, upTo, now)
	if err != nil {
		return 0, false
	}
	var clean, unclean int64
	overdue := false
	segs := l.segs()
	for i, s := range segs[:max(len(segs)-1, 0)] {
		end := segs[i+1].base
		if end > bound {
			break
		}
		if end <= dirty {
			clean += s.size.Load()
			continue
		}
		unclean += s.size.Load()
		if cfg.MaxCompactionLag > 0 && !overdue {
			overdue = l.isOlder(s, now.Add(-cfg.MaxCompactionLag).UnixMilli())
		}
	}
	if unclean == 0 {
		return 0, false
	}
	ratio = float64(unclean) / float64(clean+unclean)
	return ratio, ratio > cfg.MinDirtyRatio || overdue
}

// isOlder tells whether the first batch of s is older than a time.
func (l *Log) isOlder(s *segment, ms int64) bool {
	if err := l.ensureIndex(s); err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.idx.firstTime != record.NoTimestamp && s.mu.idx.firstTime < ms
}

// dirtyStart returns where the dirty part begins.
func (l *Log) dirtyStart() Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.cleaned, l.LogStart())
}

// cleanBound returns the offset at which the cleanable part ends (C1): the last stable offset, the active segment, or the first segment that
// holds a record younger than the minimum lag.
func (l *Log) cleanBound(cfg *Config, upTo Offset, now time.Time) (Offset, error) {
	segs := l.segs()
	if len(segs) == 0 {
		return 0, nil
	}
	bound := min(upTo, segs[len(segs)-1].base)
	if cfg.MinCompactionLag <= 0 {
		return bound, nil
	}
	young := now.Add(-cfg.MinCompactionLag).UnixMilli()
	for _, s := range segs[max(segmentFor(segs, l.dirtyStart()), 0):] {
		if s.base >= bound {
			break
		}
		newest, err := l.newest(s)
		if err != nil {
			return 0, err
		}
		if newest > young {
			return s.base, nil
		}
	}
	return bound, nil
}

// Clean compacts the log: of each key it keeps the last record and drops those before it. What it keeps stays at its offset.
//
//	C1  only whole segments below the bound are touched, never the active one
//	C2  a record stays if it is the last of its key in the dirty part, or its key does not occur there
//	C3  a tombstone is stamped with the time from which it may go, and goes in a later pass
//	C4  aborted data goes at once; a marker goes, stamped in the same way, when its transaction has no data left
//	C5  the batch with an active producer's last sequence stays, emptied if need be, and so does the last batch of every segment: what is
//	    left has no gap at a segment's end, so that a gap there always means loss
//	C6  a segment is written aside, flushed, and put in its place by a rename; small neighbours become one
//
// Reads and appends go on beside it. Close and Truncate make it stop with [ErrCleanAborted]; what it has replaced by then stays.
func (l *Log) Clean(o CleanOptions) (CleanStats, error) {
	l.cleanMu.Lock()
	defer l.cleanMu.Unlock()
	cfg := l.config()
	c := &cleaner{l: l, cfg: cfg, o: o, unpacker: record.NewDecompressor(cfg.MaxDecompressed)}
	defer c.close()
	if err := c.run(); err != nil {
		return c.stats, fmt.Errorf("commitlog: clean %s: %w", l.dir, err)
	}
	return c.stats, nil
}

func (c *cleaner) close() {
	for _, s := range c.segs {
		_ = s.release() // a handle that was only read from
	}
}

func (c *cleaner) run() error {
	l := c.l
	if err := l.usable(); err != nil {
		return err
	}
	c.dirty = l.dirtyStart()
	c.mapEnd, c.stats.Cleaned = c.dirty, c.dirty
	bound, err := l.cleanBound(c.cfg, c.o.UpTo, c.o.Now)
	if err != nil {
		return err
	}
	segs := l.segs()
	n := 0
	for n+1 < len(segs) && segs[n+1].base <= bound {
		if !segs[n].acquire() {
			return ErrCleanAborted
		}
		c.segs = append(c.segs, segs[n])
		n++
	}
	if n == 0 || segs[n].base <= c.dirty {
		return nil
	}
	dirtyEnd := segs[n].base
	// What is cleaned must be durable: the cleaned copy will be, and it must not outlive what it stands between.
	if err := l.Flush(dirtyEnd); err != nil {
		return err
	}
	if err := c.prepareTxns(dirtyEnd); err != nil {
		return err
	}
	if err := c.buildMap(dirtyEnd); err != nil {
		return err
	}
	if err := c.rewriteAll(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleaned = max(l.cleaned, c.mapEnd)
	c.stats.Cleaned = c.mapEnd
	return nil
}

// prepareTxns collects the aborted transactions of the part to clean, and the producers that are active.
func (c *cleaner) prepareTxns(end Offset) error {
	aborted, err := c.l.AbortedIn(nil, 0, end)
	if err != nil {
		return err
	}
	c.l.mu.Lock()
	active := c.l.producers.snapshotOf()
	c.l.mu.Unlock()
	c.txns = newTxnTracker(aborted, active)
	return nil
}

// buildMap enters the keys of [dirty, end) into the map, as far as it takes them.
func (c *cleaner) buildMap(end Offset) error {
	c.keys = newOffsetMap(c.cfg.CleanerMemory)
	c.mapEnd = end
	for _, s := range c.segs[max(segmentFor(c.segs, c.dirty), 0):] {
		err := c.eachBatch(s, func(b record.Batch) error {
			if _, aborted := c.txns.abortedBy(b); aborted || b.LastOffset() < c.dirty || b.Attributes().IsControl() {
				return nil
			}
			return c.mapBatch(b)
		})
		if errors.Is(err, errFull) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mapBatch enters the keys of one batch. If the map cannot take the next key, the map ends before its record.
func (c *cleaner) mapBatch(b record.Batch) error {
	it, err := b.Records(c.unpacker)
	if err != nil {
		return err
	}
	var r record.Record
	for it.Next(&r) {
		if r.Key == nil || r.Offset < c.dirty {
			continue
		}
		if !c.keys.put(r.Key, r.Offset) {
			c.mapEnd = r.Offset
			return errFull
		}
	}
	return it.Err()
}

// rewriteAll cleans the segments below the map's end, in groups that become one segment each.
func (c *cleaner) rewriteAll() error {
	segs := c.segs
	for len(segs) > 0 && segs[0].base < c.mapEnd {
		n := c.groupSize(segs)
		if err := c.rewriteGroup(segs[:n]); err != nil {
			return err
		}
		segs = segs[n:]
	}
	return nil
}

// groupSize returns how many of the first segments fit into one.
func (c *cleaner) groupSize(segs []*segment) int {
	n, size := 1, segs[0].size.Load()
	for n < len(segs) && segs[n].base < c.mapEnd {
		size += segs[n].size.Load()
		end, ok := c.l.following(segs[n].base)
		if size > c.cfg.SegmentBytes || !ok || end-segs[0].base > math.MaxInt32 {
			break
		}
		n++
	}
	return n
}

// interrupted tells whether somebody waits for the log to be left alone.
func (c *cleaner) interrupted() error {
	if c.l.cleanStops.Load() > 0 {
		return ErrCleanAborted
	}
	return c.l.usable()
}
