package commitlog

import (
	"errors"
	"slices"

	"github.com/millrace-io/millrace/internal/record"
)

// rewriteGroup cleans neighbouring segments into one and puts it in their place.
func (c *cleaner) rewriteGroup(group []*segment) error {
	end, ok := c.l.following(group[len(group)-1].base)
	if !ok {
		return ErrCleanAborted // deleted meanwhile
	}
	out, err := c.createCleaned(group[0].base)
	if err != nil {
		return c.l.writeError(err)
	}
	changed := len(group) > 1
	for _, s := range group {
		if err = c.l.ensureIndex(s); err != nil { // the swap needs its aborted transactions
			break
		}
		var ch bool
		if ch, err = c.rewriteSegment(s, end, out); err != nil {
			break
		}
		changed = changed || ch
	}
	if finishErr := out.finish(); err == nil && finishErr != nil {
		err = c.l.writeError(finishErr)
	}
	if err != nil || !changed {
		return errors.Join(err, out.discard())
	}
	c.stats.BytesWritten += out.size
	return c.swap(group, end, out)
}

// rewriteSegment appends to out what stays of s. The group ends at offset end. changed tells whether anything differs.
func (c *cleaner) rewriteSegment(s *segment, end Offset, out *cleanedFile) (changed bool, err error) {
	c.stats.BytesRead += s.size.Load()
	err = c.eachBatch(s, func(b record.Batch) error {
		c.stats.RecordsRead += int64(b.Count())
		kept, err := c.filter(b, b.NextOffset() == end)
		if err != nil {
			return err
		}
		changed = changed || len(kept) != len(b) || (len(kept) > 0 && &kept[0] != &b[0])
		if len(kept) == 0 {
			return nil
		}
		c.stats.RecordsKept += int64(kept.Count())
		if err := out.add(kept); err != nil {
			return c.l.writeError(err)
		}
		return nil
	})
	return changed, err
}

// filter returns what stays of a batch: the batch itself, a new one that lies in the builder, or nothing.
func (c *cleaner) filter(b record.Batch, lastOfGroup bool) (record.Batch, error) {
	if b.BaseOffset() >= c.mapEnd {
		return b, nil
	}
	mustStay := lastOfGroup || b.NextOffset() == c.o.UpTo || c.txns.isLastOf(b)
	if b.Attributes().IsControl() {
		return c.filterMarker(b, mustStay), nil
	}
	aborted := c.txns.sawData(b)
	switch {
	case b.Count() == 0 && mustStay:
		return b, nil
	case b.Count() == 0:
		return nil, nil
	case aborted && b.LastOffset() < c.mapEnd:
		return c.emptied(b, mustStay), nil
	case aborted:
		return b, nil // reaches past the map; the next pass takes it
	}
	return c.filterData(b, mustStay)
}

// filterMarker decides on a control batch (C4).
func (c *cleaner) filterMarker(b record.Batch, mustStay bool) record.Batch {
	if b.Count() == 0 {
		if mustStay {
			return b
		}
		return nil
	}
	_, isMarker, err := b.Marker()
	if err != nil || !isMarker {
		return b // not ours to judge
	}
	if !c.txns.sawMarker(b) {
		return b
	}
	horizon, stamped := b.DeleteHorizon()
	if stamped && horizon <= c.o.Now.UnixMilli() {
		return c.emptied(b, mustStay)
	}
	if stamped {
		return b
	}
	return c.stamp(b)
}

// stamp returns a copy of b that names the time from which its tombstones or marker may go.
func (c *cleaner) stamp(b record.Batch) record.Batch {
	c.builder.Reset()
	c.builder.SetBaseTimestamp(c.horizon())
	it, err := b.Records(c.unpacker)
	if err != nil {
		return b
	}
	var r record.Record
	for it.Next(&r) {
		c.builder.CopyRecord(&r)
	}
	if it.Err() != nil {
		return b
	}
	return c.builder.FinishAs(b, b.Attributes()|record.HasDeleteHorizon)
}

// horizon returns the delete horizon of what this pass meets for the first time.
func (c *cleaner) horizon() int64 {
	return c.o.Now.Add(max(c.cfg.DeleteRetention, 0)).UnixMilli()
}

// emptied returns b without its records, or nothing.
func (c *cleaner) emptied(b record.Batch, mustStay bool) record.Batch {
	if !mustStay {
		return nil
	}
	c.builder.Reset()
	if b.Attributes().HasDeleteHorizon() {
		c.builder.SetBaseTimestamp(b.BaseTimestamp())
	}
	return c.builder.FinishAs(b, b.Attributes())
}

