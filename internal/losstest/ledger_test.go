package losstest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The topics of the load. Partition n of each has writer n.
const (
	topicPlain = "plain"
	topicIdem  = "idem"
	topicCopyA = "copy-a"
	topicCopyB = "copy-b"
	writers    = 2 // of each kind, and so partitions of each topic
)

var topics = []string{topicPlain, topicIdem, topicCopyA, topicCopyB}

// progressTimeout is how long the clients may take to go on after a restart before they are taken for stuck.
const progressTimeout = 2 * time.Minute

// laneID names a partition.
type laneID struct {
	topic     string
	partition int32
}

func (id laneID) String() string { return fmt.Sprintf("%s-%d", id.topic, id.partition) }

// lane is what is known of a partition. Its fields are guarded by ledger.mu.
type lane struct {
	sent  int64           // values [0, sent) may have been sent
	known map[int64]int64 // number of the value, by offset, of all that were acknowledged or seen
	end   int64           // above every offset in known
	acks  int64           // acknowledgements

	delivered int64 // values [0, delivered) were given to the group of consumers
}

// ledger is what the clients were told. It is safe for concurrent use.
type ledger struct {
	t      *testing.T
	suffix string // of the topics' names
	begun  time.Time

	mu        sync.Mutex
	lanes     map[laneID]*lane
	committed map[groupLane]int64 // offsets that were answered as committed
	commits   int64               // transactions that were answered as committed
	steps     map[string]int64    // what each client has done, by its name
	change    chan struct{}       // closed at the next step
}

// groupLane is what a group has an offset for.
type groupLane struct {
	group string
	laneID
}

func newLedger(t *testing.T, suffix string) *ledger {
	l := &ledger{
		t: t, suffix: suffix, begun: time.Now(), lanes: map[laneID]*lane{}, committed: map[groupLane]int64{}, steps: map[string]int64{}, change: make(chan struct{}),
	}
	for _, topic := range topics {
		for n := range int32(writers) {
			l.lanes[laneID{topic, n}] = &lane{known: map[int64]int64{}}
		}
	}
	return l
}

// name is what a topic is called on the server.
func (l *ledger) name(topic string) string { return topic + l.suffix }

// lane finds a partition by what the server calls it.
func (l *ledger) lane(name string, partition int32) laneID {
	return laneID{strings.TrimSuffix(name, l.suffix), partition}
}

// fault reports a broken promise.
func (l *ledger) fault(invariant, format string, args ...any) {
	l.t.Helper()
	l.t.Errorf("%s after %v: %s", invariant, time.Since(l.begun).Round(time.Millisecond), fmt.Sprintf(format, args...))
}

// send notes that values up to end (exclusive) are on their way.
func (l *ledger) send(id laneID, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lanes[id].sent = max(l.lanes[id].sent, end)
}

// ack notes that a value was acknowledged with an offset.
func (l *ledger) ack(id laneID, offset, number int64) {
	l.t.Helper()
	l.note("L1", id, offset, number)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lanes[id].acks++
}

// note holds what stands at an offset against what is known of it.
func (l *ledger) note(invariant string, id laneID, offset, number int64) {
	l.t.Helper()
	l.mu.Lock()
	n := l.lanes[id]
	was, known := n.known[offset]
	invented := number >= n.sent
	if !known && !invented {
		n.known[offset] = number
		n.end = max(n.end, offset+1)
	}
	l.mu.Unlock()
	if invented {
		l.fault("L2", "%v has value %d at offset %d, which was never sent", id, number, offset)
	}
	if known && was != number {
		l.fault(invariant, "%v has value %d at offset %d, where value %d was before", id, number, offset, was)
	}
}

// stepped notes that a client got something done.
func (l *ledger) stepped(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps[client]++
	close(l.change)
	l.change = make(chan struct{})
}

// awaitStep returns when each of the clients has got something more done.
func (l *ledger) awaitStep(clients []string) {
	l.t.Helper()
	timer := time.NewTimer(progressTimeout)
	defer timer.Stop()
	l.mu.Lock()
	before := map[string]int64{}
	for _, c := range clients {
		before[c] = l.steps[c]
	}
	l.mu.Unlock()
	for {
		l.mu.Lock()
		var still []string
		for _, c := range clients {
			if l.steps[c] == before[c] {
				still = append(still, c)
			}
		}
		change := l.change
		l.mu.Unlock()
		if len(still) == 0 || l.t.Failed() {
			return
		}
		select {
		case <-change:
		case <-timer.C:
			l.t.Fatalf("no progress within %v by %v", progressTimeout, still)
		}
	}
}

// commit notes that a group's offset was answered as committed.
func (l *ledger) commit(group string, id laneID, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := groupLane{group, id}
	l.committed[at] = max(l.committed[at], offset)
}

// promises is a copy of what is known of a partition: a log that is read from now on must have it.
func (l *ledger) promises(id laneID, from int64) (known map[int64]int64, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.lanes[id]
	known = map[int64]int64{}
	for offset := from; offset < n.end; offset++ {
		if number, ok := n.known[offset]; ok {
			known[offset] = number
		}
	}
	return known, n.end
}

// offsets is a copy of what was answered as committed.
func (l *ledger) offsets() map[groupLane]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[groupLane]int64{}
	for k, v := range l.committed {
		out[k] = v
	}
	return out
}

func (l *ledger) summary() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var acks, known int64
	for _, n := range l.lanes {
		acks += n.acks
		known += int64(len(n.known))
	}
	return fmt.Sprintf("%d records acknowledged, %d known, %d transactions committed in %v", acks, known, l.commits, time.Since(l.begun).Round(time.Second))
}

// padding makes records of different sizes, up to this.
const padding = 400

var filler = strings.Repeat("-millrace", padding/9+1)

// value is what writer n sends as its number-th record. All of its bytes follow from the two.
func value(writer int32, number int64) []byte {
	return fmt.Appendf(nil, "%d/%d/%s", writer, number, filler[:number*37%padding])
}

// parse returns the number of a value of writer n.
func parse(writer int32, v []byte) (int64, error) {
	parts := strings.SplitN(string(v), "/", 3)
	if len(parts) == 3 {
		if number, err := strconv.ParseInt(parts[1], 10, 64); err == nil && number >= 0 && string(value(writer, number)) == string(v) {
			return number, nil
		}
	}
	return 0, fmt.Errorf("the value %.60q is none that writer %d sends", v, writer)
}
