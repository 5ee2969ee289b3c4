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

// crowd is a consumer group with so many members and partitions, at rest.
func crowd(tb testing.TB, members int, partitions int32) *world {
	w := newWorld(Config{MaxBytes: 1 << 30, MaxGroupBytes: 1 << 30})
	w.topics.create("t", partitions)
	for i := range members {
		res, b := w.m.ConsumerHeartbeat(w.now, &ConsumerHeartbeatRequest{Group: "g", MemberID: fmt.Sprintf("m%05d", i), Topics: []string{"t"}, Owned: []OwnedTopic{}})
		w.write(res)
		if b.Err != nil {
			tb.Fatal(b.Err)
		}
	}
	w.advance(defaultAssignmentInterval)
	for range 2 { // everybody gives up, then gets
		for _, mb := range w.m.groups["g"].consumer.inOrder() {
			res, b := w.m.ConsumerHeartbeat(w.now, &ConsumerHeartbeatRequest{Group: "g", MemberID: mb.id, MemberEpoch: mb.epoch, Rebalance: -1, Owned: mb.assigned.byTopic()})
			w.write(res)
			if b.Err != nil {
				tb.Fatal(b.Err)
			}
		}
	}
	return w
}

// A heartbeat of a consumer group at rest costs its answer, however large the group is.
func TestConsumerHeartbeatAllocatesItsAnswer(t *testing.T) {
	w := crowd(t, 100, 100)
	mb := w.m.groups["g"].consumer.members["m00042"]
	r := ConsumerHeartbeatRequest{Group: "g", MemberID: mb.id, MemberEpoch: mb.epoch, Rebalance: -1, ClientID: mb.clientID}
	if n := testing.AllocsPerRun(100, func() {
		if res, b := w.m.ConsumerHeartbeat(w.now, &r); b.Err != nil || len(res.Records) > 0 {
			t.Fatalf("%+v, %d records", b, len(res.Records))
		}
	}); n > 2 {
		t.Errorf("a heartbeat makes %v allocations", n)
	}
}

func BenchmarkConsumerHeartbeat(b *testing.B) {
	w := crowd(b, 1000, 1000)
	mb := w.m.groups["g"].consumer.members["m00042"]
	r := ConsumerHeartbeatRequest{Group: "g", MemberID: mb.id, MemberEpoch: mb.epoch, Rebalance: -1}
	b.ReportAllocs()
	for b.Loop() {
		w.m.ConsumerHeartbeat(w.now, &r)
	}
}

// BenchmarkConsumerCrowd is a thousand members that join a topic of a thousand partitions and come to rest.
func BenchmarkConsumerCrowd(b *testing.B) {
	for b.Loop() {
		crowd(b, 1000, 1000)
	}
}
