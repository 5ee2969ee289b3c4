package losstest

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// auditTimeout bounds one audit; it takes well below a second.
const auditTimeout = 3 * time.Minute

// auditor reads the logs and holds them against the ledger. It goes on where it stopped: what it has read is part of the ledger, and the last audit begins anew.
type auditor struct {
	ledger *ledger
	addr   string
	lost   bool // the tails of the logs may be gone: no acknowledgement counts
	lanes  map[laneID]*laneAudit
}

// laneAudit is how far the audit of a partition is.
type laneAudit struct {
	next  int64           // offset to read next
	last  int64           // highest number of a value, of those that count: committed ones in a topic of transactions
	open  []entry         // of the open transaction
	owner int64           // producer id of the open transaction
	whole []int64         // offsets of what is committed and was not held against a reader of committed records yet
	known map[int64]int64 // what must be there, and was not found yet
	found int64           // highest offset that was known and found

	nextCommitted int64 // offset to read next as a reader of committed records
}

// entry is a value in a log.
type entry struct{ offset, number int64 }

func newAuditor(l *ledger, addr string) *auditor {
	a := &auditor{ledger: l, addr: addr, lanes: map[laneID]*laneAudit{}}
	for id := range l.lanes {
		a.lanes[id] = &laneAudit{last: -1, found: -1}
	}
	return a
}

// run reads what was written since the last audit. The clients may be at work: what they get acknowledged meanwhile is the next audit's.
func (a *auditor) run() {
	l := a.ledger
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), auditTimeout)
	defer cancel()
	offsets := l.offsets()
	promised := map[laneID]int64{}
	for id, n := range a.lanes {
		n.known, promised[id] = l.promises(id, n.next)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(a.addr))
	if err != nil {
		l.t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	stable, err := adm.ListCommittedOffsets(ctx, a.names()...)
	ends := a.ends(stable, err)
	high, err := adm.ListEndOffsets(ctx, a.names()...)
	tops := a.ends(high, err)
	for id := range a.lanes {
		if ends[id] > tops[id] {
			l.fault("T3", "the last stable offset of %v was %d, its high watermark is %d", id, ends[id], tops[id])
		}
		if tops[id] < promised[id] && !a.lost {
			l.fault("L1", "%v ends at %d, records up to %d were acknowledged or seen", id, tops[id], promised[id])
		}
	}
	a.readAll(ctx, tops)
	if l.t.Failed() {
		return
	}
	a.readCommitted(ctx, ends)
	if !a.lost {
		a.checkOffsets(ctx, cl, offsets)
	}
}

func (a *auditor) names() []string {
	var out []string
	for _, topic := range topics {
		out = append(out, a.ledger.name(topic))
	}
	return out
}

func (a *auditor) ends(listed kadm.ListedOffsets, err error) map[laneID]int64 {
	a.ledger.t.Helper()
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		a.ledger.t.Fatalf("the ends of the logs: %v", err)
	}
	out := map[laneID]int64{}
	listed.Each(func(o kadm.ListedOffset) { out[a.ledger.lane(o.Topic, o.Partition)] = o.Offset })
	return out
}

// readAll reads everything up to the ends, and looks at each partition's order.
func (a *auditor) readAll(ctx context.Context, ends map[laneID]int64) {
	from := map[laneID]int64{}
	for id, n := range a.lanes {
		from[id] = n.next
	}
	a.read(ctx, from, ends, kgo.ReadUncommitted(), func(id laneID, r *kgo.Record) {
		n := a.lanes[id]
		if r.Offset != n.next && id.topic != topicCopyA && id.topic != topicCopyB {
			a.ledger.fault("L2", "%v has no offset %d, the next one is %d", id, n.next, r.Offset)
		}
		n.next = r.Offset + 1
		if r.Attrs.IsControl() {
			a.endTransaction(id, n, r)
			return
		}
		number, err := parse(id.partition, r.Value)
		if err != nil {
			a.ledger.fault("L2", "%v, offset %d: %v", id, r.Offset, err)
			return
		}
		a.ledger.note("L3", id, r.Offset, number)
		if _, known := n.known[r.Offset]; known {
			delete(n.known, r.Offset)
			n.found = r.Offset
		}
		a.order(id, n, r, number)
	})
	for id, n := range a.lanes {
		// Where a tail may be gone nothing known may come behind what is missing; markers of the server's own may.
		if missing := slices.Sorted(maps.Keys(n.known)); len(missing) > 0 && (!a.lost || missing[0] < n.found) {
			a.ledger.fault("L1", "%v lacks %d records that were acknowledged or seen, the first at offset %d", id, len(missing), missing[0])
		}
	}
}

