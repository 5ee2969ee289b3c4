package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// groupPatience bounds what takes milliseconds when nothing is wrong.
const groupPatience = 30 * time.Second

func withPatience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), groupPatience)
	t.Cleanup(cancel)
	return ctx
}

func admin(t *testing.T, b *brokertest.Broker) *kadm.Client {
	t.Helper()
	return kadm.NewClient(b.Client(t))
}

func makeTopic(t *testing.T, b *brokertest.Broker, topic string, partitions int32) {
	t.Helper()
	if _, err := admin(t, b).CreateTopic(withPatience(t), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

// produceTo puts n records with values prefix-0, prefix-1, … round robin into the partitions of a topic.
func produceTo(t *testing.T, b *brokertest.Broker, topic, prefix string, n int) {
	t.Helper()
	c := b.Client(t, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	for i := range n {
		r := &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%s-%d", prefix, i)}
		if err := c.ProduceSync(withPatience(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// member is a consumer that says when its partitions change.
type member struct {
	*kgo.Client
	mu      sync.Mutex
	owned   []int32
	changed chan struct{} // takes one
}

func consume(t *testing.T, b *brokertest.Broker, group, topic string, opts ...kgo.Opt) *member {
	t.Helper()
	m := &member{changed: make(chan struct{}, 1)}
	change := func(f func(p []int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.mu.Lock()
			f(parts[topic])
			m.mu.Unlock()
			select {
			case m.changed <- struct{}{}:
			default:
			}
		}
	}
	gain := change(func(p []int32) { m.owned = append(m.owned, p...) })
	lose := change(func(p []int32) {
		m.owned = slices.DeleteFunc(m.owned, func(o int32) bool { return slices.Contains(p, o) })
	})
	opts = append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.HeartbeatInterval(20 * time.Millisecond),
		kgo.OnPartitionsAssigned(gain), kgo.OnPartitionsRevoked(lose), kgo.OnPartitionsLost(lose),
	}, opts...)
	m.Client = b.Client(t, opts...)
	return m
}

// until waits for the members' partitions to be as they should. Records that arrive meanwhile are polled away, which lets a
// rebalance go on.
func until(t *testing.T, members []*member, ok func(owned [][]int32) bool) {
	t.Helper()
	ctx := withPatience(t)
	for {
		owned := make([][]int32, len(members))
		for i, m := range members {
			m.mu.Lock()
			owned[i] = slices.Clone(m.owned)
			m.mu.Unlock()
		}
		if ok(owned) {
			return
		}
		wake := make(chan struct{})
		var once sync.Once
		waiting, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		for _, m := range members {
			all.Go(func() {
				select {
				case <-m.changed:
					once.Do(func() { close(wake) })
				case <-waiting.Done():
				}
			})
		}
		select {
		case <-wake:
		case <-ctx.Done():
			t.Fatalf("the members own %v after %v", owned, groupPatience)
		}
		stop()
		all.Wait()
	}
}

func shared(want ...int) func([][]int32) bool {
	return func(owned [][]int32) bool {
		var all []int32
		var sizes []int
		for _, o := range owned {
			all, sizes = append(all, o...), append(sizes, len(o))
		}
		slices.Sort(all)
		slices.Sort(sizes)
		var total int
		for _, n := range want {
			total += n
		}
		return slices.Equal(sizes, want) && len(slices.Compact(all)) == total
	}
}

func TestConsumersShareATopic(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{"eager": kgo.RangeBalancer(), "cooperative": kgo.CooperativeStickyBalancer()} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.Start(t, broker.Config{})
			makeTopic(t, b, "in", 6)
			var members []*member
			for i, want := range [][]int{{6}, {3, 3}, {2, 2, 2}} {
				members = append(members, consume(t, b, "g", "in", kgo.Balancers(balancer), kgo.ClientID(fmt.Sprint("m", i))))
				until(t, members, shared(want...))
			}
			d, err := admin(t, b).DescribeGroups(withPatience(t), "g")
			if err != nil || d["g"].State != "Stable" || len(d["g"].Members) != 3 {
				t.Errorf("described as %+v, %v", d["g"], err)
			}
			members[0].Close() // leaves
			until(t, members[1:], shared(3, 3))
		})
	}
}

func TestConsumerGoesOnAtItsCommit(t *testing.T) {
	for name, end := range map[string]func(*brokertest.Broker){"restart": (*brokertest.Broker).Restart, "kill": (*brokertest.Broker).Kill} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.Start(t, broker.Config{})
			makeTopic(t, b, "in", 1)
			produceTo(t, b, "in", "r", 10)
			read := func(from, to int) {
				t.Helper()
				c := consume(t, b, "g", "in", kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
				ctx := withPatience(t)
				for next := from; next < to; {
					fetches := c.PollRecords(ctx, to-next)
					if err := fetches.Err(); err != nil {
						t.Fatal(err)
					}
					for _, r := range fetches.Records() {
						if r.Offset != int64(next) {
							t.Fatalf("read offset %d, want %d", r.Offset, next)
						}
						next++
						if err := c.CommitRecords(ctx, r); err != nil {
							t.Fatal(err)
						}
					}
				}
				c.Close()
			}
			read(0, 4)
			end(b)
			read(4, 7)
			end(b)
			read(7, 10)
		})
	}
}

