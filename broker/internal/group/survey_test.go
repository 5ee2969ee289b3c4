package group

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

func TestASurveyHasRoomForWholeGroups(t *testing.T) {
	m := New(Config{NewID: func() string { return "x" }})
	for g := range 4 {
		r := CommitRequest{Group: fmt.Sprint("g", g), Generation: -1, Producer: entry.NoProducer()}
		for p := range int32(g) {
			r.Offsets = append(r.Offsets, CommitOffset{Topic: "t", Partition: p, Offset: int64(100*g) + int64(p)})
		}
		res, err := m.Commit(time.Unix(1, 0), &r)
		if err != nil || res.Tally.Commits != g {
			t.Fatalf("%d offsets committed are counted as %d (%v)", g, res.Tally.Commits, err)
		}
	}
	for _, c := range []struct {
		room int
		want string
	}{{6, "g1:1+0 g2:2+0 g3:3+0 "}, {5, "g1:1+0 g2:2+0 g3:0+3 "}, {2, "g1:1+0 g2:0+2 g3:0+3 "}, {0, "g1:0+1 g2:0+2 g3:0+3 "}} {
		got := ""
		for _, s := range m.Survey(c.room) {
			got += fmt.Sprintf("%s:%d+%d ", s.Group, len(s.Offsets), s.Left)
			for i, o := range s.Offsets {
				if o.Offset != int64(100*len(s.Offsets)+i) {
					t.Errorf("group %s has offset %d in partition %d", s.Group, o.Offset, o.Partition.Partition)
				}
			}
		}
		if got != c.want {
			t.Errorf("with room for %d the survey tells %swant %s", c.room, got, c.want)
		}
	}
}
