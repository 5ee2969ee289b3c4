package group

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// What Kafka wrote is read, and written again byte for byte.
func TestConsumerRecordsAreThoseOfKafka(t *testing.T) {
	data, err := os.ReadFile("testdata/kafka-4.3.1.records")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[uint16]int{}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		key, value := unhex(t, k), unhex(t, v)
		kinds[binary.BigEndian.Uint16(key)]++
		r, ok := rewritten(key, value)
		if !ok {
			t.Errorf("%s %s is not read", k, v)
			continue
		}
		if !bytes.Equal(r.Key, key) || !bytes.Equal(r.Value, value) {
			t.Errorf("the record\n%s %s is written as\n%x %x", k, v, r.Key, r.Value)
		}
		for n := 2; n < len(value); n++ { // a version alone is the least that is looked at
			if _, ok := rewritten(key, value[:n]); ok {
				t.Errorf("%s %s cut at %d bytes is read", k, v, n)
			}
		}
	}
	for _, kind := range []uint16{keyConsumerGroup, keyConsumerMember, keyTargetMetadata, keyTarget, keyPosition, keyConsumerPattern} {
		if kinds[kind] == 0 {
			t.Errorf("there is no record of kind %d", kind)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rewritten reads a record of a consumer group and writes it anew.
func rewritten(key, value []byte) (entry.Record, bool) {
	var enc encoder
	number := binary.BigEndian.Uint16(key)
	switch number {
	case keyConsumerGroup, keyTargetMetadata:
		names, _ := readKey(key, 1)
		epoch, n, ok := decodeNumber(value)
		if number == keyConsumerGroup {
			return enc.consumerGroup(names[0], epoch, n), ok
		}
		return enc.targetMetadata(names[0], epoch, n), ok
	}
	names, _ := readKey(key, 2)
	switch number {
	case keyConsumerMember:
		s, ok := decodeSubscription(value)
		return enc.consumerMember(names[0], names[1], &s), ok
	case keyTarget:
		target, ok := decodeTarget(value)
		return enc.target(names[0], names[1], target), ok
	case keyPosition:
		p, ok := decodePosition(value)
		return enc.position(names[0], names[1], &p), ok
	}
	p, ok := decodePattern(value)
	if !ok {
		p = &pattern{}
	}
	return enc.pattern(names[0], names[1], p), ok
}

// A group that a Kafka before 4.1 wrote has a record of its topics. The next time that anything happens in the group, the record is
// taken back.
func TestTheTopicsRecordOfOldGroupsIsTakenBack(t *testing.T) {
	w := newWorld(Config{})
	w.topics.create("t", 1)
	var enc encoder
	topics := entry.Record{Key: enc.consumerKey(keyConsumerTopics, "g"), Value: []byte{0, 0, 1, 0}}
	for _, r := range []entry.Record{enc.consumerGroup("g", 3, 0), topics} {
		r = entry.Record{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}
		w.log = append(w.log, logged{record: r, producer: entry.NoProducer()})
		w.m.Apply(r, entry.NoProducer())
	}
	res, b := w.m.ConsumerHeartbeat(w.now, &ConsumerHeartbeatRequest{Group: "g", MemberID: "a", Topics: []string{"t"}, Owned: []OwnedTopic{}, Rebalance: time.Minute})
	w.write(res)
	if b.Err != nil || b.MemberEpoch != 4 {
		t.Fatalf("a joined: %+v", b)
	}
	last := w.log[2:]
	found := false
	for _, l := range last {
		found = found || bytes.Equal(l.record.Key, topics.Key) && l.record.Value == nil
	}
	if !found {
		t.Error("the record of the topics is not taken back")
	}
	w.checkReload(t)
}

// A record's strings have a length of two bytes. A client that names itself with as many bytes as it may gets a member id all the same.
func TestMemberIDsFitIntoARecord(t *testing.T) {
	longest := strings.Repeat("\u00e4", 1<<14-1) + "x"
	for name, r := range map[string]*JoinRequest{
		"client":   {Group: "g", ClientID: longest},
		"instance": {Group: "g", InstanceID: &longest},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(Config{})
			r.ProtocolType, r.SessionTimeout, r.Protocols = "consumer", 10*time.Second, []Protocol{{Name: "range", Metadata: []byte("any")}}
			j := w.answers[w.join("a", r)].Join
			if j.Err != nil || len(j.MemberID) >= 1<<15 {
				t.Fatalf("joined with an id of %d bytes: %v", len(j.MemberID), j.Err)
			}
			if s := w.answers[w.sync("a", &SyncRequest{Group: "g", MemberID: j.MemberID, InstanceID: r.InstanceID, Generation: 1})].Sync; s.Err != nil {
				t.Fatal(s.Err)
			}
			w.checkReload(t)
		})
	}
}

// The time of the last assignment is in the log, and the clock of the coordinator that reads it may be behind.
func TestAClockThatWentBackHoldsUpNoAssignment(t *testing.T) {
	w := newWorld(Config{})
	w.topics.create("t", 2)
	join := func(id string) *ConsumerHeartbeatResponse {
		res, b := w.m.ConsumerHeartbeat(w.now, &ConsumerHeartbeatRequest{Group: "g", MemberID: id, Topics: []string{"t"}, Owned: []OwnedTopic{}})
		w.write(res)
		return b
	}
	join("a")
	w.now = w.now.Add(-time.Hour)
	w.m = w.replay()
	if b := join("b"); b.Err != nil || b.MemberEpoch != 3 {
		t.Errorf("an hour before the first assignment b is told %+v", b)
	}
}