// order holds a value against the one before.
func (a *auditor) order(id laneID, n *laneAudit, r *kgo.Record, number int64) {
	switch id.topic {
	case topicPlain: // may send a batch again, and skips nothing
		if number > n.last+1 {
			a.ledger.fault("L2", "%v: value %d at offset %d, the highest before was %d", id, number, r.Offset, n.last)
		}
		n.last = max(n.last, number)
	case topicIdem:
		if number != n.last+1 {
			a.ledger.fault("T7", "%v: value %d at offset %d follows %d", id, number, r.Offset, n.last)
		}
		n.last = number
	default:
		if len(n.open) > 0 && n.owner != r.ProducerID {
			a.ledger.fault("T1", "%v: offset %d is of producer %d, while a transaction of %d is open", id, r.Offset, r.ProducerID, n.owner)
		}
		n.owner = r.ProducerID
		n.open = append(n.open, entry{r.Offset, number})
	}
}

// endTransaction takes a marker.
func (a *auditor) endTransaction(id laneID, n *laneAudit, r *kgo.Record) {
	const abort, commit = 0, 1
	if len(r.Key) != 4 {
		a.ledger.fault("L2", "%v: the marker at offset %d has a key of %d bytes", id, r.Offset, len(r.Key))
		return
	}
	switch kind := binary.BigEndian.Uint16(r.Key[2:]); kind {
	case abort:
	case commit:
		for _, e := range n.open {
			if e.number != n.last+1 {
				a.ledger.fault("T1", "%v: committed value %d at offset %d follows %d", id, e.number, e.offset, n.last)
			}
			n.last = e.number
			n.whole = append(n.whole, e.offset)
		}
	default:
		a.ledger.fault("L2", "%v: a marker of kind %d at offset %d", id, kind, r.Offset)
	}
	n.open = nil
}

// readCommitted reads what a reader of committed records sees of the transactions, up to the last stable offsets (T2, T9).
func (a *auditor) readCommitted(ctx context.Context, stable map[laneID]int64) {
	from, ends, got := map[laneID]int64{}, map[laneID]int64{}, map[laneID][]int64{}
	for id, n := range a.lanes {
		if id.topic == topicCopyA || id.topic == topicCopyB {
			from[id], ends[id] = n.nextCommitted, stable[id]
		}
	}
	a.read(ctx, from, ends, kgo.ReadCommitted(), func(id laneID, r *kgo.Record) {
		if !r.Attrs.IsControl() {
			got[id] = append(got[id], r.Offset)
		}
	})
	for id := range from {
		n := a.lanes[id]
		n.nextCommitted = max(n.nextCommitted, stable[id])
		cut, _ := slices.BinarySearch(n.whole, stable[id])
		if want := n.whole[:cut]; !slices.Equal(got[id], want) {
			a.ledger.fault("T9", "%v, from %d to %d: a reader of committed records sees %d records, the log holds %d committed ones; the first that differ: %s",
				id, from[id], ends[id], len(got[id]), len(want), firstDifference(got[id], want))
		}
		n.whole = slices.Delete(n.whole, 0, cut)
	}
}

func firstDifference(got, want []int64) string {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			return fmt.Sprintf("seen %v, committed %v", got[min(i, len(got)):min(i+3, len(got))], want[min(i, len(want)):min(i+3, len(want))])
		}
	}
	return "none"
}

