package topology

import (
	"fmt"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/statestore"
)

// TaskID names a task: one partition of one sub-topology. Its text form is Kafka Streams': "0_3".
type TaskID struct {
	Subtopology int
	Partition   int32
}

func (t TaskID) String() string {
	return strconv.Itoa(t.Subtopology) + "_" + strconv.Itoa(int(t.Partition))
}

// TopicRef names a topic of a topology. An internal topic's real name has the application's id before it.
type TopicRef struct {
	Name     string
	Internal bool
}

// Resolve returns the name on the broker: Name itself, or "<app>-<Name>" for an internal topic.
func (t TopicRef) Resolve(app string) string {
	if t.Internal {
		return app + "-" + t.Name
	}
	return t.Name
}

// ResetPolicy says where a source begins when the group has no committed offset. Policies can be compared.
type ResetPolicy struct {
	begin resetBegin
	ago   time.Duration
}

type resetBegin int8

const (
	resetDefault resetBegin = iota
	resetEarliest
	resetLatest
	resetNone
	resetAgo
)

// The policies, beside those of ResetAgo.
var (
	ResetDefault  = ResetPolicy{resetDefault, 0} // the application's default, which is earliest
	ResetEarliest = ResetPolicy{resetEarliest, 0}
	ResetLatest   = ResetPolicy{resetLatest, 0}
	ResetNone     = ResetPolicy{resetNone, 0} // fail
)

// ResetAgo begins at the first record that is not older than d, or at the end when all are older.
func ResetAgo(d time.Duration) ResetPolicy { return ResetPolicy{resetAgo, d} }

// Ago is the d of a policy of ResetAgo; ok is false for the others.
func (p ResetPolicy) Ago() (d time.Duration, ok bool) { return p.ago, p.begin == resetAgo }

// DropReason says why a record went no further.
type DropReason int8

const (
	DropLate       DropReason = iota // its window is closed
	DropNullKey                      // the operator needs a key
	DropNullValue                    // the operator needs a value
	DropTimestamp                    // negative timestamp, skipped by the extractor
	DropPoison                       // undecodable, skipped by the deserialization handler
	DropFailed                       // the user's function failed, skipped by the processing handler
	DropUnwritable                   // it could not be encoded or is too large, skipped by the production handler
	DropNowhere                      // the user's function named no partition to send it to
	DropStale                        // it answers to a row that has changed since
)

func (r DropReason) String() string {
	switch r {
	case DropLate:
		return "late"
	case DropNullKey:
		return "null-key"
	case DropNullValue:
		return "null-value"
	case DropTimestamp:
		return "invalid-timestamp"
	case DropPoison:
		return "undecodable"
	case DropFailed:
		return "failed"
	case DropUnwritable:
		return "unwritable"
	case DropNowhere:
		return "no-partition"
	case DropStale:
		return "stale"
	}
	return fmt.Sprintf("DropReason(%d)", int8(r))
}

// Env is what a task needs from whoever runs it: the runtime, or the test driver. All its methods are called on the task's own goroutine.
type Env interface {
	// TaskID is the task that is being built.
	TaskID() TaskID
	// OpenStore opens the task's partition of a store, restored and ready.
	OpenStore(spec statestore.Spec) (statestore.Store, error)
	// Partitions returns the partition count of a topic that the sub-topology writes to.
	Partitions(topic TopicRef) (int32, error)
	// Send appends a record to a partition of a topic; partition -1 means murmur2 of the key over all partitions, and a record without a key goes to any.
	// The slices of r are copied before Send returns; Topic and Offset of r are ignored. An error is final for the task,
	// unless it wraps [ErrRejected] and a handler skips the record.
	Send(topic TopicRef, partition int32, r *RawRecord) error
	// Now is the wall clock, ms since 1970.
	Now() int64
	// RequestCommit asks for a commit as soon as the record in process is done.
	RequestCommit()
	// Dropped counts a record that went no further at a node.
	Dropped(node string, reason DropReason)
}
