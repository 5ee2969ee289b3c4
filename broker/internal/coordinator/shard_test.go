package coordinator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/internal/record"
	"github.com/twmb/franz-go/pkg/kerr"
)

var ctx = context.Background()

func TestAnswersWaitForTheAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{gate: make(chan struct{})}
		set := newSumSet(nil)
		defer set.Close()
		shard := lead(set, log)
		var told, done bool
		go func() {
			err := shard.Do(ctx, func(m *sums, now time.Time, w *Writer) {
				plus("a", 1)(m, now, w)
				w.After(func() { told = true })
			})
			if err != nil {
				t.Error(err)
			}
			done = true
		}()
		synctest.Wait()
		var read int
		go func() {
			n, err := total(shard, "a")
			if err != nil {
				t.Error(err)
			}
			read = n
		}()
		synctest.Wait()
		if told || done || read != 0 {
			t.Fatalf("before the append: told %v, done %v, read %d", told, done, read)
		}
		close(log.gate)
		synctest.Wait()
		if !told || !done || read != 1 {
			t.Fatalf("after the append: told %v, done %v, read %d", told, done, read)
		}
	})
}

func TestPeekWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{gate: make(chan struct{})}
		set := newSumSet(nil)
		defer set.Close()
		shard := lead(set, log)
		go func() { _ = shard.Do(ctx, plus("a", 1)) }()
		synctest.Wait()
		var seen int
		if err := shard.Peek(ctx, func(m *sums, _ time.Time) { seen = m.total["a"] }); err != nil || seen != 1 {
			t.Fatalf("seen %d, error %v", seen, err)
		}
		close(log.gate)
	})
}

func TestStepsGatherBehindAnAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{gate: make(chan struct{}, 2)}
		set := newSumSet(nil)
		defer set.Close()
		shard := lead(set, log)
		const n = 20
		var order []int
		for i := range n {
			go func() {
				err := shard.Do(ctx, func(m *sums, now time.Time, w *Writer) {
					plus("a", 1)(m, now, w)
					w.After(func() { order = append(order, i) })
				})
				if err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		log.gate <- struct{}{}
		log.gate <- struct{}{}
		synctest.Wait()
		if log.appends != 2 {
			t.Errorf("%d steps took %d appends, want 2", n, log.appends)
		}
		if len(order) != n || !slices.IsSorted(order) {
			t.Errorf("answers went out as %v", order)
		}
		if got := replayed(log, "a"); got != n {
			t.Errorf("the log adds up to %d", got)
		}
	})
}

func leave(t *testing.T, shard *Shard[*sums], key string, n int) {
	t.Helper()
	if err := shard.Leave(ctx, plus(key, n)); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsLeftGoesIntoTheLogWithTheNextStep(t *testing.T) {
	nothing := func(*sums, time.Time, *Writer) {}
	for name, next := range map[string]func(m *sums, now time.Time, w *Writer){"that writes": plus("a", 10), "that writes nothing": nothing} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &fakeLog{}
				set := newSumSet(nil)
				defer set.Close()
				shard := lead(set, log)
				leave(t, shard, "a", 1)
				leave(t, shard, "a", 1)
				if log.appends != 0 {
					t.Fatalf("%d appends before the next step", log.appends)
				}
				if err := shard.Do(ctx, next); err != nil {
					t.Fatal(err)
				}
				want, err := total(shard, "a")
				if err != nil {
					t.Fatal(err)
				}
				if got := replayed(log, "a"); got != want || log.appends != 1 {
					t.Fatalf("with the next: %d of %d in the log, %d appends", got, want, log.appends)
				}
			})
		})
	}
}

func TestWhatIsLeftGoesIntoTheLogWithoutANextStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		set := newSumSet(nil)
		defer set.Close()
		shard := lead(set, log)
		for want := 1; want <= 3; want++ {
			leave(t, shard, "a", 1)
			time.Sleep(leaveFor)
			synctest.Wait()
			if got := replayed(log, "a"); got != want || log.appends != want {
				t.Fatalf("after %v: %d of %d in the log, %d appends", leaveFor, got, want, log.appends)
			}
		}
	})
}

