package group

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

func stableGroup(tb testing.TB, members int) *world {
	w := newWorld(Config{})
	var assign []Assignment
	for i := range members {
		label := fmt.Sprint(i)
		w.join(label, &JoinRequest{Group: "g", ClientID: label, ProtocolType: "consumer", Protocols: []Protocol{{Name: "range", Metadata: storyMetadata("+t")}},
			SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute})
	}
	g := w.m.groups["g"]
	for _, mb := range g.order {
		if mb.join == 0 {
			w.join(mb.id, &JoinRequest{Group: "g", MemberID: mb.id, ProtocolType: "consumer", Protocols: mb.protocols,
				SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute})
		}
		assign = append(assign, Assignment{MemberID: mb.id, Data: []byte("some partitions")})
	}
	w.sync("leader", &SyncRequest{Group: "g", MemberID: g.leader, Generation: g.generation, Assignments: assign})
	if g.state != Stable {
		tb.Fatalf("the group is %v", g.state)
	}
	return w
}

func TestHeartbeatDoesNotAllocate(t *testing.T) {
	w := stableGroup(t, 3)
	g := w.m.groups["g"]
	r := HeartbeatRequest{Group: "g", MemberID: g.leader, Generation: g.generation}
	if n := testing.AllocsPerRun(100, func() {
		if err := w.m.Heartbeat(w.now, &r); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a heartbeat makes %v allocations", n)
	}
}

// An offset is decoded from its own record, strings and all: what is allowed here is that, and nothing that grows with the
// number of offsets or members.
func TestCommitAllocatesLittle(t *testing.T) {
	w := stableGroup(t, 3)
	g := w.m.groups["g"]
	r := commitOf(g, 10)
	res, _ := w.m.Commit(w.now, r) // makes the maps
	_ = res
	if n := testing.AllocsPerRun(100, func() {
		if _, err := w.m.Commit(w.now, r); err != nil {
			t.Fatal(err)
		}
	}); n > 4*10 {
		t.Errorf("a commit of 10 offsets makes %v allocations", n)
	}
}

func commitOf(g *group, partitions int) *CommitRequest {
	r := &CommitRequest{Group: "g", MemberID: g.leader, Generation: g.generation, Producer: entry.NoProducer()}
	for p := range partitions {
		r.Offsets = append(r.Offsets, CommitOffset{Topic: "some-topic", Partition: int32(p), Offset: 1, LeaderEpoch: 3, Metadata: "a note"})
	}
	return r
}

func BenchmarkHeartbeat(b *testing.B) {
	w := stableGroup(b, 100)
	g := w.m.groups["g"]
	r := HeartbeatRequest{Group: "g", MemberID: g.leader, Generation: g.generation}
	b.ReportAllocs()
	for b.Loop() {
		if err := w.m.Heartbeat(w.now, &r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit stores one offset per operation.
func BenchmarkCommit(b *testing.B) {
	w := stableGroup(b, 100)
	r := commitOf(w.m.groups["g"], 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.m.Commit(w.now, r); err != nil {
			b.Fatal(err)
		}
	}
}