// commitOffset commits an offset of topic in as a member of the group.
func commitOffset(t *testing.T, m *member, partition int32, at kgo.EpochOffset) (failed error) {
	t.Helper()
	m.CommitOffsetsSync(withPatience(t), map[string]map[int32]kgo.EpochOffset{"in": {partition: at}},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if failed = err; err == nil {
				failed = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
			}
		})
	return failed
}

func ask[R kmsg.Response](c *brokertest.Conn, req kmsg.Request, version int16) R {
	req.SetVersion(version)
	return c.Ask(req).(R)
}

// A client gives its membership up when it cannot connect, so this is asked without one.
func TestMembershipSurvivesTheBroker(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	c := b.Dial(t)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey = "g"
	if resp := ask[*kmsg.FindCoordinatorResponse](c, find, 3); resp.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = "g", "consumer", 10_000, 10_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0}}}
	joined := ask[*kmsg.JoinGroupResponse](c, join, 3)
	if joined.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(joined.ErrorCode))
	}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = "g", joined.MemberID, joined.Generation
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: []byte("mine")}}
	if resp := ask[*kmsg.SyncGroupResponse](c, sync, 3); resp.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
	}
	for _, end := range []func(){b.Restart, b.Kill} {
		end()
		c := b.Dial(t)
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.MemberID, beat.Generation = "g", joined.MemberID, joined.Generation
		if resp := ask[*kmsg.HeartbeatResponse](c, beat, 4); resp.ErrorCode != 0 {
			t.Errorf("the next heartbeat is told %v", kerr.ErrorForCode(resp.ErrorCode))
		}
		sync.GroupAssignment = nil
		if resp := ask[*kmsg.SyncGroupResponse](c, sync, 3); resp.ErrorCode != 0 || string(resp.MemberAssignment) != "mine" {
			t.Errorf("the assignment is %q, %v", resp.MemberAssignment, kerr.ErrorForCode(resp.ErrorCode))
		}
	}
}

func TestStaticMemberReturnsWithoutRebalance(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	makeTopic(t, b, "in", 4)
	one := consume(t, b, "g", "in", kgo.InstanceID("one"))
	two := consume(t, b, "g", "in", kgo.InstanceID("two"))
	until(t, []*member{one, two}, shared(2, 2))
	oldID, generation := two.GroupMetadata()
	two.Close() // a static member does not leave
	again := consume(t, b, "g", "in", kgo.InstanceID("two"))
	until(t, []*member{one, again}, shared(2, 2))
	if id, now := again.GroupMetadata(); now != generation || id == oldID {
		t.Errorf("member %s of generation %d came back as %s in %d", oldID, generation, id, now)
	}
	if _, now := one.GroupMetadata(); now != generation {
		t.Errorf("the other one was moved from generation %d to %d", generation, now)
	}
	left, err := admin(t, b).LeaveGroup(withPatience(t), kadm.LeaveGroup("g").InstanceIDs("one", "two", "three"))
	if err != nil || left["one"].Err != nil || left["two"].Err != nil || left["three"].Err != kerr.UnknownMemberID {
		t.Errorf("removed by instance: %+v, %v", left, err)
	}
}