func TestWhatIsLeftDuringAnAppendIsWrittenBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{gate: make(chan struct{}, 2)}
		set := newSumSet(nil)
		defer set.Close()
		shard := lead(set, log)
		go func() { _ = shard.Do(ctx, plus("a", 1)) }()
		synctest.Wait()
		began := time.Now()
		leave(t, shard, "a", 10)
		log.gate <- struct{}{}
		log.gate <- struct{}{}
		synctest.Wait()
		if got := replayed(log, "a"); got != 11 {
			t.Fatalf("the log adds up to %d, want 11", got)
		}
		if waited := time.Since(began); waited != 0 {
			t.Fatalf("it waited %v", waited)
		}
	})
}

func TestWhatIsLeftIsForgottenWithTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{refuse: errBroken}
		set := newSumSet(nil)
		defer set.Close()
		shard := lead(set, log)
		leave(t, shard, "a", 1)
		time.Sleep(leaveFor)
		synctest.Wait()
		if n, err := total(shard, "a"); n != 0 || err != nil {
			t.Fatalf("the sum is %d, error %v; the log refused it", n, err)
		}
	})
}

func TestWhatIsLeftIsWrittenByWhoResigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		set := newSumSet(nil)
		shard := lead(set, log)
		leave(t, shard, "a", 1)
		set.Close()
		if got := replayed(log, "a"); got != 1 {
			t.Fatalf("the log adds up to %d, want 1", got)
		}
		time.Sleep(2 * leaveFor)
		synctest.Wait()
		if log.appends != 1 {
			t.Fatalf("%d appends, want 1: the shard wrote after it was resigned", log.appends)
		}
	})
}

// Clients learn what to do; why the log refused is told to whoever runs the server, once for all refusals in a row.
func TestTheCauseOfARefusalIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		var causes []error
		set := NewSet(Config[*sums]{New: newSums, Refused: func(_ *Shard[*sums], cause error) { causes = append(causes, cause) }})
		defer set.Close()
		shard := lead(set, log)
		for round := range 2 {
			for range 3 {
				log.set(func(l *fakeLog) { l.refuse = fmt.Errorf("append: %w", errBroken) })
				if err := shard.Do(ctx, plus("a", 1)); err != kerr.CoordinatorNotAvailable {
					t.Fatalf("round %d: the client is told %v", round, err)
				}
				time.Sleep(loadRetryMax) // until the state is loaded anew
			}
			if len(causes) != round+1 || !errors.Is(causes[round], errBroken) {
				t.Fatalf("round %d: told the causes %v", round, causes)
			}
			if err := shard.Do(ctx, plus("a", 1)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRefusedAppendReloadsFromTheLog(t *testing.T) {
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprintf("written=%v", written), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &fakeLog{gate: make(chan struct{}, 10)}
				var unloads []error
				set := newSumSet(func(_ *Shard[*sums], why error) { unloads = append(unloads, why) })
				shard := lead(set, log)
				log.gate <- struct{}{}
				if err := shard.Do(ctx, plus("a", 1)); err != nil {
					t.Fatal(err)
				}
				log.set(func(l *fakeLog) { l.refuse, l.anyway = errBroken, written })
				var errs [2]error
				for i := range errs {
					go func() { errs[i] = shard.Do(ctx, plus("a", 10)) }()
					synctest.Wait()
				}
				log.gate <- struct{}{}
				synctest.Wait()
				for i, err := range errs {
					if err != kerr.CoordinatorNotAvailable {
						t.Errorf("step %d of the refused append and behind it: %v", i, err)
					}
				}
				if len(unloads) != 1 {
					t.Errorf("told %d times that the state is gone", len(unloads))
				}
				want := 1
				if written {
					want = 11
				}
				if got, err := total(shard, "a"); err != nil || got != want {
					t.Errorf("after the reload the sum is %d (%v), the log says %d", got, err, want)
				}
				close(log.gate)
				if err := shard.Do(ctx, plus("a", 1)); err != nil || replayed(log, "a") != want+1 {
					t.Errorf("after the reload a step gives %v, the log adds up to %d", err, replayed(log, "a"))
				}
				set.Close()
			})
		})
	}
}

func TestStepWaitsForTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		set := newSumSet(nil)
		shard := lead(set, log)
		if err := shard.Do(ctx, plus("a", 5)); err != nil {
			t.Fatal(err)
		}
		set.Close()

		set = newSumSet(nil)
		defer set.Close()
		log.set(func(l *fakeLog) { l.noReads = errBroken })
		shard = lead(set, log)
		began := time.Now()
		if _, err := total(shard, "a"); err != kerr.CoordinatorLoadInProgress {
			t.Errorf("a shard that does not load answers %v", err)
		}
		if took := time.Since(began); took != DefaultLoadWait {
			t.Errorf("that took %v", took)
		}
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if err := shard.Do(canceled, plus("a", 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("a canceled request got %v", err)
		}
		log.set(func(l *fakeLog) { l.noReads = nil })
		time.Sleep(loadRetryMax) // in the bubble: the next try
		if got, err := total(shard, "a"); err != nil || got != 5 {
			t.Errorf("loaded %d, %v", got, err)
		}
	})
}

func TestResignEndsEveryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{gate: make(chan struct{})}
		var why []error
		set := newSumSet(func(_ *Shard[*sums], err error) { why = append(why, err) })
		shard := lead(set, log)
		var errs [2]error
		for i := range errs {
			go func() { errs[i] = shard.Do(ctx, plus("a", 1)) }()
			synctest.Wait()
		}
		set.Resign(0)
		synctest.Wait()
		for i, err := range errs {
			if err != kerr.NotCoordinator {
				t.Errorf("step %d got %v", i, err)
			}
		}
		if len(why) != 1 || why[0] != kerr.NotCoordinator {
			t.Errorf("told that the state is gone: %v", why)
		}
		if err := shard.Do(ctx, plus("a", 1)); err != kerr.NotCoordinator {
			t.Errorf("the old shard answers %v", err)
		}
		if _, err := set.Shard(0); err != kerr.NotCoordinator {
			t.Errorf("the set answers %v", err)
		}
		set.Resign(0) // again
		set.Close()
		set.Close()
	})
}

func TestOnlyANewerEpochLoadsAnew(t *testing.T) {
	log := &fakeLog{}
	set := newSumSet(nil)
	defer set.Close()
	set.Lead(3, 5, log)
	first, _ := set.Shard(3)
	for _, epoch := range []int32{4, 5} {
		set.Lead(3, epoch, log)
		if s, _ := set.Shard(3); s != first {
			t.Errorf("epoch %d replaced the shard of epoch 5", epoch)
		}
	}
	set.Lead(3, 6, log)
	second, _ := set.Shard(3)
	if second == first || second.Epoch() != 6 || second.Partition() != 3 {
		t.Errorf("epoch 6 is led by the shard of partition %d, epoch %d", second.Partition(), second.Epoch())
	}
	if err := first.Do(ctx, plus("a", 1)); err != kerr.NotCoordinator {
		t.Errorf("the shard of epoch 5 answers %v", err)
	}
	set.Close()
	set.Lead(4, 1, log)
	if len(set.All()) != 0 {
		t.Error("a closed set leads again")
	}
}

func TestTickComesAtTheDeadlineAndOnlyThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		set := newSumSet(nil)
		defer set.Close()
		shard := lead(set, log)
		setDeadline := func(d time.Duration) {
			if err := shard.Peek(ctx, func(m *sums, now time.Time) { m.deadline = now.Add(d) }); err != nil {
				t.Fatal(err)
			}
		}
		ticks := func() int {
			synctest.Wait()
			n, err := total(shard, "ticks")
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		setDeadline(time.Hour)
		setDeadline(time.Minute) // sooner
		time.Sleep(time.Minute - 1)
		if n := ticks(); n != 0 {
			t.Fatalf("%d ticks before the deadline", n)
		}
		time.Sleep(time.Nanosecond)
		if n := ticks(); n != 1 {
			t.Fatalf("%d ticks at the deadline", n)
		}
		time.Sleep(24 * time.Hour)
		if n := ticks(); n != 1 {
			t.Fatalf("%d ticks without a deadline", n)
		}
		setDeadline(-time.Second)
		if n := ticks(); n != 2 {
			t.Fatalf("%d ticks after a deadline in the past", n)
		}
		if got := replayed(log, "ticks"); got != 2 {
			t.Fatalf("the ticks wrote %d", got)
		}
	})
}

