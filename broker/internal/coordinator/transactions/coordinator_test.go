package transactions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/txn"
)

// T6: the decision is answered when it is in the log, not when the markers are written; and the next transaction waits on
// the server for them (design decision 19).
func TestEndIsAnsweredBeforeMarkersAndTheNextBeginWaitsForThem(t *testing.T) {
	for name, request := range map[string]func(h *harness, who, next txn.Identity) error{
		"the next begin": func(h *harness, _, next txn.Identity) error { return h.addErr("x", next, 2) },
		"a repeated end": func(h *harness, who, next txn.Identity) error {
			r := h.EndTxn(context.Background(), txn.EndRequest{ID: "x", Identity: who, Commit: true, Protocol: txn.V2})
			if r.Err == nil && r.Identity != next {
				return fmt.Errorf("goes on as %v, want %v", r.Identity, next)
			}
			return r.Err
		},
		"the next init": func(h *harness, _, _ txn.Identity) error {
			return h.InitProducerID(context.Background(), txn.InitRequest{ID: "x", Timeout: time.Second, Expected: txn.None}).Err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, &memLog{}, &memMarkers{})
				defer h.Close()
				who := h.init("x")
				h.add("x", who, 0, 1)
				open := h.markers.close()
				before := time.Now()
				next := h.end("x", who, true)
				if want := (txn.Identity{ProducerID: who.ProducerID, Epoch: 1}); next != want {
					t.Fatalf("the producer goes on as %v, want %v", next, want)
				}
				if s := h.state("x"); s != txn.PrepareCommit {
					t.Fatalf("state %v while the markers are held back", s)
				}
				done := make(chan error, 1)
				go func() { done <- request(h, who, next) }()
				synctest.Wait()
				select {
				case err := <-done:
					t.Fatalf("it came back before the markers: %v", err)
				default:
				}
				open()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if waited := time.Since(before); waited != 0 {
					t.Fatalf("it came %v after the markers", waited)
				}
				h.wantMarkers("t/0 commit 1000/1", "t/1 commit 1000/1")
			})
		})
	}
}

// A busy producer's transaction costs the coordinator two appends: what completes it goes with what begins the next.
func TestACompletionIsWrittenWithTheNextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		h := start(t, log, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0)
		for range 3 {
			open := h.markers.close()
			who = h.end("x", who, true)
			before := log.appended()
			next := make(chan error, 1)
			go func() { next <- h.addErr("x", who, 0) }()
			synctest.Wait()
			open()
			if err := <-next; err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := log.appended() - before; n != 1 {
				t.Fatalf("the completion and the next begin took %d appends, want 1", n)
			}
		}
		crashed := start(t, log.copy(), &memMarkers{})
		defer crashed.Close()
		if s := crashed.state("x"); s != txn.Ongoing {
			t.Fatalf("state %v in the log, want %v", s, txn.Ongoing)
		}
	})
}

func TestACompletionIsWrittenWithoutANextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		h := start(t, log, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0)
		h.end("x", who, true)
		time.Sleep(time.Second)
		crashed := start(t, log.copy(), &memMarkers{})
		defer crashed.Close()
		if s := crashed.state("x"); s != txn.CompleteCommit {
			t.Fatalf("state %v in the log, want %v", s, txn.CompleteCommit)
		}
	})
}

// A completion lies in memory only until the next request writes: when the log refuses that, or the leader dies, the debt is paid again.
func TestACompletionThatIsRefusedWithTheNextBeginIsDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		h := start(t, log, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0)
		open := h.markers.close()
		next := h.end("x", who, true)
		begun := make(chan error, 1)
		go func() { begun <- h.addErr("x", next, 0) }()
		synctest.Wait()
		log.setRefuse(errOffline)
		open()
		if err := <-begun; err != kerr.CoordinatorNotAvailable {
			t.Fatalf("AddPartitions on a log that refuses: %v, want COORDINATOR_NOT_AVAILABLE", err)
		}
		log.setRefuse(nil)
		for h.addErr("x", next, 0) != nil {
			time.Sleep(time.Millisecond)
		}
		if s := h.state("x"); s != txn.Ongoing {
			t.Fatalf("state %v, want %v", s, txn.Ongoing)
		}
		for _, m := range h.markers.all() {
			if m != "t/0 commit 1000/1" {
				t.Fatalf("marker %s", m)
			}
		}
	})
}

func TestAWaitForMarkersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0)
		defer h.markers.close()()
		next := h.end("x", who, true)
		began := time.Now()
		if err := h.addErr("x", next, 0); err != kerr.ConcurrentTransactions {
			t.Fatalf("AddPartitions: %v, want CONCURRENT_TRANSACTIONS", err)
		}
		if waited := time.Since(began); waited != MarkerWait {
			t.Fatalf("it waited %v, want %v", waited, MarkerWait)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		r := h.InitProducerID(ctx, txn.InitRequest{ID: "x", Timeout: time.Second, Expected: txn.None})
		if r.Err != kerr.ConcurrentTransactions {
			t.Fatalf("InitProducerID: %v, want CONCURRENT_TRANSACTIONS", r.Err)
		}
	})
}

// Kafka 4.3.1 skips the marker of a partition that has no leader for a moment and completes all the same; the producer's
// next commit then shows the aborted records (KAFKA-20734). Here the marker is owed (design decision 20).
func TestAMarkerThatCouldNotBeWrittenIsOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		defer h.Close()
		h.markers.setRefuse("t", 1, errOffline)
		who := h.init("x")
		h.add("x", who, 0, 1)
		next := h.end("x", who, false)
		time.Sleep(10 * time.Minute) // virtual
		if s := h.state("x"); s != txn.PrepareAbort {
			t.Fatalf("state %v with a marker missing, want PrepareAbort", s)
		}
		h.wantMarkers("t/0 abort 1000/1")
		if max := 10*60/int(retryMax.Seconds()) + 20; h.markers.tries > max {
			t.Fatalf("%d tries in ten minutes, want at most %d", h.markers.tries, max)
		}
		h.markers.setRefuse("t", 1, nil)
		time.Sleep(2 * retryMax)
		if s := h.state("x"); s != txn.CompleteAbort {
			t.Fatalf("state %v after the last marker, want CompleteAbort", s)
		}
		h.wantMarkers("t/0 abort 1000/1", "t/1 abort 1000/1")
		h.add("x", next, 1)
	})
}

func TestADeletedPartitionOwesNoMarker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		defer h.Close()
		h.markers.setRefuse("t", 0, ErrGone)
		who := h.init("x")
		h.add("x", who, 0, 1)
		h.end("x", who, true)
		synctest.Wait()
		if s := h.state("x"); s != txn.CompleteCommit {
			t.Fatalf("state %v, want CompleteCommit", s)
		}
	})
}

// T14, decision 20: a coordinator that stops between Prepare and the markers, or between the markers, leaves a debt that
// the next one pays in full; a marker written twice is the same decision.
func TestACrashLeavesTheDebtToTheNextLeader(t *testing.T) {
	for _, crash := range []struct {
		name    string
		written []string
	}{
		{"before the first marker", nil},
		{"between two markers", []string{"t/0 commit 1000/1"}},
	} {
		t.Run(crash.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, &memLog{}, &memMarkers{})
				who := h.init("x")
				h.add("x", who, 0, 1)
				h.markers.setRefuse("t", 1, errOffline)
				if crash.written == nil {
					h.markers.setRefuse("t", 0, errOffline)
				}
				next := h.end("x", who, true)
				synctest.Wait()
				h.wantMarkers(crash.written...)
				h.Close()

				h2 := start(t, h.log.copy(), &memMarkers{})
				defer h2.Close()
				synctest.Wait()
				h2.wantMarkers("t/0 commit 1000/1", "t/1 commit 1000/1")
				h2.add("x", next, 0)
				if err := h2.addErr("x", who, 0); err != kerr.ProducerFenced {
					t.Fatalf("the ended transaction's identity: %v, want PRODUCER_FENCED", err)
				}
			})
		})
	}
}

// RP#6018: a coordinator that keeps partitions in memory until the commit loses them with itself. Here what was answered
// is in the log.
func TestAnsweredPartitionsSurviveACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		who := h.init("x")
		h.add("x", who, 0)
		h.add("x", who, 1)
		crashed := h.log.copy()
		h.Close()

		h2 := start(t, crashed, &memMarkers{})
		defer h2.Close()
		h2.add("x", who, 2)
		h2.end("x", who, true)
		synctest.Wait()
		h2.wantMarkers("t/0 commit 1000/1", "t/1 commit 1000/1", "t/2 commit 1000/1")
	})
}

