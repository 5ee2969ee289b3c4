package commitlog

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/internal/record"
)

// TestADuplicateIsKnownAfterItsSegmentIsGone: what is remembered of a batch is the offset that its client was told, which no longer needs the batch (Redpanda 5355, 5356).
func TestADuplicateIsKnownAfterItsSegmentIsGone(t *testing.T) {
	fsys := vfs.NewMem()
	l := openLog(t, fsys, Config{}, OpenOptions{})
	l.fill(6, 2)
	mine := func(first int32) record.Batch {
		return makeBatch(batchOpts{producer: record.Producer{ID: 9, BaseSequence: first}}, values(int(first), 2)...)
	}
	if i := l.append(mine(0)); i.FirstOffset != 6 {
		t.Fatalf("appended at %d", i.FirstOffset)
	}
	if err := l.Roll(t0); err != nil {
		t.Fatal(err)
	}
	l.fill(10, 2)
	if err := l.AdvanceLogStart(9); err != nil {
		t.Fatal(err)
	}
	if n := l.SegmentCount(); n != 1 {
		t.Fatalf("%d segments are left, want the last one", n)
	}
	again := func(when string, l *testLog) {
		t.Helper()
		if i := l.append(mine(0)); !i.Duplicate || i.FirstOffset != 6 || i.LastOffset != 7 {
			t.Errorf("%s, the duplicate of a batch that is deleted: %+v", when, i)
		}
	}
	again("at once", l)
	again("after a kill", l.reopenDirty(l.Checkpoint()))
	again("after a clean stop", l.reopenClean())
}

// TestASequenceThatBeginsAnewWithTheEpochIsNoDuplicate: after an abort whose answer was lost the next transaction begins at a sequence that was used, with a higher epoch
// (Redpanda 5026).
func TestASequenceThatBeginsAnewWithTheEpochIsNoDuplicate(t *testing.T) {
	l := openLog(t, vfs.NewMem(), Config{}, OpenOptions{})
	write := func(epoch record.ProducerEpoch) AppendInfo {
		t.Helper()
		p := record.Producer{ID: 9, Epoch: epoch}
		return l.append(makeBatch(batchOpts{producer: p, attrs: record.Transactional}, values(int(l.End()), 2)...))
	}
	write(0)
	if _, err := l.AppendMarker(MarkerOptions{ProducerID: 9, ProducerEpoch: 1, EpochBumped: true, Now: t0}); err != nil {
		t.Fatal(err)
	}
	if i := write(1); i.Duplicate || i.FirstOffset != 3 {
		t.Errorf("the first batch of the next transaction: %+v", i)
	}
	if i := write(1); !i.Duplicate || i.FirstOffset != 3 {
		t.Errorf("the same batch again: %+v", i)
	}
}
