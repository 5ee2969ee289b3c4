package broker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/broker/internal/api"
)

// followed counts its calls.
type followed struct {
	api.Followed
	calls atomic.Int32
}

func (f *followed) After() { f.calls.Add(1) }

func TestWhatFollowsAnAnswerIsDoneBehindItAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w sequel
		for range 3 {
			var f followed
			w.begin(&f)
			if n := f.calls.Load(); n != 0 {
				t.Fatalf("called %d times while the answer is written", n)
			}
			w.done()
			if n := f.calls.Load(); n != 1 {
				t.Fatalf("called %d times behind the answer, want once", n)
			}
			time.Sleep(3 * followPatience)
			synctest.Wait()
			if n := f.calls.Load(); n != 1 {
				t.Fatalf("called %d times in all, want once", n)
			}
		}
	})
}

// The timer runs since the first answer; patience counts from the answer's own beginning all the same.
func TestWhatFollowsAnAnswerWaitsForItsOwnPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w sequel
		var quick, slow followed
		w.begin(&quick)
		w.done()
		time.Sleep(followPatience / 2)
		w.begin(&slow)
		time.Sleep(followPatience - time.Millisecond)
		synctest.Wait()
		if n := slow.calls.Load(); n != 0 {
			t.Fatalf("called %d times before its patience was over", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := slow.calls.Load(); n != 1 {
			t.Fatalf("called %d times beside an answer that takes long, want once", n)
		}
		w.done()
		if n := slow.calls.Load(); n != 1 {
			t.Fatalf("called %d times in all, want once", n)
		}
		if n := quick.calls.Load(); n != 1 {
			t.Fatalf("the answer before: called %d times, want once", n)
		}
	})
}
