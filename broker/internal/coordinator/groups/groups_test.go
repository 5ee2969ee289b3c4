package groups

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/internal/record"
	"github.com/twmb/franz-go/pkg/kerr"
)

var ctx = context.Background()

// memLog is a log in memory. It refuses what it is told to refuse.
type memLog struct {
	mu     sync.Mutex
	data   []byte
	end    int64
	refuse error
	hidden error // what reads return
}

func (l *memLog) Append(_ context.Context, batches []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return l.refuse
	}
	batches = bytes.Clone(batches)
	for b := range record.All(batches) {
		b.SetBaseOffset(record.Offset(l.end))
		l.end = int64(b.NextOffset())
	}
	l.data = append(l.data, batches...)
	return nil
}

func (l *memLog) Read(_ context.Context, from int64, _ int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for b := range record.All(l.data) {
		if int64(b.LastOffset()) >= from {
			return b, l.hidden
		}
	}
	return nil, l.hidden
}

func (l *memLog) Bounds() (start, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 0, l.end
}

func (l *memLog) set(change func(*memLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func start(logs ...coordinator.Log) *Coordinator {
	var ids int
	c := New(Config{
		Group:      group.Config{NewID: func() string { ids++; return fmt.Sprint(ids) }},
		Partitions: func() int32 { return int32(len(logs)) },
	})
	for i, l := range logs {
		c.Lead(int32(i), 0, l)
	}
	return c
}

func joinAs(id, client string) *group.JoinRequest {
	return &group.JoinRequest{
		Group: "g", MemberID: id, ClientID: client, ClientHost: "/h", ProtocolType: "consumer",
		Protocols:      []group.Protocol{{Name: "range", Metadata: []byte(client)}},
		SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second,
	}
}

func commit(member string, generation int32, offset int64) *group.CommitRequest {
	return &group.CommitRequest{
		Group: "g", MemberID: member, Generation: generation, Producer: entry.NoProducer(),
		Offsets: []group.CommitOffset{{Topic: "t", Offset: offset, LeaderEpoch: -1}},
	}
}

func committed(t *testing.T, c *Coordinator, stable bool) group.FetchedOffset {
	t.Helper()
	found, err := c.Fetch(ctx, "g", Fetcher{Epoch: -1}, []group.Partition{{Topic: "t"}}, stable)
	if err != nil || len(found) != 1 {
		t.Fatalf("fetched %v, %v", found, err)
	}
	return found[0]
}

// alone makes a stable group of one.
func alone(t *testing.T, c *Coordinator) string {
	t.Helper()
	j := c.Join(ctx, joinAs("", "a"))
	if j.Err != nil {
		t.Fatal(j.Err)
	}
	s := c.Sync(ctx, &group.SyncRequest{Group: "g", MemberID: j.MemberID, Generation: j.Generation,
		Assignments: []group.Assignment{{MemberID: j.MemberID, Data: []byte("all")}}})
	if s.Err != nil || string(s.Assignment) != "all" {
		t.Fatalf("assigned %q, %v", s.Assignment, s.Err)
	}
	return j.MemberID
}

func TestMembersWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(&memLog{})
		defer c.Close()
		a := alone(t, c)
		var b *group.JoinResponse
		go func() { b = c.Join(ctx, joinAs("", "b")) }()
		synctest.Wait()
		if b != nil {
			t.Fatalf("b joined alone: %+v", b)
		}
		if err := c.Heartbeat(ctx, &group.HeartbeatRequest{Group: "g", MemberID: a, Generation: 1}); err != kerr.RebalanceInProgress {
			t.Fatalf("a is told %v", err)
		}
		j := c.Join(ctx, joinAs(a, "a"))
		synctest.Wait()
		if b == nil || b.Generation != 2 || j.Generation != 2 || len(j.Members) != 2 || len(b.Members) != 0 {
			t.Fatalf("a: %+v, b: %+v", j, b)
		}
		var s *group.SyncResponse
		go func() { s = c.Sync(ctx, &group.SyncRequest{Group: "g", MemberID: b.MemberID, Generation: 2}) }()
		synctest.Wait()
		if s != nil {
			t.Fatalf("b has an assignment before the leader made one: %+v", s)
		}
		c.Sync(ctx, &group.SyncRequest{Group: "g", MemberID: a, Generation: 2,
			Assignments: []group.Assignment{{MemberID: b.MemberID, Data: []byte("half")}}})
		synctest.Wait()
		if s == nil || string(s.Assignment) != "half" {
			t.Fatalf("b is assigned %+v", s)
		}
	})
}

func TestSessionEndsWithoutAnyRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(&memLog{})
		defer c.Close()
		alone(t, c)
		time.Sleep(10*time.Second - 1)
		if d := c.Describe(ctx, "g"); d.State != group.Stable {
			t.Fatalf("before the session's end the group is %v", d.State)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if d := c.Describe(ctx, "g"); d.State != group.Empty {
			t.Fatalf("after it the group is %v", d.State)
		}
	})
}

