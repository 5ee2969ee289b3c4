package meter

import (
	"math"
	"math/bits"
	"sync"
	"time"
)

// Timing is the distribution of durations: how many there were since the start and how long they were together, and the quantiles of the last one to two
// windows, so that they tell of now and not of yesterday. The zero Timing is empty. It is safe for concurrent use.
type Timing struct {
	mu sync.Mutex
	// The fields below are guarded by mu.
	count  uint64
	sum    time.Duration
	begun  time.Time // of the window that is being filled
	recent [2]*histogram
}

// window is how long durations count at least, twice that at most.
const window = time.Minute

// histogram counts durations by their length in microseconds, in buckets that are an eighth of a power of two wide: a quantile is at most 12.5 % off.
type histogram [buckets]uint32

const (
	steps   = 8  // buckets of a power of two
	powers  = 36 // 2^36 µs are 19 hours; what is longer counts as that
	buckets = steps * powers
)

func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < steps {
		return int(us)
	}
	power := bits.Len64(us) - 4 // the three bits below the highest choose the step
	return min((power+1)*steps+int(us>>power)-steps, buckets-1)
}

// bucketEnd is the longest duration of a bucket.
func bucketEnd(i int) time.Duration {
	if i < steps {
		return time.Duration(i) * time.Microsecond
	}
	power := i/steps - 1
	return time.Duration((uint64(i%steps+steps)+1)<<power-1) * time.Microsecond
}

// Observe counts a duration that ended now.
func (t *Timing) Observe(now time.Time, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	t.count++
	t.sum += d
	if t.recent[0] == nil {
		t.recent[0] = new(histogram)
	}
	t.recent[0][bucketOf(d)]++
}

// turn begins another window when the last one is over. It is called with mu held.
func (t *Timing) turn(now time.Time) {
	switch age := now.Sub(t.begun); {
	case age < window && age >= 0:
		return
	case age < 2*window && age >= 0:
		t.recent[0], t.recent[1] = t.recent[1], t.recent[0]
		if t.recent[0] != nil {
			*t.recent[0] = histogram{}
		}
	default:
		t.recent = [2]*histogram{}
	}
	t.begun = now
}

// Summary is what a Timing holds at one moment.
type Summary struct {
	Count     uint64        // since the start
	Sum       time.Duration // since the start
	Quantiles map[float64]time.Duration
}

// quantiles are those that a Summary has.
var quantiles = [...]float64{0.5, 0.75, 0.95, 0.98, 0.99, 0.999}

// Summary returns what t holds. Without an observation in the last windows it has no quantiles.
func (t *Timing) Summary(now time.Time) Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	s := Summary{Count: t.count, Sum: t.sum}
	var total uint64
	for _, h := range t.recent {
		if h == nil {
			continue
		}
		for _, n := range h {
			total += uint64(n)
		}
	}
	if total == 0 {
		return s
	}
	s.Quantiles = make(map[float64]time.Duration, len(quantiles))
	var below uint64
	next := 0
	for i := range buckets {
		for _, h := range t.recent {
			if h != nil {
				below += uint64(h[i])
			}
		}
		for next < len(quantiles) && below >= uint64(math.Ceil(quantiles[next]*float64(total))) {
			s.Quantiles[quantiles[next]] = bucketEnd(i)
			next++
		}
	}
	return s
}
