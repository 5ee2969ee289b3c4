package commitlog

import (
	"slices"
	"sort"

	"github.com/millrace-io/millrace/internal/record"
)

// epochCache knows at which offset each leader epoch began. Both columns ascend strictly. It is guarded by Log.mu.
type epochCache struct {
	entries []EpochEntry
}

// assign notes that epoch begins at start. What contradicts it (the same or a later epoch, or a start at or past this one) was written by a
// leader that has been replaced, and goes. An epoch that is known to have begun earlier changes nothing. It reports whether anything changed.
func (c *epochCache) assign(epoch LeaderEpoch, start Offset) bool {
	if epoch < 0 {
		return false
	}
	if last, ok := c.latest(); ok && last.Epoch == epoch && last.Start <= start {
		return false
	}
	n := len(c.entries)
	for n > 0 && (c.entries[n-1].Epoch >= epoch || c.entries[n-1].Start >= start) {
		n--
	}
	c.entries = append(c.entries[:n], EpochEntry{Epoch: epoch, Start: start})
	return true
}

func (c *epochCache) latest() (EpochEntry, bool) {
	if n := len(c.entries); n > 0 {
		return c.entries[n-1], true
	}
	return EpochEntry{Epoch: record.NoLeaderEpoch, Start: record.NoOffset}, false
}

// at returns the epoch that o belongs to, or none.
func (c *epochCache) at(o Offset) LeaderEpoch {
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start > o })
	if i == 0 {
		return record.NoLeaderEpoch
	}
	return c.entries[i-1].Epoch
}

// endOf returns the largest known epoch that is not above the given one, and where it ends. An epoch above all known ones has no answer; one
// below them all is answered with itself and the first known start.
func (c *epochCache) endOf(epoch LeaderEpoch, logEnd Offset) (LeaderEpoch, Offset) {
	last, ok := c.latest()
	if epoch == record.NoLeaderEpoch || !ok || epoch > last.Epoch {
		return record.NoLeaderEpoch, record.NoOffset
	}
	if epoch == last.Epoch {
		return epoch, logEnd
	}
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Epoch > epoch })
	if i == 0 {
		return epoch, c.entries[0].Start
	}
	return c.entries[i-1].Epoch, c.entries[i].Start
}

// cutEnd forgets what begins at end or later.
func (c *epochCache) cutEnd(end Offset) {
	n := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start >= end })
	c.entries = c.entries[:n]
}

// cutStart forgets what ends at start or earlier; the epoch that start belongs to begins there now.
func (c *epochCache) cutStart(start Offset) {
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start > start })
	if i == 0 || (i == 1 && c.entries[0].Start == start) {
		return
	}
	c.entries = slices.Delete(c.entries, 0, i-1)
	c.entries[0].Start = start
}
