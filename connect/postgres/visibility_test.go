package postgres

import (
	"testing"

	"github.com/jackc/pglogrepl"
)

func TestASnapshotSawWhatHadEnded(t *testing.T) {
	v, err := parseVisibility("100:110:105,101")
	if err != nil {
		t.Fatal(err)
	}
	v.LSN = 1000
	for _, c := range []struct {
		name   string
		xid    uint32
		commit uint64
		want   bool
	}{
		{"before all that ran", 99, 900, true},
		{"ended between", 102, 900, true},
		{"was running", 101, 900, false},
		{"was running too", 105, 900, false},
		{"began later", 110, 900, false},
		{"committed behind the snapshot's place", 102, 1001, false},
	} {
		if got := v.saw(c.xid, pglogrepl.LSN(c.commit)); got != c.want {
			t.Errorf("%s: saw(%d) is %t", c.name, c.xid, got)
		}
	}
}

func TestTransactionIDsWrapAround(t *testing.T) {
	v := visibility{Xmin: 1<<32 - 2, Xmax: 1<<32 + 5, Running: []uint64{1<<32 + 1}, LSN: 10}
	for xid, want := range map[uint32]bool{1<<32 - 3: true, 1<<32 - 1: true, 0: true, 1: false, 4: true, 5: false} {
		if got := v.saw(xid, 1); got != want {
			t.Errorf("saw(%d) is %t", xid, got)
		}
	}
}

func TestBrokenSnapshotsAreRefused(t *testing.T) {
	for _, s := range []string{"", "1:2", "a:2:", "1:b:", "1:2:c"} {
		if _, err := parseVisibility(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}
