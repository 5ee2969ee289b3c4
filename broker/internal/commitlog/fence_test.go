package commitlog

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// A marker for a transaction that was looked at is refused once its producer has gone on: what it would end is not what was seen.
func TestAMarkerForWhatWasSeenEndsNothingElse(t *testing.T) {
	l := openLog(t, vfs.NewMem(), Config{}, OpenOptions{})
	write := func(sequence int32) {
		p := record.Producer{ID: 9, Epoch: 1, BaseSequence: sequence}
		l.append(makeBatch(batchOpts{producer: p, attrs: record.Transactional}, values(int(sequence), 2)...))
	}
	write(0)
	seen := l.OpenTransactions()
	if len(seen) != 1 || seen[0].ID != 9 || seen[0].TxnStart != 0 {
		t.Fatalf("open: %+v", seen)
	}
	write(2)
	abort := MarkerOptions{ProducerID: 9, ProducerEpoch: 1, Only: &seen[0], Now: t0}
	if err := l.CheckMarker(abort); !errors.Is(err, ErrInvalidTxnState) {
		t.Errorf("CheckMarker: %v", err)
	}
	if _, err := l.AppendMarker(abort); !errors.Is(err, ErrInvalidTxnState) || l.End() != 4 {
		t.Fatalf("AppendMarker: %v, the log ends at %d", err, l.End())
	}
	seen = l.OpenTransactions()
	abort.Only = &seen[0]
	if _, err := l.AppendMarker(abort); err != nil {
		t.Fatal(err)
	}
	if got := l.OpenTransactions(); len(got) != 0 || l.LastStable(l.End()) != 5 {
		t.Fatalf("open: %+v, last stable %d", got, l.LastStable(l.End()))
	}
}