func TestOffsetsAreAdministered(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	makeTopic(t, b, "in", 2)
	makeTopic(t, b, "gone", 1)
	adm, ctx := admin(t, b), withPatience(t)

	if none, err := adm.FetchOffsets(ctx, "g"); err != nil || len(none) != 0 {
		t.Errorf("offsets of a group that never was: %v, %v", none, err)
	}
	var offsets kadm.Offsets
	offsets.AddOffset("in", 0, 3, -1)
	offsets.AddOffset("in", 1, 4, -1)
	offsets.AddOffset("gone", 0, 5, -1)
	if err := adm.CommitAllOffsets(ctx, "g", offsets); err != nil {
		t.Fatal(err)
	}
	held := func() (all []string) {
		t.Helper()
		found, err := adm.FetchOffsets(ctx, "g")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range found.Sorted() {
			all = append(all, fmt.Sprintf("%s-%d:%d", o.Topic, o.Partition, o.At))
		}
		return all
	}
	if got, want := held(), []string{"gone-0:5", "in-0:3", "in-1:4"}; !slices.Equal(got, want) {
		t.Errorf("committed %v, want %v", got, want)
	}
	var some kadm.TopicsSet
	some.Add("in", 1)
	if d, err := adm.DeleteOffsets(ctx, "g", some); err != nil || d.Error() != nil {
		t.Errorf("deleting an offset: %v, %v", d, err)
	}
	if got, want := held(), []string{"gone-0:5", "in-0:3"}; !slices.Equal(got, want) {
		t.Errorf("after one was deleted: %v, want %v", got, want)
	}
	if _, err := adm.DeleteTopic(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	for want := []string{"in-0:3"}; !slices.Equal(held(), want); { // the offsets follow the topic
		if ctx.Err() != nil {
			t.Fatalf("the offsets of the deleted topic stay: %v", held())
		}
	}
	b.Restart()
	if got, want := held(), []string{"in-0:3"}; !slices.Equal(got, want) {
		t.Errorf("after a restart: %v, want %v", got, want)
	}
	if all, err := adm.ListGroups(ctx); err != nil || !slices.Equal(all.Groups(), []string{"g"}) {
		t.Errorf("listed %v, %v", all, err)
	}
	if d, err := adm.DeleteGroups(ctx, "g", "nobody"); err != nil || d["g"].Err != nil || d["nobody"].Err != kerr.GroupIDNotFound {
		t.Errorf("deleted %+v, %v", d, err)
	}
	if all, err := adm.ListGroups(ctx); err != nil || len(all) != 0 {
		t.Errorf("left over: %v, %v", all, err)
	}
}

// Offsets that are sent in a transaction move with its outputs, and not without them.
func TestConsumedOffsetsMoveWithTheTransaction(t *testing.T) {
	b := brokertest.Start(t, broker.Config{})
	makeTopic(t, b, "in", 1)
	makeTopic(t, b, "out", 1)
	const records = 20
	produceTo(t, b, "in", "r", records)

	var copied int
	for round := 0; copied < records; round++ {
		session, err := kgo.NewGroupTransactSession(append(b.Opts(),
			kgo.ConsumerGroup("g"), kgo.ConsumeTopics("in"), kgo.TransactionalID("copy"),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(20*time.Millisecond))...)
		if err != nil {
			t.Fatal(err)
		}
		ctx := withPatience(t)
		fetches := session.PollRecords(ctx, 3)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		if err := session.Begin(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			session.Produce(ctx, &kgo.Record{Topic: "out", Value: r.Value}, nil)
		}
		if round%3 == 2 { // this one is for nothing
			if _, err := session.End(ctx, kgo.TryAbort); err != nil {
				t.Fatal(err)
			}
		} else {
			committed, err := session.End(ctx, kgo.TryCommit)
			if err != nil {
				t.Fatal(err)
			}
			if committed {
				copied += fetches.NumRecords()
			}
		}
		session.Close()
		if round == 4 {
			b.Kill()
		}
	}
	c := b.Client(t, kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx := withPatience(t)
	for i := 0; i < records; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if want := fmt.Sprintf("r-%d", i); string(r.Value) != want {
				t.Fatalf("output %d is %s, want %s", i, r.Value, want)
			}
			i++
		}
	}
}

