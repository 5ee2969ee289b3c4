package txn

import (
	"regexp"
	"slices"
	"time"
)

// Filter chooses transactions for ListTransactions; its zero value takes none by duration: use NoDuration.
type Filter struct {
	States      []State                 // empty and not NoState: all
	NoState     bool                    // names were given and none of them is a state: nothing matches
	ProducerIDs map[ProducerID]struct{} // empty: all
	Longer      time.Duration           // open for longer than this; negative: all
	IDs         *regexp.Regexp          // matches the whole id; nil: all
}

// Owns reports whether a transaction that is open or ending has the partition, under any of its producer's ids.
func (c *Coordinator) Owns(id ProducerID, tp TopicPartition) bool {
	for _, m := range c.ids {
		t := m.Transaction
		if !t.State.idle() && (id == t.ProducerID || id == t.Next || id == t.Previous) && t.has([]TopicPartition{tp}) {
			return true
		}
	}
	return false
}

// NoDuration switches Filter.Longer off.
const NoDuration time.Duration = -1

// List returns the transactions that f takes, in order of their ids.
func (c *Coordinator) List(now time.Time, f Filter) []*Transaction {
	if f.NoState {
		return nil
	}
	return slices.DeleteFunc(c.All(), func(t *Transaction) bool { return !f.takes(now, t) })
}

func (f *Filter) takes(now time.Time, t *Transaction) bool {
	switch {
	case len(f.States) > 0 && !slices.Contains(f.States, t.State):
		return false
	case len(f.ProducerIDs) > 0 && !f.names(t.ProducerID):
		return false
	case f.Longer >= 0 && now.Sub(t.startOrEpoch()) <= f.Longer:
		return false
	case f.IDs != nil && !f.IDs.MatchString(t.ID):
		return false
	}
	return true
}

func (f *Filter) names(id ProducerID) bool {
	_, ok := f.ProducerIDs[id]
	return ok
}

// startOrEpoch counts "no transaction yet" as very long ago, as Kafka does with its -1.
func (t *Transaction) startOrEpoch() time.Time {
	if t.Start.IsZero() {
		return time.UnixMilli(-1)
	}
	return t.Start
}