func TestTransactionsAreWrittenApartAndReplayed(t *testing.T) {
	log := &fakeLog{}
	set := newSumSet(nil)
	shard := lead(set, log)
	p := entry.Producer{ID: 7, Epoch: 2}
	err := shard.DoTxn(ctx, p, func(m *sums, now time.Time, w *Writer) {
		plus("a", 1)(m, now, w)
		m.Apply(add("a", 10), p)
		w.AppendTxn(p, add("a", 10))
		m.Apply(add("b", 20), p)
		w.AppendTxn(p, add("b", 20))
		plus("a", 100)(m, now, w)
	})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for b := range record.All(log.data) {
		kinds = append(kinds, fmt.Sprintf("%d/%d:%d txn=%v", b.ProducerID(), b.ProducerEpoch(), b.Count(), b.Attributes().IsTransactional()))
	}
	if want := []string{"-1/-1:1 txn=false", "7/2:2 txn=true", "-1/-1:1 txn=false"}; !slices.Equal(kinds, want) {
		t.Errorf("batches %v, want %v", kinds, want)
	}
	if got := replayed(log, "a"); got != 101 {
		t.Errorf("before the marker a is %d", got)
	}
	if err := shard.Marker(ctx, entry.Marker{Producer: p, CoordinatorEpoch: 3, Commit: true}); err != nil {
		t.Fatal(err)
	}
	if got, _ := total(shard, "a"); got != 111 {
		t.Errorf("after the marker a is %d", got)
	}
	if a, b := replayed(log, "a"), replayed(log, "b"); a != 111 || b != 20 {
		t.Errorf("replayed after the marker: %d, %d", a, b)
	}
	set.Close()
}

func TestFencedProducerCostsNoReload(t *testing.T) {
	log := &fakeLog{fenced: kerr.InvalidProducerEpoch}
	set := newSumSet(func(*Shard[*sums], error) { t.Error("the state was dropped") })
	shard := lead(set, fencedLog{log})
	p := entry.Producer{ID: 7}
	if err := shard.DoTxn(ctx, p, func(*sums, time.Time, *Writer) { t.Error("the step ran") }); err != kerr.InvalidProducerEpoch {
		t.Errorf("a fenced producer got %v", err)
	}
	if err := shard.Marker(ctx, entry.Marker{Producer: p}); err != kerr.InvalidProducerEpoch {
		t.Errorf("a fenced marker got %v", err)
	}
	if log.appends != 0 {
		t.Errorf("%d appends", log.appends)
	}
}

