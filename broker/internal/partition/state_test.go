package partition

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/internal/record"
)

func TestHighWatermarkIsTheSmallestPersistedEndInSync(t *testing.T) {
	s := New(1, 0, 0, 0)
	s.Lead(0, []int32{1, 2}, 2, 1)
	s.Appended(10)
	if s.Persisted(1, 10) {
		t.Fatal("the high watermark rose before the follower had anything")
	}
	if !s.Persisted(2, 7) {
		t.Fatal("the high watermark did not rise when the last replica got there")
	}
	if o := s.Offsets(math.MaxInt64); o.HighWatermark != 7 || o.End != 10 {
		t.Fatalf("offsets %+v, want high watermark 7 and end 10", o)
	}
	if s.Persisted(3, 100) {
		t.Fatal("a replica out of sync moved the high watermark")
	}
}

// A flush looks at the log, not at what appends have told the state: it may come first.
func TestHighWatermarkRisesWithAnAppendThatWasPersistedBeforeItWasTold(t *testing.T) {
	s := New(1, 0, 0, 0)
	s.Lead(0, []int32{1}, 1, 1)
	if s.Persisted(1, 10) {
		t.Fatal("the high watermark rose above the end")
	}
	if !s.Appended(10) || s.HighWatermark() != 10 {
		t.Fatalf("high watermark %d after the append was told, want 10", s.HighWatermark())
	}
}

func TestHighWatermarkStaysBelowMinInsyncReplicas(t *testing.T) {
	s := New(1, 0, 0, 0)
	s.Lead(0, []int32{1}, 3, 2)
	s.Appended(5)
	if s.Persisted(1, 5) || s.InSync() {
		t.Fatal("one of two replicas that must be in sync was enough")
	}
	s.Lead(0, []int32{1}, 1, 2)
	if o := s.Offsets(math.MaxInt64); o.HighWatermark != 5 {
		t.Fatalf("high watermark %d with replication factor 1, want 5: the minimum counts no further than the factor", o.HighWatermark)
	}
}

func TestOffsetsKeepTheirOrderUnderAnySteps(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		if err := randomHistory(r); err != nil {
			t.Fatal(err)
		}
	}
}

func randomHistory(r *rand.Rand) error {
	s := New(1, 0, 0, 0)
	s.Lead(0, []int32{1, 2}, 2, 1)
	end, hw := record.Offset(0), record.Offset(0)
	for step := range 100 {
		switch r.IntN(5) {
		case 0, 1:
			end += record.Offset(1 + r.IntN(5))
			s.Appended(end)
		case 2, 3:
			s.Persisted(int32(1+r.IntN(2)), record.Offset(r.Int64N(int64(end)+1)))
		case 4:
			s.Started(record.Offset(r.Int64N(int64(end) + 1)))
		}
		o := s.Offsets(record.Offset(r.Int64N(int64(end) + 1)))
		if err := o.Check(); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
		if o.HighWatermark < hw {
			return fmt.Errorf("step %d: the high watermark fell from %d to %d", step, hw, o.HighWatermark)
		}
		hw = o.HighWatermark
	}
	return nil
}
