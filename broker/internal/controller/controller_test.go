package controller

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/settings"
)

// world decides and applies, and holds a replay of the records against the live image after each step.
type world struct {
	t      *testing.T
	im     *Image
	log    []byte // the records as they were stored, each behind its length
	env    Env
	nextID uint64
}

func newWorld(t *testing.T, brokers ...int32) *world {
	t.Helper()
	b, err := settings.NewBroker(map[string]string{"num.partitions": "3"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, im: Empty()}
	w.env = Env{Settings: b, NewID: func() TopicID {
		w.nextID++
		var id TopicID
		binary.BigEndian.PutUint64(id[8:], w.nextID)
		return id
	}}
	w.apply(&ClusterCreated{"c"})
	for _, id := range brokers {
		w.apply(&BrokerRegistered{ID: id, Rack: fmt.Sprint("r", id), Clean: true})
	}
	return w
}

func (w *world) apply(records ...Record) {
	w.t.Helper()
	before := *w.im
	now, err := Apply(w.im, records...)
	if err != nil {
		w.t.Fatal(err)
	}
	if !reflect.DeepEqual(before, *w.im) {
		w.t.Fatal("applying changed the image that it was given")
	}
	if err := now.Check(); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range records {
		b := AppendRecord(nil, r)
		w.log = append(binary.BigEndian.AppendUint32(w.log, uint32(len(b))), b...)
	}
	w.im = now
	w.replay()
}

// replay builds the image from the stored records, and from a snapshot.
func (w *world) replay() {
	w.t.Helper()
	im := Empty()
	for b := w.log; len(b) > 0; {
		n := binary.BigEndian.Uint32(b)
		r, err := ReadRecord(b[4 : 4+n])
		if err != nil {
			w.t.Fatal(err)
		}
		if im, err = Apply(im, r); err != nil {
			w.t.Fatal(err)
		}
		b = b[4+n:]
	}
	if !sameImage(im, w.im) {
		w.t.Fatalf("a replay gives another image:\n%+v\n%+v", im, w.im)
	}
	restored, err := Restore(w.im.Index(), w.im.Snapshot())
	if err != nil {
		w.t.Fatal(err)
	}
	if !sameImage(restored, w.im) || restored.Index() != w.im.Index() {
		w.t.Fatalf("a snapshot gives another image:\n%+v\n%+v", restored, w.im)
	}
}

// sameImage compares what a snapshot keeps: its records as bytes.
func sameImage(a, b *Image) bool {
	bytesOf := func(im *Image) []byte {
		var out []byte
		for _, r := range im.Snapshot() {
			out = AppendRecord(out, r)
		}
		return out
	}
	return bytes.Equal(bytesOf(a), bytesOf(b))
}

func (w *world) create(t NewTopic) CreatedTopic {
	w.t.Helper()
	records, out := CreateTopics(w.im, w.env, []NewTopic{t})
	w.apply(records...)
	return out[0]
}

func TestPartitionsAreSpreadOverBrokers(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	if c := w.create(NewTopic{Name: "t", Partitions: 6, Replication: 2}); c.Err != nil {
		t.Fatal(c.Err)
	}
	leads, holds := map[int32]int{}, map[int32]int{}
	for _, p := range w.im.Topic("t").Partitions {
		leads[p.Leader]++
		for _, id := range p.Replicas {
			holds[id]++
		}
	}
	for id := int32(1); id <= 3; id++ {
		if leads[id] != 2 || holds[id] != 4 {
			t.Errorf("broker %d leads %d and holds %d partitions of 6 with 2 replicas, want 2 and 4", id, leads[id], holds[id])
		}
	}
}

func TestATopicMadeAgainHasAnotherID(t *testing.T) {
	w := newWorld(t, 1)
	first := w.create(NewTopic{Name: "t", Partitions: -1, Replication: -1})
	if first.Partitions != 3 {
		t.Fatalf("%d partitions by default, want 3", first.Partitions)
	}
	records, out := DeleteTopics(w.im, []TopicRef{{Name: "t", Named: true}})
	if out[0].Err != nil || out[0].ID != first.ID {
		t.Fatalf("deleted %+v", out[0])
	}
	w.apply(records...)
	if w.im.Deleted()[first.ID] != 3 {
		t.Error("the files of the deleted topic are forgotten")
	}
	second := w.create(NewTopic{Name: "t", Partitions: 1, Replication: 1})
	if second.ID == first.ID {
		t.Error("the new topic has the old one's id")
	}
	w.apply(&TopicPurged{ID: first.ID})
	if len(w.im.Deleted()) != 0 {
		t.Error("a purged topic is still listed")
	}
}

func TestAnUncleanStartRaisesTheLeaderEpochs(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.create(NewTopic{Name: "t", Partitions: 4, Replication: 1})
	epochs := func() (of1, of2 int32) {
		for _, p := range w.im.Topic("t").Partitions {
			if p.Leader == 1 {
				of1 += p.LeaderEpoch
			} else {
				of2 += p.LeaderEpoch
			}
		}
		return of1, of2
	}
	w.apply(&BrokerRegistered{ID: 1, Clean: true})
	if a, b := epochs(); a != 0 || b != 0 {
		t.Errorf("epochs %d and %d after a clean start, want 0", a, b)
	}
	w.apply(&BrokerRegistered{ID: 1})
	if a, b := epochs(); a != 2 || b != 0 {
		t.Errorf("epochs add up to %d and %d after an unclean start of broker 1, want 2 and 0", a, b)
	}
}

func TestProducerIDsAreNeverGivenTwice(t *testing.T) {
	w := newWorld(t, 1)
	seen := map[int64]bool{}
	for range 5 {
		records, first := AllocateProducerIDs(w.im)
		for id := first; id < first+ProducerIDBlock; id++ {
			if seen[id] {
				t.Fatalf("producer id %d was given twice", id)
			}
			seen[id] = true
		}
		w.apply(records...)
	}
	if _, err := Apply(w.im, &ProducerIDs{Next: 3}); err == nil {
		t.Error("the next producer id was allowed to fall")
	}
}

func TestOneRequestCannotAskForTheEarth(t *testing.T) {
	w := newWorld(t, 1)
	for _, n := range []int32{maxPartitionsPerRequest + 1, 1<<31 - 1} {
		if c := w.create(NewTopic{Name: "t", Partitions: n, Replication: 1}); !errors.Is(c.Err, kerr.PolicyViolation) {
			t.Errorf("%d partitions: %v", n, c.Err)
		}
	}
	many := []NewTopic{{Name: "a", Partitions: 6000, Replication: 1}, {Name: "b", Partitions: 6000, Replication: 1}}
	if _, out := CreateTopics(w.im, w.env, many); out[0].Err != nil || !errors.Is(out[1].Err, kerr.PolicyViolation) {
		t.Errorf("12,000 partitions in two topics of one request: %v, %v", out[0].Err, out[1].Err)
	}
}

func TestAClusterHoldsSoManyPartitionsAndNoMore(t *testing.T) {
	w := newWorld(t, 1)
	for i := range maxPartitions / maxPartitionsPerRequest {
		if out := w.create(NewTopic{Name: fmt.Sprint("t", i), Partitions: maxPartitionsPerRequest, Replication: 1}); out.Err != nil {
			t.Fatal(out.Err)
		}
	}
	if n := w.im.partitions; n != maxPartitions {
		t.Fatalf("%d partitions, want %d", n, maxPartitions)
	}
	if out := w.create(NewTopic{Name: "more", Partitions: 1, Replication: 1}); !errors.Is(out.Err, kerr.PolicyViolation) {
		t.Errorf("one more topic: %v", out.Err)
	}
	if _, out := CreatePartitions(w.im, []Growth{{Topic: "t0", Count: maxPartitionsPerRequest + 1}}); !errors.Is(out[0].Err, kerr.PolicyViolation) {
		t.Errorf("one more partition: %v", out[0].Err)
	}
	w.apply(&TopicDeleted{w.im.Topic("t0").ID})
	if out := w.create(NewTopic{Name: "more", Partitions: 1, Replication: 1}); out.Err != nil {
		t.Errorf("a topic after another was deleted: %v", out.Err)
	}
}

func TestRandomHistoriesReplayToTheSameImage(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, 1, 2)
	for range 400 {
		name := fmt.Sprint("t", r.IntN(6))
		switch r.IntN(7) {
		case 0, 1:
			w.create(NewTopic{Name: name, Partitions: int32(r.IntN(4)), Replication: int16(r.IntN(4))})
		case 2:
			records, _ := DeleteTopics(w.im, []TopicRef{{Name: name, Named: true}})
			w.apply(records...)
		case 3:
			records, _ := CreatePartitions(w.im, []Growth{{Topic: name, Count: int32(r.IntN(8))}})
			w.apply(records...)
		case 4:
			value := fmt.Sprint(r.IntN(5) - 1)
			res := []Resource{{ResourceTopic, name}, {ResourceBroker, ""}, {ResourceBroker, "1"}, {ResourceGroup, "g"}}[r.IntN(4)]
			key := []string{"retention.ms", "message.max.bytes", "consumer.session.timeout.ms"}[r.IntN(3)]
			records, _ := AlterConfigs(w.im, w.env, []ResourceChange{{res, []Alteration{{key, ConfigOp(r.IntN(2)), &value}}}}, r.IntN(3) == 0)
			w.apply(records...)
		case 5:
			records, _ := AllocateProducerIDs(w.im)
			w.apply(records...)
			w.apply(&FeatureSet{"f", int16(r.IntN(3))})
		case 6:
			w.apply(&BrokerRegistered{ID: int32(1 + r.IntN(2)), Clean: r.IntN(2) == 0})
		}
	}
}