func TestBatchesStayBelowTheirLimit(t *testing.T) {
	log := &fakeLog{}
	set := NewSet(Config[*sums]{New: newSums, MaxBatchBytes: 1000})
	defer set.Close()
	shard := lead(set, log)
	const n = 100
	err := shard.Do(ctx, func(m *sums, now time.Time, w *Writer) {
		for range n {
			plus("a key of some length", 1)(m, now, w)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var batches int
	for b := range record.All(log.data) {
		if batches++; len(b) > 1000 {
			t.Errorf("a batch of %d bytes", len(b))
		}
	}
	if got := replayed(log, "a key of some length"); batches < 2 || got != n {
		t.Errorf("%d batches that add up to %d", batches, got)
	}
}

// Whatever the log refuses and however often the partition moves, what was acknowledged is in the log, and what a shard
// answers is what its log says.
func TestAcknowledgedStepsAreInTheLog(t *testing.T) {
	log := &fakeLog{}
	set := newSumSet(nil)
	set.Lead(0, 0, log)
	const workers, steps = 8, 300
	var acked [workers]int
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			key := fmt.Sprint(i)
			for range steps {
				if rnd.IntN(40) == 0 {
					log.set(func(l *fakeLog) { l.refuse, l.anyway = errBroken, rnd.IntN(2) == 0 })
				}
				shard, err := set.Shard(0)
				if err == nil {
					err = shard.Do(ctx, plus(key, 1))
				}
				if err == nil {
					acked[i]++
				}
			}
		})
	}
	wg.Go(func() {
		for epoch := range int32(20) {
			set.Lead(0, epoch+1, log)
		}
	})
	wg.Wait()
	log.set(func(l *fakeLog) { l.refuse = nil })
	shard, err := set.Shard(0)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range acked {
		got, err := total(shard, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if logged := replayed(log, fmt.Sprint(i)); got != logged || logged < n || n == 0 {
			t.Errorf("worker %d: acknowledged %d, state %d, log %d", i, n, got, logged)
		}
	}
	set.Close()
}

func TestPartitionOfHashesLikeJava(t *testing.T) {
	for _, c := range []struct {
		key  string
		hash int32 // String.hashCode of the key
	}{
		{"", 0}, {"a", 97}, {"abc", 96354}, {"hello world", 1794106052}, {"consumer-group", -1738392088}, {"é", 233},
		{"\U0001F600", 1772899}, {"polygenelubricants", -1 << 31},
	} {
		var want int32
		if c.hash != -1<<31 {
			want = max(c.hash, -c.hash) % 50
		}
		if got := PartitionOf(c.key, 50); got != want {
			t.Errorf("%q is in partition %d of 50, in Kafka in %d", c.key, got, want)
		}
	}
}

// Whoever panics, the shard goes on with what its log says.
func TestPanicsDropTheState(t *testing.T) {
	caught := func(f func()) (p any) {
		defer func() { p = recover() }()
		f()
		return nil
	}
	for name, bad := range map[string]func(*Shard[*sums], *fakeLog){
		"a step": func(s *Shard[*sums], _ *fakeLog) {
			_ = s.Do(ctx, func(m *sums, now time.Time, w *Writer) {
				plus("a", 1000)(m, now, w)
				panic("a bug")
			})
		},
		"an answer": func(s *Shard[*sums], _ *fakeLog) {
			_ = s.Do(ctx, func(m *sums, now time.Time, w *Writer) {
				plus("a", 10)(m, now, w)
				w.After(func() { panic("a bug") })
			})
		},
		"a look": func(s *Shard[*sums], _ *fakeLog) {
			_ = s.Peek(ctx, func(*sums, time.Time) { panic("a bug") })
		},
		"the log's check of a producer": func(s *Shard[*sums], l *fakeLog) {
			s.log = checksBadly{l}
			defer func() { s.log = l }()
			_ = s.DoTxn(ctx, entry.Producer{ID: 1}, plus("a", 1000))
		},
		"the log's check of a marker": func(s *Shard[*sums], l *fakeLog) {
			s.log = checksBadly{l}
			defer func() { s.log = l }()
			_ = s.Marker(ctx, entry.Marker{})
		},
		"the log": func(s *Shard[*sums], l *fakeLog) {
			l.set(func(l *fakeLog) { l.panics = true })
			_ = s.Do(ctx, plus("a", 1000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &fakeLog{}
				set := newSumSet(nil)
				defer set.Close()
				shard := lead(set, log)
				if err := shard.Do(ctx, plus("a", 1)); err != nil {
					t.Fatal(err)
				}
				if caught(func() { bad(shard, log) }) == nil {
					t.Error("the panic was swallowed")
				}
				synctest.Wait()
				got, err := total(shard, "a")
				if want := replayed(log, "a"); err != nil || got != want || got > 11 {
					t.Errorf("afterwards the sum is %d (%v), the log says %d", got, err, want)
				}
				if err := shard.Do(ctx, plus("a", 1)); err != nil || replayed(log, "a") != got+1 {
					t.Errorf("a step afterwards: %v, the log adds up to %d", err, replayed(log, "a"))
				}
			})
		})
	}
}

// checksBadly is a log with a bug.
type checksBadly struct{ *fakeLog }

func (checksBadly) CheckProducer(entry.Producer) error { panic("a bug") }
func (checksBadly) CheckMarker(entry.Marker) error     { panic("a bug") }

func TestStepThatPanicsDuringAnAppendDropsTheStateAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{gate: make(chan struct{})}
		set := newSumSet(nil)
		defer set.Close()
		shard := lead(set, log)
		var first, waits error = errBroken, nil
		go func() { first = shard.Do(ctx, plus("a", 1)) }()
		synctest.Wait()
		go func() { waits = shard.Do(ctx, plus("a", 10)) }()
		synctest.Wait()
		go func() {
			defer func() { _ = recover() }()
			_ = shard.Do(ctx, func(*sums, time.Time, *Writer) { panic("a bug") })
		}()
		synctest.Wait()
		close(log.gate)
		synctest.Wait()
		if first != nil || waits != kerr.UnknownServerError {
			t.Errorf("the append before the panic: %v, the step behind it: %v", first, waits)
		}
		if got, err := total(shard, "a"); err != nil || got != 1 {
			t.Errorf("the sum is %d, %v", got, err)
		}
	})
}