// The records of __consumer_offsets are Kafka's own.
func TestOffsetsTopicReadsAsKafkas(t *testing.T) {
	b := brokertest.Start(t, broker.Config{Set: map[string]string{"offsets.topic.num.partitions": "1"}})
	makeTopic(t, b, "in", 1)
	m := consume(t, b, "g", "in", kgo.ClientID("reader"))
	until(t, []*member{m}, shared(1))
	if err := commitOffset(t, m, 0, kgo.EpochOffset{Epoch: 2, Offset: 7}); err != nil {
		t.Fatal(err)
	}
	c := b.Client(t, kgo.ConsumeTopics("__consumer_offsets"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var membership, offset bool
	for ctx := withPatience(t); !membership || !offset; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			var of kmsg.OffsetCommitKey
			if of.ReadFrom(r.Key) == nil && of.Version == 1 {
				var v kmsg.OffsetCommitValue
				if err := v.ReadFrom(r.Value); err != nil || of.Group != "g" || of.Topic != "in" || v.Offset != 7 || v.LeaderEpoch != 2 || v.CommitTimestamp <= 0 {
					t.Errorf("offset record %+v: %+v, %v", of, v, err)
				}
				offset = true
				continue
			}
			var k kmsg.GroupMetadataKey
			var v kmsg.GroupMetadataValue
			if k.ReadFrom(r.Key) != nil || v.ReadFrom(r.Value) != nil || k.Group != "g" || v.ProtocolType != "consumer" {
				t.Errorf("group record %q: %q", r.Key, r.Value)
				continue
			}
			if len(v.Members) == 1 && v.Members[0].ClientID == "reader" && len(v.Members[0].Assignment) > 0 {
				membership = true
			}
		}
	}
}

// A marker that comes too late is refused for itself. Whoever waits in a group of the same partition goes on waiting.
func TestFencedMarkerDisturbsNobody(t *testing.T) {
	b := brokertest.Start(t, broker.Config{Set: map[string]string{"offsets.topic.num.partitions": "1"}})
	makeTopic(t, b, "in", 1)
	c, waiting := b.Dial(t), b.Dial(t)
	for kind, key := range []string{"g", "x"} {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorType, find.CoordinatorKey = int8(kind), key
		ask[*kmsg.FindCoordinatorResponse](c, find, 3)
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = "g", "consumer", 30_000, 30_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0}}}
	first := ask[*kmsg.JoinGroupResponse](c, join, 3)
	waiting.Send(join)
	// The second join is on its way only; the first member comes back too early unless the group has seen it.
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{"g"}
	for ctx := withPatience(t); ; {
		if g := ask[*kmsg.DescribeGroupsResponse](c, describe, 5).Groups[0]; g.State == "PreparingRebalance" {
			break
		} else if ctx.Err() != nil {
			t.Fatalf("the group of one who joined and one who waits is %+v", g)
		}
	}

	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis = kmsg.StringPtr("x"), 10_000
	p := ask[*kmsg.InitProducerIDResponse](c, init, 4)
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch, commit.Generation = "x", "other", p.ProducerID, p.ProducerEpoch, -1
	commit.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "in", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 5, LeaderEpoch: -1}}}}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = "x", p.ProducerID, p.ProducerEpoch, true
	if resp := ask[*kmsg.TxnOffsetCommitResponse](c, commit, 5); resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode))
	}
	if resp := ask[*kmsg.EndTxnResponse](c, end, 5); resp.ErrorCode != 0 || resp.ProducerEpoch != p.ProducerEpoch+1 {
		t.Fatalf("the transaction ended with %+v", resp)
	}
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Group, fetch.RequireStable = "other", true
	fetch.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "in", Partitions: []int32{0}}}
	for ctx := withPatience(t); ; {
		got := ask[*kmsg.OffsetFetchResponse](c, fetch, 7).Topics[0].Partitions[0]
		if got.ErrorCode == 0 && got.Offset == 5 {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("after the transaction the offset is %+v", got)
		}
	}

	late := kmsg.NewPtrWriteTxnMarkersRequest()
	late.Markers = []kmsg.WriteTxnMarkersRequestMarker{{
		ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch,
		Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "__consumer_offsets", Partitions: []int32{0}}},
	}}
	resp := ask[*kmsg.WriteTxnMarkersResponse](c, late, 1)
	if got := kerr.ErrorForCode(resp.Markers[0].Topics[0].Partitions[0].ErrorCode); got != kerr.InvalidProducerEpoch {
		t.Errorf("the late marker is told %v", got)
	}
	join.MemberID = first.MemberID
	if again := ask[*kmsg.JoinGroupResponse](c, join, 3); again.ErrorCode != 0 || len(again.Members) != 2 {
		t.Errorf("the first member joined again: %+v", again)
	}
	if second := waiting.Receive(join).(*kmsg.JoinGroupResponse); second.ErrorCode != 0 || second.Generation != first.Generation+1 {
		t.Errorf("the one who waited joined %+v", second)
	}
}