func TestStateSurvivesAMoveOfTheCoordinator(t *testing.T) {
	log := &memLog{}
	c := start(log)
	a := alone(t, c)
	if err := c.Commit(ctx, commit(a, 1, 7)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c = start(log)
	defer c.Close()
	if err := c.Heartbeat(ctx, &group.HeartbeatRequest{Group: "g", MemberID: a, Generation: 1}); err != nil {
		t.Errorf("the member is told %v", err)
	}
	if o := committed(t, c, true); o.Offset != 7 {
		t.Errorf("the committed offset is %d", o.Offset)
	}
	if s := c.Sync(ctx, &group.SyncRequest{Group: "g", MemberID: a, Generation: 1}); string(s.Assignment) != "all" {
		t.Errorf("the assignment is %q, %v", s.Assignment, s.Err)
	}
}

func TestWhoWaitsIsToldThatTheStateIsGone(t *testing.T) {
	for name, lose := range map[string]func(*Coordinator, *memLog, string){
		"resigned": func(c *Coordinator, _ *memLog, _ string) { c.Resign(0) },
		"log refused": func(c *Coordinator, l *memLog, a string) {
			l.set(func(l *memLog) { l.refuse = errors.New("the disk is broken") })
			if err := c.Commit(ctx, commit(a, 1, 7)); err != kerr.CoordinatorNotAvailable {
				panic(err)
			}
			l.set(func(l *memLog) { l.refuse = nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &memLog{}
				c := start(log)
				defer c.Close()
				a := alone(t, c)
				var b *group.JoinResponse
				go func() { b = c.Join(ctx, joinAs("", "b")) }()
				synctest.Wait()
				lose(c, log, a)
				synctest.Wait()
				if b == nil || b.Err != kerr.NotCoordinator {
					t.Fatalf("b is told %+v", b)
				}
				if len(c.mu.waiting) != 0 {
					t.Errorf("%d requests still wait", len(c.mu.waiting))
				}
				if name == "resigned" {
					return
				}
				if err := c.Heartbeat(ctx, &group.HeartbeatRequest{Group: "g", MemberID: a, Generation: 1}); err != nil {
					t.Errorf("after the reload a is told %v", err)
				}
				if o := committed(t, c, true); o.Offset != -1 {
					t.Errorf("a commit that was refused counts: %d", o.Offset)
				}
			})
		})
	}
}

// TestTheServersLogSaysWhyACommitIsRefused: a client learns only that it should come again.
func TestTheServersLogSaysWhyACommitIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := &memLog{}, &bytes.Buffer{}
		c := New(Config{Partitions: func() int32 { return 1 }, Log: slog.New(slog.NewTextHandler(said, nil))})
		defer c.Close()
		c.Lead(0, 0, log)
		log.set(func(l *memLog) { l.refuse = fmt.Errorf("write 0.log: %w", syscall.ENOSPC) })
		for range 3 {
			if err := c.Commit(ctx, commit("", -1, 7)); err != kerr.CoordinatorNotAvailable && err != kerr.CoordinatorLoadInProgress {
				t.Fatalf("the client is told %v", err)
			}
		}
		synctest.Wait()
		if n := strings.Count(said.String(), syscall.ENOSPC.Error()); n != 1 {
			t.Errorf("the cause is said %d times:\n%s", n, said)
		}
	})
}

func TestCanceledRequestLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(&memLog{})
		defer c.Close()
		a := alone(t, c)
		canceled, cancel := context.WithCancel(ctx)
		var b *group.JoinResponse
		go func() { b = c.Join(canceled, joinAs("", "b")) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if b == nil || !errors.Is(b.Err, context.Canceled) || len(c.mu.waiting) != 0 {
			t.Fatalf("b got %+v, %d wait", b, len(c.mu.waiting))
		}
		// The member that nobody hears of does not keep the others from going on for ever.
		if j := c.Join(ctx, joinAs(a, "a")); j.Err != nil || j.Generation != 2 {
			t.Fatalf("a joined %+v", j)
		}
	})
}

func TestHeartbeatIsFineWhileTheGroupLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		c := start(log)
		a := alone(t, c)
		c.Close()
		log.set(func(l *memLog) { l.hidden = errors.New("not yet") })
		c = start(log)
		defer c.Close()
		if err := c.Heartbeat(ctx, &group.HeartbeatRequest{Group: "g", MemberID: a, Generation: 1}); err != nil {
			t.Errorf("a heartbeat is told %v", err)
		}
		if err := c.Commit(ctx, commit(a, 1, 7)); err != kerr.CoordinatorLoadInProgress {
			t.Errorf("a commit is told %v", err)
		}
		if _, err := c.List(ctx); err != kerr.CoordinatorLoadInProgress {
			t.Errorf("a listing is told %v", err)
		}
	})
}