// read calls fn with the records of each partition from an offset up to an end.
func (a *auditor) read(ctx context.Context, from, ends map[laneID]int64, level kgo.IsolationLevel, fn func(laneID, *kgo.Record)) {
	l := a.ledger
	l.t.Helper()
	begin, left := map[string]map[int32]kgo.Offset{}, map[laneID]int64{}
	for id, at := range from {
		if at >= ends[id] {
			continue
		}
		name := l.name(id.topic)
		if begin[name] == nil {
			begin[name] = map[int32]kgo.Offset{}
		}
		begin[name][id.partition] = kgo.NewOffset().At(at)
		left[id] = ends[id]
	}
	if len(left) == 0 {
		return
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(a.addr), kgo.ConsumePartitions(begin), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		l.t.Fatal(err)
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			l.t.Fatalf("reading the logs: %v; left to read, with their ends: %v", err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			id := l.lane(r.Topic, r.Partition)
			if end, wanted := left[id]; wanted && r.Offset < end {
				fn(id, r)
				if r.Offset+1 == end {
					delete(left, id)
				}
			}
		})
	}
}

// checkOffsets holds the groups' offsets against what was answered, and against the ends of the logs (G3, T6).
func (a *auditor) checkOffsets(ctx context.Context, cl *kgo.Client, promised map[groupLane]int64) {
	l := a.ledger
	l.t.Helper()
	groups := map[string]bool{}
	for at := range promised {
		groups[at.group] = true
	}
	for group := range groups {
		fetched, err := fetchOffsets(ctx, cl, group)
		if err != nil {
			l.t.Fatalf("the offsets of %s: %v", group, err)
		}
		// The ends come after the offsets: both only grow.
		high, err := kadm.NewClient(cl).ListEndOffsets(ctx, a.names()...)
		ends := a.ends(high, err)
		fetched.Each(func(o kadm.OffsetResponse) {
			if end := ends[l.lane(o.Topic, o.Partition)]; o.At > end {
				l.fault("G3", "the group %s has offset %d of %s-%d, which ends at %d", group, o.At, o.Topic, o.Partition, end)
			}
		})
		for at, want := range promised {
			if at.group != group {
				continue
			}
			if o, ok := fetched.Lookup(l.name(at.topic), at.partition); !ok || o.At < want {
				l.fault("G3", "the group %s has offset %d of %v (found: %t), %d was answered as committed", group, o.At, at.laneID, ok, want)
			}
		}
	}
}

// final reads everything once more, after the clients have ended: both copies and the offsets must tell the same (T1).
func (a *auditor) final(t *testing.T) {
	t.Helper()
	whole := newAuditor(a.ledger, a.addr)
	whole.run()
	ctx, cancel := context.WithTimeout(t.Context(), auditTimeout)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(a.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for n := range int32(writers) {
		group := (&copier{load: &load{ledger: a.ledger}, writer: n}).group()
		fetched, err := fetchOffsets(ctx, cl, group)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := fetched.Lookup(a.ledger.name(topicIdem), n)
		copyA, copyB := whole.lanes[laneID{topicCopyA, n}], whole.lanes[laneID{topicCopyB, n}]
		if copyA.last != copyB.last || len(copyA.open)+len(copyB.open) > 0 {
			a.ledger.fault("T1", "the copies of writer %d end with %d and %d, %d and %d values are in open transactions", n, copyA.last, copyB.last, len(copyA.open), len(copyB.open))
		}
		// Inputs have no gaps and no repetitions, so that the number of a value is its offset.
		if o.At != copyA.last+1 {
			a.ledger.fault("T1", "writer %d has copied %d values, its group's offset is %d", n, copyA.last+1, o.At)
		}
	}
}

// missing counts what clients knew of and a power loss took.
func (a *auditor) missing() (lost, of int64) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	for id, n := range a.lanes {
		lost += int64(len(n.known))
		of += int64(len(a.ledger.lanes[id].known))
	}
	return lost, of
}