// filterData keeps the records of a data batch that C2 and C3 keep.
func (c *cleaner) filterData(b record.Batch, mustStay bool) (record.Batch, error) {
	horizon, stamped := b.DeleteHorizon()
	keepTombstones := !stamped || horizon > c.o.Now.UnixMilli()
	dropped, tombstones, err := c.copyKept(b, b.BaseTimestamp(), keepTombstones)
	if err != nil {
		return nil, err
	}
	attrs := b.Attributes()
	switch {
	case c.builder.Count() == 0:
		return c.emptied(b, mustStay), nil
	case tombstones && !stamped:
		if _, _, err := c.copyKept(b, c.horizon(), keepTombstones); err != nil {
			return nil, err
		}
		attrs |= record.HasDeleteHorizon
	case !dropped:
		return b, nil
	}
	return c.builder.FinishAs(b, attrs), nil
}

// copyKept copies the records that stay into the builder, their times counted from base.
func (c *cleaner) copyKept(b record.Batch, base int64, keepTombstones bool) (dropped, tombstones bool, err error) {
	c.builder.Reset()
	c.builder.SetBaseTimestamp(base)
	it, err := b.Records(c.unpacker)
	if err != nil {
		return false, false, err
	}
	var r record.Record
	for it.Next(&r) {
		if !c.keeps(&r, keepTombstones) {
			dropped = true
			continue
		}
		tombstones = tombstones || r.Value == nil
		c.builder.CopyRecord(&r)
	}
	return dropped, tombstones, it.Err()
}

// keeps decides on one record (C2, C3).
func (c *cleaner) keeps(r *record.Record, keepTombstones bool) bool {
	if r.Offset >= c.mapEnd {
		return true
	}
	if r.Key == nil || r.Offset < c.keys.latest(r.Key) {
		return false
	}
	return r.Value != nil || keepTombstones
}

// swap puts a cleaned segment in the place of its group (C6). After the first rename a crash leads to the new state, before it to the old.
func (c *cleaner) swap(group []*segment, end Offset, out *cleanedFile) error {
	l, base := c.l, group[0].base
	swapPath := l.fs.PathJoin(l.dir, swapName(base, end))
	if err := l.fs.Rename(out.path, swapPath); err != nil {
		return l.writeError(errors.Join(err, out.discard()))
	}
	if err := syncDir(l.fs, l.dir); err != nil {
		return l.fail(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	segs := l.segs()
	at := slices.Index(segs, group[0])
	if at < 0 || at+len(group) > len(segs) || !slices.Equal(segs[at:at+len(group)], group) {
		return errors.Join(ErrCleanAborted, removeIfExists(l.fs, swapPath))
	}
	for _, s := range group[1:] {
		if err := errors.Join(s.removeFiles(), removeIfExists(l.fs, s.path(suffixSnapshot))); err != nil {
			return l.fail(err)
		}
	}
	first := group[0]
	for _, suffix := range []string{suffixSummary, suffixIndex, suffixTime, suffixTxn} {
		if err := removeIfExists(l.fs, first.path(suffix)); err != nil {
			return l.fail(err)
		}
	}
	if err := l.fs.Rename(swapPath, first.path(suffixLog)); err != nil {
		return l.fail(err)
	}
	l.dirDirty = true
	return c.publish(segs, at, group, end, out)
}

// publish replaces a group, which ends at offset end, by its cleaned segment in the list. mu is held.
func (c *cleaner) publish(segs []*segment, at int, group []*segment, end Offset, out *cleanedFile) error {
	l := c.l
	s := newSegment(l.fs, l.dir, group[0].base, c.cfg)
	s.size.Store(out.size)
	s.mu.idx, s.mu.loaded = out.idx, true
	s.mu.goodHi = out.size
	for _, old := range group {
		old.mu.Lock()
		for _, a := range old.mu.aborted {
			if a.LastOffset >= c.mapEnd || c.txns.met[a] { // of the others no data was left before this pass
				s.mu.aborted = append(s.mu.aborted, a)
			}
		}
		old.mu.Unlock()
	}
	next := make([]*segment, 0, len(segs)-len(group)+1)
	next = append(append(append(next, segs[:at]...), s), segs[at+len(group):]...)
	l.setSegs(next)
	c.stats.Segments += len(group)
	var errs []error
	for _, old := range group {
		errs = append(errs, old.release())
	}
	err := l.writeIndexes(s)
	if err == nil && out.idx.next < end { // Kafka's cleaner had left a gap at the group's end: without a summary the segment stays Kafka's
		err = removeIfExists(l.fs, s.path(suffixSummary))
	}
	if err != nil {
		return l.writeError(errors.Join(append(errs, err)...))
	}
	return errors.Join(errs...)
}
