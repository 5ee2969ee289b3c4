package meter

import (
	"testing"
	"time"
)

func TestQuantilesAreAtMostAnEighthOff(t *testing.T) {
	for _, d := range []time.Duration{
		0, time.Microsecond, 7 * time.Microsecond, 8 * time.Microsecond, 9 * time.Microsecond, 100 * time.Microsecond, 127 * time.Microsecond, 128 * time.Microsecond,
		time.Millisecond, 12345 * time.Microsecond, time.Second, time.Minute, time.Hour,
	} {
		end := bucketEnd(bucketOf(d))
		if end < d || end > d+d/8 {
			t.Errorf("%v counts as %v", d, end)
		}
	}
	if i := bucketOf(365 * 24 * time.Hour); i != buckets-1 {
		t.Errorf("a year is in bucket %d of %d", i, buckets)
	}
	for i := 1; i < buckets; i++ {
		if bucketEnd(i) <= bucketEnd(i-1) || bucketOf(bucketEnd(i)) != i || bucketOf(bucketEnd(i-1)+time.Microsecond) != i {
			t.Fatalf("bucket %d ends at %v, the one before at %v", i, bucketEnd(i), bucketEnd(i-1))
		}
	}
}

func TestQuantilesTellOfNow(t *testing.T) {
	var tm Timing
	now := time.Unix(1000, 0)
	for range 1000 {
		tm.Observe(now, time.Second)
	}
	now = now.Add(window)
	for range 1000 {
		tm.Observe(now, time.Millisecond)
	}
	s := tm.Summary(now)
	if s.Count != 2000 || s.Sum != 1001*time.Second {
		t.Errorf("%d durations of %v together", s.Count, s.Sum)
	}
	if p50, p99 := s.Quantiles[0.5], s.Quantiles[0.99]; p50 > 2*time.Millisecond || p99 < time.Second {
		t.Errorf("with a window's slow half p50 is %v and p99 %v", p50, p99)
	}
	now = now.Add(window)
	if p99 := tm.Summary(now).Quantiles[0.99]; p99 > 2*time.Millisecond {
		t.Errorf("p99 is %v two windows after the last slow one", p99)
	}
	now = now.Add(2 * window)
	if s := tm.Summary(now); s.Quantiles != nil || s.Count != 2000 {
		t.Errorf("after two silent windows there are %d durations and the quantiles %v", s.Count, s.Quantiles)
	}
	now = now.Add(-time.Hour) // the clock was set back
	tm.Observe(now, time.Second)
	if s := tm.Summary(now); s.Count != 2001 || s.Quantiles[0.5] < time.Second {
		t.Errorf("after the clock was set back there are %d durations, p50 %v", s.Count, s.Quantiles[0.5])
	}
}

func TestRequestsAreCountedByVersionAndError(t *testing.T) {
	m := New([]int16{3, 18})
	now := time.Unix(1000, 0)
	r := m.Of(3)
	r.Done(now, 9, Spent{Total: 10 * time.Millisecond, Wait: 6 * time.Millisecond, Send: time.Millisecond})
	r.Done(now, 9, Spent{Total: time.Millisecond})
	r.Error(0)
	r.Error(3)
	r.Error(3)
	versions, errors := r.Counts()
	if len(versions) != 10 || versions[9] != 2 || len(errors) != 1 || errors[3] != 2 {
		t.Errorf("versions %v, errors %v", versions, errors)
	}
	if local := r.Local.Summary(now).Sum; local != 4*time.Millisecond {
		t.Errorf("%v were spent on handling, want 4ms", local)
	}
	m.Of(99).Done(now, 1, Spent{}) // a key that nobody knows
	m.Of(99).Error(1)
	var none *Meter
	none.Of(3).Error(1)
}

func TestCountingAllocatesNothing(t *testing.T) {
	r := New([]int16{0}).Of(0)
	now := time.Unix(1000, 0)
	r.Done(now, 13, Spent{Total: time.Millisecond})
	if n := testing.AllocsPerRun(100, func() { r.Done(now, 13, Spent{Total: time.Millisecond}) }); n != 0 {
		t.Errorf("counting a request allocates %v times", n)
	}
}
