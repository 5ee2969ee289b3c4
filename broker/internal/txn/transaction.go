package txn

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// ProducerID names a producer for good; it is never given out twice.
type ProducerID int64

// Epoch tells the incarnations of a producer id apart, and in protocol 2 its transactions.
type Epoch int16

const (
	NoProducerID ProducerID = -1
	NoEpoch      Epoch      = -1

	// lastEpoch is the highest epoch a producer gets. One above it stays for the coordinator, so that it can always
	// fence; the producer goes on with a new id.
	lastEpoch Epoch = math.MaxInt16 - 1
)

// exhausted says that the next bump needs a new producer id.
func (e Epoch) exhausted() bool { return e >= lastEpoch }

// Identity is what a producer shows with each request.
type Identity struct {
	ProducerID ProducerID
	Epoch      Epoch
}

// None is the identity of nobody yet.
var None = Identity{NoProducerID, NoEpoch}

// Protocol is the version of the transaction protocol that a producer speaks, as Kafka's records write it.
type Protocol int8

const (
	// V1 keeps the epoch over transactions; partitions are added by the client.
	V1 Protocol = 0
	// V2 is KIP-890: every end bumps the epoch, partition leaders add their partitions.
	V2 Protocol = 2
)

// TopicPartition names a partition of a transaction.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func (a TopicPartition) compare(b TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// Transaction is what the log says about one transactional id. It is immutable: a change makes another one.
type Transaction struct {
	ID string

	Identity            // of the producer now; in Prepare* already that of the markers
	Next     ProducerID // in Prepare*: the id the producer goes on with at epoch 0; NoProducerID: the same one
	Previous ProducerID // the exhausted id that Identity replaced, until the next transaction begins; or NoProducerID

	// Last is the epoch before the latest bump when the producer that had it was told, or is to be told, the new one:
	// a request with it is a repeated one. NoEpoch after a bump that fences.
	Last Epoch
	// TimedOut says that the coordinator, not the producer, took the decision to abort.
	TimedOut bool

	State      State
	Protocol   Protocol         // of the requests that opened or ended the transaction
	Timeout    time.Duration    // whole milliseconds
	Partitions []TopicPartition // sorted; those of the open or ending transaction
	Start      time.Time        // of the latest transaction, to the millisecond; zero: none since Init
	Updated    time.Time        // to the millisecond; never goes back
}

// has says whether all of tps belong to the transaction.
func (t *Transaction) has(tps []TopicPartition) bool {
	for _, tp := range tps {
		if _, ok := slices.BinarySearchFunc(t.Partitions, tp, TopicPartition.compare); !ok {
			return false
		}
	}
	return true
}

// with returns the union of the partitions and tps, in memory of its own.
func (t *Transaction) with(tps []TopicPartition) []TopicPartition {
	all := make([]TopicPartition, 0, len(t.Partitions)+len(tps))
	all = append(append(all, t.Partitions...), tps...)
	slices.SortFunc(all, TopicPartition.compare)
	return slices.Compact(all)
}

// successor begins the next version of t.
func (t *Transaction) successor(now time.Time, to State) *Transaction {
	next := *t
	next.State = to
	if now = millis(now); now.After(t.Updated) {
		next.Updated = now
	}
	return &next
}

// millis is now as a record of the log can say it.
func millis(now time.Time) time.Time { return time.UnixMilli(now.UnixMilli()).UTC() }

// repeats says whether id is the identity that the latest bump, or change of producer id, left behind: its holder asks
// again because the answer was lost.
func (t *Transaction) repeats(id Identity) bool {
	if t.Last == NoEpoch || id.Epoch != t.Last {
		return false
	}
	if id.ProducerID == t.ProducerID {
		return id.Epoch+1 == t.Epoch
	}
	return id.ProducerID == t.Previous && id.Epoch.exhausted() && t.Epoch == 0
}

// continues is the identity that the producer goes on with: during Prepare* it may differ from that of the markers.
func (t *Transaction) continues() Identity {
	if t.State.preparing() && t.Next != NoProducerID {
		return Identity{t.Next, 0}
	}
	return t.Identity
}

// Markers are what a decided transaction owes to its partitions.
type Markers struct {
	TransactionalID string
	Identity
	Commit     bool
	Protocol   Protocol
	Partitions []TopicPartition // that have no marker yet, sorted
}