func TestOffsetsOfATransactionCountFromItsMarkerOn(t *testing.T) {
	log := &memLog{}
	c := start(log)
	p := entry.Producer{ID: 9, Epoch: 1}
	r := commit("", -1, 7)
	r.Producer = p
	if err := c.Commit(ctx, r); err != nil || r.Offsets[0].Err != nil {
		t.Fatal(err, r.Offsets[0].Err)
	}
	if o := committed(t, c, true); o.Err != kerr.UnstableOffsetCommit {
		t.Errorf("before the marker a stable fetch says %v", o.Err)
	}
	c.Close()
	c = start(log)
	defer c.Close()
	if o := committed(t, c, false); o.Offset != -1 {
		t.Errorf("before the marker the offset is %d", o.Offset)
	}
	if err := c.WriteMarker(ctx, 0, entry.Marker{Producer: p, Commit: true}); err != nil {
		t.Fatal(err)
	}
	if o := committed(t, c, true); o.Err != nil || o.Offset != 7 {
		t.Errorf("after the marker the offset is %d, %v", o.Offset, o.Err)
	}
	if err := c.WriteMarker(ctx, 1, entry.Marker{Producer: p}); err != kerr.NotCoordinator {
		t.Errorf("a marker for somebody else's partition: %v", err)
	}
}

func TestAdminRequests(t *testing.T) {
	c := start(&memLog{}, &memLog{}, &memLog{})
	defer c.Close()
	a := alone(t, c)
	if err := c.Commit(ctx, commit(a, 1, 7)); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		r := commit("", -1, int64(i))
		r.Group = fmt.Sprintf("simple-%d", i)
		if err := c.Commit(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := c.List(ctx)
	if err != nil || len(all) != 6 {
		t.Errorf("listed %v, %v", all, err)
	}
	if d := c.Describe(ctx, "g"); d.Err != nil || d.State != group.Stable || len(d.Members) != 1 {
		t.Errorf("described %+v", d)
	}
	if d := c.Describe(ctx, "nobody"); !errors.Is(d.Err, kerr.GroupIDNotFound) || d.State != group.Dead {
		t.Errorf("described %+v", d)
	}
	if err := c.Delete(ctx, "g"); err != kerr.NonEmptyGroup {
		t.Errorf("deleting a group with members: %v", err)
	}
	if errs, err := c.DeleteOffsets(ctx, "g", []group.Partition{{Topic: "t"}}); err != nil || errs[0] != kerr.GroupSubscribedToTopic {
		t.Errorf("deleting an offset that may be in use: %v, %v", errs, err)
	}
	leavers := []group.LeaveMember{{MemberID: a}, {MemberID: "stranger"}}
	if err := c.Leave(ctx, "g", leavers); err != nil || leavers[0].Err != nil || leavers[1].Err != kerr.UnknownMemberID {
		t.Errorf("leaving: %v, %+v", err, leavers)
	}
	if err := c.Delete(ctx, "g"); err != nil {
		t.Errorf("deleting an empty group: %v", err)
	}
	c.TopicsDeleted(ctx, []group.Topic{{Name: "t"}})
	if all, err := c.List(ctx); err != nil || len(all) != 0 {
		t.Errorf("left over: %v, %v", all, err)
	}
}

func TestEmptyGroupIDIsRefused(t *testing.T) {
	c := start(&memLog{})
	defer c.Close()
	_, offsets := c.DeleteOffsets(ctx, "", nil)
	errs := []error{
		c.Join(ctx, &group.JoinRequest{}).Err, c.Sync(ctx, &group.SyncRequest{}).Err, c.Heartbeat(ctx, &group.HeartbeatRequest{}),
		c.Leave(ctx, "", nil), offsets,
	}
	for i, err := range errs {
		if err != kerr.InvalidGroupID {
			t.Errorf("request %d: %v", i, err)
		}
	}
}

// Offsets can be kept under the empty id, as in Apache Kafka: only members need a group with a name.
func TestEmptyGroupIDKeepsOffsets(t *testing.T) {
	c := start(&memLog{})
	defer c.Close()
	if err := c.Delete(ctx, ""); err == nil || err == kerr.InvalidGroupID {
		t.Errorf("deleting what is not there: %v", err)
	}
	offset := group.CommitOffset{Topic: "t", Offset: 5}
	if err := c.Commit(ctx, &group.CommitRequest{Generation: -1, Producer: entry.NoProducer(), Offsets: []group.CommitOffset{offset}}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Fetch(ctx, "", Fetcher{Epoch: -1}, []group.Partition{{Topic: "t"}}, false)
	if err != nil || len(got) != 1 || got[0].Offset != 5 {
		t.Errorf("fetched %+v, %v", got, err)
	}
}

func TestGroupsOfOthersAreNotAnswered(t *testing.T) {
	c := New(Config{Partitions: func() int32 { return 0 }, Group: group.Config{NewID: func() string { return "" }}})
	defer c.Close()
	if j := c.Join(ctx, joinAs("", "a")); j.Err != kerr.NotCoordinator {
		t.Errorf("without an offsets topic: %v", j.Err)
	}
	if d := c.Describe(ctx, "g"); d.Err != kerr.NotCoordinator || !strings.EqualFold(d.State.String(), "dead") {
		t.Errorf("without an offsets topic: %+v", d)
	}
}
