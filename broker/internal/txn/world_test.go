package txn

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// world is a coordinator with the log it writes and the clock it is told. After every step the state of a replay must be
// that of the leader.
type world struct {
	t   testing.TB
	now time.Time
	cfg Config
	c   *Coordinator
	log []entry.Record

	nextID ProducerID
	noIDs  error // what NewProducerID says, when not nil
}

func newWorld(t testing.TB, cfg Config) *world {
	w := &world{t: t, now: time.UnixMilli(1_000_000).UTC(), nextID: 1000, cfg: cfg}
	w.cfg.NewProducerID = func() (ProducerID, error) {
		if w.noIDs != nil {
			return NoProducerID, w.noIDs
		}
		w.nextID++
		return w.nextID - 1, nil
	}
	w.c = New(w.cfg)
	return w
}

// take does with a step what the shell does: write, apply, and only then look at the answer.
func (w *world) take(step Step) Reply {
	w.t.Helper()
	for _, ch := range step.Changes {
		w.check(ch)
		w.log = append(w.log, ch.Record())
		w.c.ApplyChange(ch)
	}
	w.checkReload()
	return step.Reply
}

// check looks at what every change must be: a legal step of the state, no partition lost, no epoch taken back.
func (w *world) check(ch Change) {
	w.t.Helper()
	old, known := w.c.Get(ch.ID)
	next := ch.Next
	switch {
	case next == nil:
		if !known || !old.State.idle() {
			w.t.Fatalf("%s is forgotten in %v", ch.ID, old)
		}
		return
	case next.Updated.Before(w.now) && !known:
		w.t.Fatalf("%s is updated at %v, before now", ch.ID, next.Updated)
	case !known:
		if next.State != Empty || next.Epoch != 0 {
			w.t.Fatalf("%s begins as %v", ch.ID, show(next))
		}
		return
	}
	if !legal(old.State, next.State) {
		w.t.Fatalf("%s goes from %v to %v", ch.ID, old.State, next.State)
	}
	if next.ProducerID == old.ProducerID && next.Epoch < old.Epoch {
		w.t.Fatalf("%s: the epoch falls from %v to %v", ch.ID, show(old), show(next))
	}
	if next.ProducerID == old.ProducerID && int(next.Epoch) > int(old.Epoch)+1 {
		w.t.Fatalf("%s: the epoch leaps from %v to %v", ch.ID, show(old), show(next))
	}
	if next.ProducerID != old.ProducerID && next.Epoch != 0 {
		w.t.Fatalf("%s: a new producer id at epoch %d", ch.ID, next.Epoch)
	}
	if (old.State == Ongoing || old.State.preparing()) && !next.State.idle() && !next.has(old.Partitions) {
		w.t.Fatalf("%s: loses partitions from %v to %v", ch.ID, show(old), show(next))
	}
	if next.Updated.Before(old.Updated) {
		w.t.Fatalf("%s: updated at %v, then at %v", ch.ID, old.Updated, next.Updated)
	}
	if next.State.idle() && len(next.Partitions) > 0 {
		w.t.Fatalf("%s: partitions outside of a transaction: %v", ch.ID, show(next))
	}
}

func (w *world) replay() *Coordinator {
	c := New(w.cfg)
	for _, r := range w.log {
		c.Apply(r, entry.NoProducer())
	}
	c.Loaded(w.now)
	return c
}

func (w *world) checkReload() {
	w.t.Helper()
	c := w.replay()
	if newer, err := c.Unreadable(); err != nil || newer != 0 {
		w.t.Fatalf("replay: %v, %d of newer versions", err, newer)
	}
	got, want := c.All(), w.c.All()
	if !reflect.DeepEqual(got, want) {
		w.t.Fatalf("a replay ends elsewhere:\nreplay: %v\nleader: %v", showAll(got), showAll(want))
	}
}

// crash makes the replay the leader, as after a restart.
func (w *world) crash() { w.c = w.replay() }

// settle writes all markers that are owed and returns them.
func (w *world) settle() []Markers {
	w.t.Helper()
	debts := w.c.Debts()
	for _, d := range debts {
		w.take(w.c.MarkersWritten(w.now, d.TransactionalID, d.Identity, d.Partitions))
	}
	return debts
}

func show(t *Transaction) string {
	if t == nil {
		return "forgotten"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v %d/%d", t.State, t.ProducerID, t.Epoch)
	if t.Last != NoEpoch {
		fmt.Fprintf(&b, " last %d", t.Last)
	}
	if t.Previous != NoProducerID {
		fmt.Fprintf(&b, " was %d", t.Previous)
	}
	if t.Next != NoProducerID {
		fmt.Fprintf(&b, " then %d", t.Next)
	}
	if t.TimedOut {
		b.WriteString(" timed out")
	}
	for _, tp := range t.Partitions {
		fmt.Fprintf(&b, " %s/%d", tp.Topic, tp.Partition)
	}
	return b.String()
}

func showAll(ts []*Transaction) string {
	var lines []string
	for _, t := range ts {
		lines = append(lines, fmt.Sprintf("%s: %s %+v", t.ID, show(t), *t))
	}
	return strings.Join(lines, "\n")
}

func showMarkers(m Markers) string {
	kind := "abort"
	if m.Commit {
		kind = "commit"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s marker %d/%d", kind, m.ProducerID, m.Epoch)
	for _, tp := range m.Partitions {
		fmt.Fprintf(&b, " %s/%d", tp.Topic, tp.Partition)
	}
	return b.String()
}

func partitions(names ...string) []TopicPartition {
	var tps []TopicPartition
	for _, name := range names {
		topic, n, _ := strings.Cut(name, "/")
		var p int32
		fmt.Sscan(n, &p)
		tps = append(tps, TopicPartition{topic, p})
	}
	return tps
}

func sortedPartitions(tps []TopicPartition) bool {
	return slices.IsSortedFunc(tps, TopicPartition.compare)
}
