package group

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// FuzzApply feeds a record to a coordinator that has a group. Whatever it says, nothing panics, then or later, and what was
// understood survives being written again.
func FuzzApply(f *testing.F) {
	w := stableGroup(f, 2)
	r := commitOf(w.m.groups["g"], 2)
	if err := w.commit(r); err != nil {
		f.Fatal(err)
	}
	for _, l := range w.log {
		f.Add(l.record.Key, l.record.Value, int64(-1))
		f.Add(l.record.Key, l.record.Value, int64(7))
		f.Add(l.record.Key, []byte(nil), int64(-1))
	}
	f.Fuzz(func(t *testing.T, key, value []byte, producer int64) {
		w := stableGroup(t, 2)
		w.m.Apply(entry.Record{Key: key, Value: value}, entry.Producer{ID: producer})
		w.m.Loaded(w.now)
		w.m.ApplyMarker(entry.Marker{Producer: entry.Producer{ID: producer}, Commit: true})
		for _, l := range w.m.List() {
			w.m.Describe(l.Group)
			for _, o := range w.m.FetchAll(l.Group, true) {
				_, _, _ = w.m.DeleteOffsets(w.now, l.Group, []Partition{o.Partition})
			}
			if g := w.m.groups[l.Group]; g != nil && g.written {
				m := New(w.cfg)
				m.Apply(w.m.enc.group(g), entry.NoProducer())
				if got := m.groups[l.Group]; got == nil || got.generation != g.generation || len(got.members) != len(g.members) {
					t.Errorf("group %q of %d members is read back as %+v", l.Group, len(g.members), got)
				}
			}
		}
		for range 20 {
			w.advance(time.Minute)
		}
	})
}

// consumerWorld has a consumer group with members of both protocols, one of them on the way to its target, a static one and a pattern.
func consumerWorld(t testing.TB) *world {
	w := newWorld(Config{})
	w.topics.create("t", 4)
	instance, text := "one", "t.*"
	beat := func(id string, r ConsumerHeartbeatRequest) {
		r.Group, r.MemberID, r.Owned = "g", id, []OwnedTopic{}
		res, b := w.m.ConsumerHeartbeat(w.now, &r)
		w.write(res)
		if b.Err != nil {
			t.Fatal(b.Err)
		}
	}
	beat("a", ConsumerHeartbeatRequest{Topics: []string{"t"}, InstanceID: &instance})
	beat("b", ConsumerHeartbeatRequest{Topics: []string{}, Pattern: &text})
	w.join("c", &JoinRequest{Group: "g", ClientID: "c", ProtocolType: consumerType, SessionTimeout: simSession, RebalanceTimeout: simRebalance,
		Protocols: []Protocol{{Name: "range", Metadata: storyMetadata("+t!")}}})
	w.advance(time.Second)
	res, b := w.m.ConsumerHeartbeat(w.now, &ConsumerHeartbeatRequest{Group: "g", MemberID: "a", MemberEpoch: 2, Rebalance: -1})
	w.write(res)
	if g := w.m.groups["g"]; b.Err != nil || g.consumer.classic != 1 || g.consumer.state() != Reconciling {
		t.Fatalf("%+v, %v", b, g.stands())
	}
	return w
}

// FuzzApplyConsumer feeds a record to a coordinator that has a consumer group. Whatever it says, nothing panics, then or later: members
// go on, others come, a classic one joins, and in the end everybody is gone.
func FuzzApplyConsumer(f *testing.F) {
	for _, l := range consumerWorld(f).log {
		f.Add(l.record.Key, l.record.Value)
		f.Add(l.record.Key, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		w := consumerWorld(t)
		w.m.Apply(entry.Record{Key: key, Value: value}, entry.NoProducer())
		w.m.Loaded(w.now)
		for _, l := range w.m.List() {
			g := w.m.groups[l.Group]
			if g.consumer != nil && consumerBytes(g) != g.bytes {
				t.Fatalf("group %q keeps %d bytes and says %d", l.Group, consumerBytes(g), g.bytes)
			}
			for _, mb := range w.m.DescribeConsumer(l.Group).Members {
				res, _ := w.m.ConsumerHeartbeat(w.now, &ConsumerHeartbeatRequest{Group: l.Group, MemberID: mb.ID, MemberEpoch: mb.Epoch, Rebalance: -1})
				w.write(res)
			}
			text := "[a-z]*"
			res, _ := w.m.ConsumerHeartbeat(w.now, &ConsumerHeartbeatRequest{Group: l.Group, MemberID: "d", Topics: []string{"t"}, Pattern: &text, Owned: []OwnedTopic{}})
			w.write(res)
			w.join("e", &JoinRequest{Group: l.Group, ProtocolType: consumerType, SessionTimeout: simSession, Protocols: []Protocol{{Name: "range", Metadata: storyMetadata("+t!")}}})
		}
		for range 40 {
			w.advance(time.Minute)
		}
		for range 40 {
			w.advance(24 * time.Hour) // a record's time-outs are up to 2^31 ms
		}
		for _, l := range w.m.List() {
			if g := w.m.groups[l.Group]; g.hasMembers() {
				t.Errorf("group %q still has members: %s", l.Group, durable(w.m, func(string) bool { return true }))
			}
		}
	})
}

func FuzzSubscription(f *testing.F) {
	f.Add(storyMetadata("+a+bc"))
	f.Add([]byte{0, 1, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, metadata []byte) {
		topics := map[string]struct{}{}
		addSubscribed(topics, metadata)
		if len(topics) > len(metadata) {
			t.Errorf("%d topics out of %d bytes", len(topics), len(metadata))
		}
	})
}
