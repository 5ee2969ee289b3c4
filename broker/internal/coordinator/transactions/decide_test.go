package transactions

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/broker/internal/txn"
	"github.com/millrace-io/millrace/internal/record"
)

// TestWhoDecidesWritesTheMarkersAfterTheAnswer: nothing is written before, everything is when then returns.
func TestWhoDecidesWritesTheMarkersAfterTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0, 1)
		reply, then := h.DecideTxn(t.Context(), txn.EndRequest{ID: "x", Identity: who, Commit: true, Protocol: txn.V2})
		if reply.Err != nil || then == nil {
			t.Fatalf("DecideTxn: %v, markers owed: %v", reply.Err, then != nil)
		}
		synctest.Wait()
		h.wantMarkers()
		if s := h.state("x"); s != txn.PrepareCommit {
			t.Fatalf("state %v before the markers", s)
		}
		then()
		if s := h.state("x"); s != txn.CompleteCommit {
			t.Fatalf("state %v after the markers", s)
		}
		h.add("x", reply.Identity, 0)
	})
}

// TestADecisionWithoutPartitionsOwesNothing, as one that was refused.
func TestADecisionWithoutPartitionsOwesNothing(t *testing.T) {
	h := start(t, &memLog{}, &memMarkers{})
	defer h.Close()
	who := h.init("x")
	for _, commit := range []bool{true, false} {
		if _, then := h.DecideTxn(t.Context(), txn.EndRequest{ID: "x", Identity: who, Commit: commit, Protocol: txn.V2}); then != nil {
			t.Errorf("commit %v of an empty transaction owes markers", commit)
		}
	}
}

// TestMarkersThatFailAfterTheAnswerAreTriedAgain (design decision 20), by another goroutine: the caller does not wait for a partition that is offline.
func TestMarkersThatFailAfterTheAnswerAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0, 1)
		h.markers.setRefuse("t", 1, errOffline)
		_, then := h.DecideTxn(t.Context(), txn.EndRequest{ID: "x", Identity: who, Commit: true, Protocol: txn.V2})
		then()
		if s := h.state("x"); s != txn.PrepareCommit {
			t.Fatalf("state %v with a marker owed", s)
		}
		h.markers.setRefuse("t", 1, nil)
		if err := h.addErr("x", txn.Identity{ProducerID: who.ProducerID, Epoch: who.Epoch + 1}, 0); err != nil {
			t.Fatalf("the next transaction, which waits for the marker: %v", err)
		}
	})
}

// TestMarkersThatTakeLongDoNotHoldTheConnection: whoever writes them has a client to serve, whose next request may be to ask what became of them.
func TestMarkersThatTakeLongDoNotHoldTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &memLog{}, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0, 1)
		open := h.markers.close()
		reply, then := h.DecideTxn(t.Context(), txn.EndRequest{ID: "x", Identity: who, Commit: true, Protocol: txn.V2})
		returned := make(chan struct{})
		go func() {
			then()
			close(returned)
		}()
		select {
		case <-returned:
		case <-time.After(2 * MarkerWait):
			t.Error("then waits for markers that are not committed")
		}
		if s := h.state("x"); s != txn.PrepareCommit {
			t.Errorf("state %v with markers owed", s)
		}
		open()
		<-returned
		h.add("x", reply.Identity, 0) // waits for the second try
		h.wantMarkers("t/0 commit 1000/1", "t/1 commit 1000/1")
	})
}

// TestADecisionWithoutItsCompletionIsCompletedByTheNextLeader: the two may be in different batches of one append, of which a power loss leaves the first. Nobody could
// use the id any more.
func TestADecisionWithoutItsCompletionIsCompletedByTheNextLeader(t *testing.T) { // T14
	synctest.Test(t, func(t *testing.T) {
		who := txn.Identity{ProducerID: 7, Epoch: 1}
		decided := txn.Change{ID: "x", Next: &txn.Transaction{
			ID: "x", Identity: who, Next: txn.NoProducerID, Previous: txn.NoProducerID, Last: 0, State: txn.PrepareAbort, Protocol: txn.V2,
			Timeout: time.Minute, Start: time.Now(), Updated: time.Now(),
		}}.Record()
		var b record.Builder
		b.AppendRecord(time.Now().UnixMilli(), decided.Key, decided.Value, nil)
		log := &memLog{}
		if err := log.Append(t.Context(), b.Finish(record.NoProducer, 0, record.None)); err != nil {
			t.Fatal(err)
		}
		h := start(t, log, &memMarkers{})
		defer h.Close()
		synctest.Wait()
		if s := h.state("x"); s != txn.CompleteAbort {
			t.Errorf("state %v, want CompleteAbort", s)
		}
		h.add("x", who, 0)
		h.wantMarkers()
	})
}

// TestWhoIsNeverToldIsSettledByTheNextIncarnation: the server goes down between the answer and the markers.
func TestWhoIsNeverToldIsSettledByTheNextIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		h := start(t, log, &memMarkers{})
		who := h.init("x")
		h.add("x", who, 0)
		_, then := h.DecideTxn(t.Context(), txn.EndRequest{ID: "x", Identity: who, Commit: true, Protocol: txn.V2})
		h.Close()
		then() // too late: whoever leads now has found the debt in the log
		h.wantMarkers()
		next := start(t, log, &memMarkers{})
		defer next.Close()
		next.Lead(0, 4, log)
		synctest.Wait()
		next.wantMarkers("t/0 commit 1000/1")
		if s := next.state("x"); s != txn.CompleteCommit {
			t.Fatalf("state %v: nobody wrote the markers", s)
		}
	})
}

// TestAnUnwantedDecisionIsSettledAllTheSame: the client's connection ends while the decision is being written.
func TestAnUnwantedDecisionIsSettledAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		h := start(t, log, &memMarkers{})
		defer h.Close()
		who := h.init("x")
		h.add("x", who, 0)
		open := log.hold()
		first := make(chan error, 1)
		go func() { first <- h.addErr("x", who, 1) }() // it flushes, and is held up
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		type result struct {
			reply txn.Reply
			then  func()
		}
		done := make(chan result, 1)
		go func() {
			reply, then := h.DecideTxn(ctx, txn.EndRequest{ID: "x", Identity: who, Commit: true, Protocol: txn.V2})
			done <- result{reply, then}
		}()
		synctest.Wait()
		cancel()
		if r := <-done; r.reply.Err == nil || r.then != nil {
			t.Fatalf("DecideTxn gave up with %v, markers owed: %v", r.reply.Err, r.then != nil)
		}
		open()
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := h.state("x"); s != txn.CompleteCommit {
			t.Fatalf("state %v: nobody wrote the markers", s)
		}
	})
}
