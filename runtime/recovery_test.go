package runtime

import (
	"errors"
	"testing"
	"time"
)

func TestResetsGoOnTooLongOnlyOneAfterTheOther(t *testing.T) {
	const limit = 5 * time.Minute
	cause := errors.New("the transaction was aborted")
	start := time.Unix(1_700_000_000, 0)
	for name, c := range map[string]struct {
		at   []time.Duration
		want bool // of the last
	}{
		"the first":                              {at: []time.Duration{0}},
		"within the limit":                       {at: []time.Duration{0, 2 * time.Minute, limit}},
		"for longer":                             {at: []time.Duration{0, 2 * time.Minute, 4 * time.Minute, limit + 1}, want: true},
		"an hour after one that passed":          {at: []time.Duration{0, time.Hour}},
		"each long after the one before":         {at: []time.Duration{0, time.Hour, 2 * time.Hour, 3 * time.Hour}},
		"for longer, an hour after one":          {at: []time.Duration{0, time.Hour, time.Hour + 3*time.Minute, time.Hour + 6*time.Minute}, want: true},
		"just not long enough after one another": {at: []time.Duration{0, limit, 2 * limit}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			var r resets
			var got bool
			for _, at := range c.at {
				got = r.add(start.Add(at), cause, limit)
			}
			if got != c.want {
				t.Errorf("too long: %v, want %v", got, c.want)
			}
		})
	}
}

func TestACauseOfLongAgoIsNotWhyATaskIsRetried(t *testing.T) {
	var r resets
	start := time.Unix(1_700_000_000, 0)
	if err := r.present(start, time.Minute); err != nil {
		t.Errorf("before any reset: %v", err)
	}
	cause := errors.New("the transaction was aborted")
	r.add(start, cause, time.Minute)
	if err := r.present(start.Add(time.Minute), time.Minute); err != cause {
		t.Errorf("within the limit: %v", err)
	}
	if err := r.present(start.Add(time.Minute+1), time.Minute); err != nil {
		t.Errorf("after it: %v", err)
	}
}