// RP#8236, T3: a transaction that nobody ends is aborted at its time-out, also by the next leader.
func TestATransactionThatNobodyEndsIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		x, y := h.init("x"), h.init("y")
		h.add("x", x, 0)
		time.Sleep(20 * time.Second)
		h.add("y", y, 1)
		time.Sleep(10*time.Second - 1)
		h.wantMarkers()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		h.wantMarkers("t/0 abort 1000/1")
		h.Close()

		h2 := start(t, h.log.copy(), &memMarkers{})
		defer h2.Close()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		h2.wantMarkers("t/1 abort 1001/1")
		r := h2.EndTxn(t.Context(), txn.EndRequest{ID: "y", Identity: y, Commit: true, Protocol: txn.V2})
		if r.Err != kerr.ProducerFenced {
			t.Fatalf("a commit after the time-out: %v, want PRODUCER_FENCED", r.Err)
		}
	})
}

// After a refused write the state is what the log says, and what was refused has no effect.
func TestARefusedWriteHasNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0)
		h.log.setRefuse(kerr.NotEnoughReplicas)
		r := h.EndTxn(t.Context(), txn.EndRequest{ID: "x", Identity: who, Commit: true, Protocol: txn.V2})
		if r.Err != kerr.CoordinatorNotAvailable || r.Identity != txn.None {
			t.Fatalf("EndTxn: %v, %v, want COORDINATOR_NOT_AVAILABLE", r.Err, r.Identity)
		}
		h.log.setRefuse(nil)
		synctest.Wait()
		if s := h.state("x"); s != txn.Ongoing {
			t.Fatalf("state %v, want Ongoing", s)
		}
		h.wantMarkers()
		h.end("x", who, true)
		synctest.Wait()
		h.wantMarkers("t/0 commit 1000/1")
	})
}

// franz-go v1.21.4: EndTxn that answered UNKNOWN_SERVER_ERROR was taken for a commit. It is never answered.
func TestNoAnswerIsUnknownServerError(t *testing.T) {
	for _, refusal := range []error{kerr.MessageTooLarge, kerr.UnknownServerError, kerr.KafkaStorageError, errors.New("input/output error")} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, &memLog{}, &memMarkers{})
			defer h.Close()
			who := h.init("x")
			h.add("x", who, 0)
			h.log.setRefuse(refusal)
			r := h.EndTxn(t.Context(), txn.EndRequest{ID: "x", Identity: who, Commit: true, Protocol: txn.V2})
			var k *kerr.Error
			if !errors.As(r.Err, &k) || !k.Retriable || k == kerr.UnknownServerError {
				t.Errorf("refused with %v, EndTxn answers %v", refusal, r.Err)
			}
		})
	}
}

// The Complete record may be refused: the markers are written again, and whoever waits for them is not forgotten.
func TestARefusedCompletionIsDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0)
		open := h.markers.close()
		next := h.end("x", who, true)
		waiting := make(chan error, 1)
		go func() { waiting <- h.addErr("x", next, 0) }()
		synctest.Wait()
		h.log.setRefuse(errors.New("disk full"))
		open()
		time.Sleep(time.Minute) // a disk that reads but does not write must not make us spin
		h.log.setRefuse(nil)
		if n := h.log.refused; n < 5 || n > 40 {
			t.Fatalf("%d refused writes in a minute", n)
		}
		// The waiting request came in again meanwhile, and its own write may have met the refusal.
		if err := <-waiting; err != nil && err != kerr.CoordinatorNotAvailable && err != kerr.CoordinatorLoadInProgress {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		h.add("x", next, 0)
		for _, m := range h.markers.all() {
			if m != "t/0 commit 1000/1" {
				t.Fatalf("marker %q", m)
			}
		}
	})
}

