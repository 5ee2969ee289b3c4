package commitlog

import (
	"math"
	"sort"

	"github.com/millrace-io/millrace/internal/record"
)

const (
	offsetEntrySize = 8  // relative offset 4, position 4
	timeEntrySize   = 12 // timestamp 8, relative offset 4
)

// index is what a segment knows of its batches: where some of them lie, and how far time had come there. Both lists are sparse. A full list
// is thinned to half and its interval doubled, so that an index is small whatever the segment's size.
//
// It is guarded by its segment's mu.
type index struct {
	base     Offset
	interval int64 // bytes between two entries, as configured; grows when the list is thinned
	limit    int   // entries per list

	offsets []offsetEntry
	times   []timeEntry

	sinceEntry int64 // bytes indexed since the last entry
	next       Offset
	maxTime    int64  // largest timestamp so far, or record.NoTimestamp
	maxTimeRel uint32 // last offset, relative, of the first batch that reached it
	firstTime  int64  // max timestamp of the segment's first batch, or record.NoTimestamp
}

// offsetEntry says that the batch whose last offset is base+rel begins at pos.
type offsetEntry struct {
	rel uint32
	pos uint32
}

// timeEntry says that up to the batch whose last offset is base+rel no timestamp was above time.
type timeEntry struct {
	time int64
	rel  uint32
}

func newIndex(base Offset, interval int64, limit int) index {
	return index{base: base, interval: interval, limit: limit, next: base, maxTime: record.NoTimestamp, firstTime: record.NoTimestamp}
}

// add takes the batch that begins at pos into account.
func (x *index) add(b record.Batch, pos int64, size int) {
	rel := uint32(b.LastOffset() - x.base)
	if ts := b.MaxTimestamp(); ts > x.maxTime {
		x.maxTime, x.maxTimeRel = ts, rel
	}
	if x.next == x.base {
		x.firstTime = b.MaxTimestamp()
	}
	x.next = b.NextOffset()
	if x.sinceEntry > x.interval {
		x.offsets = append(x.offsets, offsetEntry{rel: rel, pos: uint32(pos)})
		x.addTime()
		x.sinceEntry = 0
		if len(x.offsets) >= x.limit {
			x.thin()
		}
	}
	x.sinceEntry += int64(size)
}

// addTime writes down how far time has come, if it has come further.
func (x *index) addTime() {
	if x.maxTime == record.NoTimestamp {
		return
	}
	if n := len(x.times); n == 0 || x.times[n-1].time < x.maxTime {
		x.times = append(x.times, timeEntry{time: x.maxTime, rel: x.maxTimeRel})
	}
}

// thin drops every second entry. Any subset of the entries is a right index.
func (x *index) thin() {
	x.offsets = everySecond(x.offsets)
	x.times = everySecond(x.times)
	x.interval *= 2
}

func everySecond[E any](s []E) []E {
	n := 0
	for i := 1; i < len(s); i += 2 {
		s[n] = s[i]
		n++
	}
	return s[:n]
}

// positionBefore returns a position at or before the batch that holds o.
func (x *index) positionBefore(o Offset) int64 {
	if o <= x.base {
		return 0
	}
	rel := uint32(min(int64(o-x.base), math.MaxUint32))
	i := sort.Search(len(x.offsets), func(i int) bool { return x.offsets[i].rel > rel })
	if i == 0 {
		return 0
	}
	return int64(x.offsets[i-1].pos)
}

// firstFrom returns the smallest offset from o on that has an entry.
func (x *index) firstFrom(o Offset) (Offset, bool) {
	rel := uint32(min(max(int64(o-x.base), 0), math.MaxUint32))
	i := sort.Search(len(x.offsets), func(i int) bool { return x.offsets[i].rel >= rel })
	if i == len(x.offsets) {
		return 0, false
	}
	return x.base + Offset(x.offsets[i].rel), true
}

// offsetBefore returns an offset such that no record below it has a timestamp of ts or later.
func (x *index) offsetBefore(ts int64) Offset {
	i := sort.Search(len(x.times), func(i int) bool { return x.times[i].time > ts })
	if i == 0 {
		return x.base
	}
	// The entry's batch is the first to reach its time, so that with a time of exactly ts it is where to begin.
	return x.firstOffsetOf(i - 1)
}

// firstOffsetOf returns the offset to begin at for time entry i: its batch's last offset, which lies inside the batch.
func (x *index) firstOffsetOf(i int) Offset { return x.base + Offset(x.times[i].rel) }
