package replica

import (
	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/internal/record"
)

// Timestamps below zero ask a LookUp for a place instead of a time; the numbers are those of ListOffsets.
const (
	LookUpLatest          = -1
	LookUpEarliest        = -2
	LookUpMaxTimestamp    = -3
	LookUpEarliestLocal   = -4
	LookUpLatestTiered    = -5
	LookUpEarliestPending = -6
)

// LookUp finds the first record at or after a time, or one of the special places. Nothing found is offset and timestamp -1. Readers of committed
// transactions do not see past the last stable offset.
func (p *Partition) LookUp(timestamp int64, committed bool) (commitlog.TimestampOffset, error) {
	none := commitlog.TimestampOffset{Offset: record.NoOffset, Timestamp: record.NoTimestamp, LeaderEpoch: record.NoLeaderEpoch}
	if err := p.check(); err != nil {
		return none, err
	}
	o := p.Offsets()
	end := o.HighWatermark
	if committed {
		end = o.LastStable
	}
	at := func(offset record.Offset, epoch record.LeaderEpoch) (commitlog.TimestampOffset, error) {
		return commitlog.TimestampOffset{Offset: offset, Timestamp: record.NoTimestamp, LeaderEpoch: epoch}, nil
	}
	switch timestamp {
	case LookUpLatest:
		return at(end, record.LeaderEpoch(p.LeaderEpoch()))
	case LookUpEarliest, LookUpEarliestLocal:
		epoch := p.log.EpochAt(o.LogStart)
		if epoch == record.NoLeaderEpoch {
			epoch = record.LeaderEpoch(p.LeaderEpoch())
		}
		return at(o.LogStart, epoch)
	case LookUpLatestTiered, LookUpEarliestPending:
		return none, nil // nothing is tiered
	case LookUpMaxTimestamp:
		return p.found(none)(p.log.MaxTimestamp(end))
	}
	return p.found(none)(p.log.OffsetForTime(timestamp, end))
}

// found turns a look-up that found nothing into none.
func (p *Partition) found(none commitlog.TimestampOffset) func(commitlog.TimestampOffset, bool, error) (commitlog.TimestampOffset, error) {
	return func(t commitlog.TimestampOffset, ok bool, err error) (commitlog.TimestampOffset, error) {
		if err != nil || !ok {
			return none, p.judge(err)
		}
		return t, nil
	}
}

// EpochEnd returns the largest epoch not above an asked one, and the offset at which it ends, exclusive. Without any it is -1 and -1.
func (p *Partition) EpochEnd(asked record.LeaderEpoch) (record.LeaderEpoch, record.Offset, error) {
	if err := p.check(); err != nil {
		return record.NoLeaderEpoch, record.NoOffset, err
	}
	if asked == record.LeaderEpoch(p.LeaderEpoch()) {
		return asked, p.log.End(), nil
	}
	epoch, end := p.log.EndOffsetForEpoch(asked)
	return epoch, end, nil
}