// Under protocol 1 a marker that is written late would end the next transaction: a new incarnation begins only when the
// one before writes no more.
func TestTheNextLeaderWaitsForTheMarkersOfTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{stuck: true})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0)
		open := h.markers.close()
		h.end("x", who, true)
		synctest.Wait()
		led := make(chan struct{})
		go func() {
			h.Lead(0, 4, h.log) // a new epoch
			_, err := h.Describe(context.Background(), "x")
			for err == kerr.CoordinatorLoadInProgress || err == kerr.NotCoordinator {
				time.Sleep(time.Second)
				_, err = h.Describe(context.Background(), "x")
			}
			close(led)
		}()
		time.Sleep(time.Minute)
		select {
		case <-led:
			t.Fatal("the new incarnation answers while the old one writes a marker")
		default:
		}
		open()
		<-led
	})
}

func TestResignEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0)
		defer h.markers.close()()
		next := h.end("x", who, true)
		waiting := make(chan error, 1)
		go func() { waiting <- h.addErr("x", next, 0) }()
		synctest.Wait()
		h.Resign(0)
		if err := <-waiting; err != kerr.NotCoordinator {
			t.Fatalf("%v, want NOT_COORDINATOR", err)
		}
		if err := h.addErr("x", next, 0); err != kerr.NotCoordinator {
			t.Fatalf("%v, want NOT_COORDINATOR", err)
		}
	})
}

// I7: ids come in blocks and never repeat, however many ask at once.
func TestProducerIDsNeverRepeat(t *testing.T) {
	h := start(t, &memLog{}, &memMarkers{})
	defer h.Close()
	const askers, each = 8, 50
	var mu sync.Mutex
	seen := make(map[txn.ProducerID]bool)
	var all sync.WaitGroup
	for range askers {
		all.Go(func() {
			for range each {
				id, err := h.NewProducerID(t.Context())
				mu.Lock()
				if err != nil || seen[id] {
					t.Errorf("id %d: seen %v, error %v", id, seen[id], err)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(seen) != askers*each {
		t.Fatalf("%d ids, want %d", len(seen), askers*each)
	}
}

func TestTheControllersRefusalReachesTheClient(t *testing.T) {
	h := start(t, &memLog{}, &memMarkers{})
	defer h.Close()
	h.ids.err = kerr.NotController
	if _, err := h.NewProducerID(t.Context()); err != kerr.NotController {
		t.Fatalf("NewProducerID: %v", err)
	}
	r := h.InitProducerID(t.Context(), txn.InitRequest{ID: "x", Timeout: time.Second, Expected: txn.None})
	if r.Err != kerr.NotController {
		t.Fatalf("InitProducerID: %v", r.Err)
	}
	h.ids.err = nil
	h.init("x")
}

func TestListAndDescribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		defer h.Close()
		a := h.init("a")
		h.init("b")
		h.add("a", a, 0)
		time.Sleep(5 * time.Second)
		list := func(f txn.Filter) (ids []string) {
			found, err := h.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range found {
				ids = append(ids, x.ID)
			}
			return ids
		}
		for _, c := range []struct {
			name string
			f    txn.Filter
			want int
		}{
			{"all", txn.Filter{Longer: txn.NoDuration}, 2},
			{"ongoing", txn.Filter{Longer: txn.NoDuration, States: []txn.State{txn.Ongoing}}, 1},
			{"only names that are none", txn.Filter{Longer: txn.NoDuration, NoState: true}, 0},
			{"by producer", txn.Filter{Longer: txn.NoDuration, ProducerIDs: map[txn.ProducerID]struct{}{a.ProducerID: {}}}, 1},
			{"longer than 4 s", txn.Filter{Longer: 4 * time.Second}, 2},
			{"longer than 6 s, and those that never began", txn.Filter{Longer: 6 * time.Second}, 1},
		} {
			if got := list(c.f); len(got) != c.want {
				t.Errorf("%s: %q", c.name, got)
			}
		}
		if _, err := h.Describe(t.Context(), "c"); err != kerr.TransactionalIDNotFound {
			t.Errorf("an unknown id: %v", err)
		}
	})
}

func BenchmarkCommit(b *testing.B) {
	h := start(b, &memLog{}, &memMarkers{})
	defer h.Close()
	who := h.init("x")
	b.ReportAllocs()
	for b.Loop() {
		h.add("x", who, 0, 1, 2, 3)
		who = h.end("x", who, true)
	}
}
