package markers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/coordinator/transactions"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// house is a Hanging with what it sees, what the coordinators say, and what it did.
type house struct {
	Hanging
	open    []OpenTxn
	owned   bool
	fault   error // of the question
	refusal error // of the abort
	asked   int
	aborted []OpenTxn
}

func newHouse(open ...OpenTxn) *house {
	h := &house{open: open}
	h.Hanging = Hanging{
		Open: func() []OpenTxn { return h.open },
		Owns: func(_ context.Context, parts []transactions.Part) ([]bool, error) {
			h.asked++
			return slices.Repeat([]bool{h.owned}, len(parts)), h.fault
		},
		Abort: func(_ context.Context, o OpenTxn) error {
			if h.refusal == nil {
				h.aborted = append(h.aborted, o)
			}
			return h.refusal
		},
		Log: slog.New(slog.DiscardHandler),
	}
	return h
}

func (h *house) rounds(t *testing.T, n int) {
	for range n {
		h.Round(t.Context())
	}
}

func openTxn(id commitlog.ProducerID, sequence int32) OpenTxn {
	return OpenTxn{
		TopicPartition: txn.TopicPartition{Topic: "t", Partition: 3},
		Producer:       commitlog.ProducerInfo{ID: id, Epoch: 2, LastSequence: sequence, TxnStart: 17},
	}
}

func TestWhatNoCoordinatorKnowsIsAbortedAfterItsRounds(t *testing.T) {
	h := newHouse(openTxn(7, 0))
	h.rounds(t, rounds-1)
	if h.asked != 0 || len(h.aborted) != 0 {
		t.Fatalf("asked %d times, aborted %v: too early", h.asked, h.aborted)
	}
	h.rounds(t, 1)
	if !slices.Equal(h.aborted, []OpenTxn{openTxn(7, 0)}) {
		t.Fatalf("aborted: %+v", h.aborted)
	}
}

func TestWhatACoordinatorOwnsIsNeverAborted(t *testing.T) {
	h := newHouse(openTxn(7, 0))
	h.owned = true
	h.rounds(t, 4*rounds)
	if h.asked == 0 || len(h.aborted) != 0 {
		t.Fatalf("asked %d times, aborted %+v", h.asked, h.aborted)
	}
	h.owned = false // it was forgotten meanwhile
	h.rounds(t, 1)
	if len(h.aborted) != 1 {
		t.Fatalf("aborted: %+v", h.aborted)
	}
}

func TestWithoutAnAnswerNothingIsAborted(t *testing.T) {
	h := newHouse(openTxn(7, 0))
	h.fault = errors.New("a coordinator is loading")
	h.rounds(t, 4*rounds)
	if h.asked == 0 || len(h.aborted) != 0 {
		t.Fatalf("asked %d times, aborted %+v", h.asked, h.aborted)
	}
}

func TestAProducerAtWorkBeginsTheWaitAnew(t *testing.T) {
	h := newHouse()
	for sequence := range int32(4 * rounds) {
		h.open = []OpenTxn{openTxn(7, sequence/(rounds-1))}
		h.rounds(t, 1)
	}
	if h.asked != 0 || len(h.aborted) != 0 {
		t.Fatalf("asked %d times, aborted %+v", h.asked, h.aborted)
	}
}

func TestAnAbortThatFailsIsTriedAgain(t *testing.T) {
	h := newHouse(openTxn(7, 0))
	h.refusal = errors.New("the disk is full")
	h.rounds(t, rounds)
	h.refusal = nil
	h.rounds(t, 1)
	if len(h.aborted) != 1 {
		t.Fatalf("aborted: %+v", h.aborted)
	}
}
