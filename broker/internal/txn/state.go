package txn

import "slices"

// State is where a transaction stands; the values are those of Kafka's records.
type State int8

const (
	Empty State = iota
	Ongoing
	PrepareCommit
	PrepareAbort
	CompleteCommit
	CompleteAbort
	Dead              // never written: a forgotten id is a tombstone
	PrepareEpochFence // never written: fencing goes to PrepareAbort in one record
	stateEnd
)

var stateNames = [stateEnd]string{
	"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
}

// String is the name that Kafka's tools show and filter by.
func (s State) String() string {
	if s < 0 || s >= stateEnd {
		return "Unknown"
	}
	return stateNames[s]
}

// ParseState finds a state by its name.
func ParseState(name string) (State, bool) {
	i := slices.Index(stateNames[:], name)
	return State(i), i >= 0
}

// preparing says that the end is decided and markers are owed.
func (s State) preparing() bool { return s == PrepareCommit || s == PrepareAbort }

// idle says that no transaction is open or ending: the id may begin one, be initialised or expire.
func (s State) idle() bool { return s == Empty || s == CompleteCommit || s == CompleteAbort }

// legal says whether a record may lead from one state to another. Empty stands for an unknown id as well.
func legal(from, to State) bool {
	switch to {
	case Empty:
		return from.idle()
	case Ongoing:
		return from == Ongoing || from.idle()
	case PrepareCommit:
		return from == Ongoing
	case PrepareAbort:
		return from == Ongoing || from.idle() // idle: protocol 2 only
	case CompleteCommit:
		return from == PrepareCommit
	case CompleteAbort:
		return from == PrepareAbort
	}
	return false
}