func TestNewerRecordsAreRefused(t *testing.T) {
	b := AppendRecord(nil, &TopicDeleted{})
	for at, name := range []string{"type", "version"} {
		newer := bytes.Clone(b)
		newer[at] = 200
		if _, err := ReadRecord(newer); err == nil {
			t.Errorf("a record of a newer %s was read", name)
		}
	}
	for n := range len(b) {
		if _, err := ReadRecord(b[:n]); err == nil {
			t.Errorf("%d of %d bytes were read as a record", n, len(b))
		}
	}
}

func FuzzReadRecord(f *testing.F) {
	f.Add(AppendRecord(nil, &ClusterCreated{"c"}))
	f.Add(AppendRecord(nil, &TopicCreated{Name: "t", Configs: map[string]string{"a": "b"}, Partitions: []Partition{{Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}}}))
	f.Add(AppendRecord(nil, &ConfigsSet{Resource{ResourceBroker, ""}, map[string]string{"x": "y"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadRecord(b)
		if err != nil {
			return
		}
		written := AppendRecord(nil, r)
		again, err := ReadRecord(written)
		if err != nil || reflect.TypeOf(r) != reflect.TypeOf(again) || !bytes.Equal(AppendRecord(nil, again), written) { // a quota that is no number is not equal to itself
			t.Fatalf("%+v was written and read back as %+v, %v", r, again, err)
		}
	})
}
