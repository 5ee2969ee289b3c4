package stream

import (
	"time"

	"github.com/millrace-io/millrace/internal/topology"
)

// LimitTimeJumps bounds how far one record moves stream time. A record whose time is further ahead than most gets the highest time of its partition so far, plus most,
// as its time; where its partition has none yet, the task's stream time counts. Off by default.
//
// Without the bound, one record from the year 2200 closes every window, and all that come after it are late. With it, time moves by most at a time, and what
// comes next is in time. The price: after a true gap that is longer than most (a weekend), the first records are placed too early, until as many have come as the
// gap has steps. The very first record of all is taken as it is, since there is nothing to measure it by.
func LimitTimeJumps(most time.Duration) SourceOption {
	return func(c *sourceConfig) { c.maxJump, c.limited = most, true }
}

// limit applies the bound of a source to its extractor; nil is the topology's default.
func (c *sourceConfig) limit(of func(*topology.Wiring) topology.TimestampFunc) func(*topology.Wiring) topology.TimestampFunc {
	if !c.limited {
		return of
	}
	most := c.maxJump.Milliseconds()
	return func(w *topology.Wiring) topology.TimestampFunc {
		timeOf := topology.TimestampFunc(topology.RecordTime)
		if of != nil {
			timeOf = of(w)
		}
		streamTime := w.StreamTime()
		return func(raw *topology.RawRecord, partitionTime int64) (int64, error) {
			ts, err := timeOf(raw, partitionTime)
			from := partitionTime
			if from < 0 {
				from = streamTime()
			}
			if err != nil || from < 0 || ts-from <= most {
				return ts, err
			}
			return from + most, nil
		}
	}
}
