package group

import (
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
)

// Every Err of this package is nil, one of kerr's *kerr.Error, the code that goes to the client, or a *Fault, which has one and a
// sentence beside it.

// Token names a request that may be answered later. It is the caller's choice, unique among the requests that wait, and
// never zero.
type Token uint64

// Answer is the answer to the request that came with Token: Join or Sync is set.
type Answer struct {
	Token Token
	Join  *JoinResponse
	Sync  *SyncResponse
}

// Result is what a step wants done: append Records, then hand out Answers. Both are valid until the Machine's next step.
type Result struct {
	Records []entry.Record
	Answers []Answer
	Tally   Tally
}

// Protocol is one way of assigning that a member offers, with what it wants the leader to know.
type Protocol struct {
	Name     string
	Metadata []byte
}

// JoinRequest asks to be a member of the group's next generation. The Machine copies what it keeps.
type JoinRequest struct {
	Group            string
	MemberID         string // empty at the first join
	InstanceID       *string
	ClientID         string
	ClientHost       string
	ProtocolType     string
	Protocols        []Protocol
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration

	RequireKnownID bool // v4 on: a first join only gets an id to come back with (KIP-394)
	CanSkip        bool // v9 on: a returning static leader is told to skip the assignment (KIP-814)

	// Taken is called by whoever waits for the answer, once the machine keeps all that it needs: the request's bytes may go. Nil: nobody minds them.
	Taken func()
}

// JoinResponse is the answer to a JoinRequest. Its slices are shared and must not be changed.
type JoinResponse struct {
	Err            error
	Generation     int32 // -1 with an error
	ProtocolType   string
	Protocol       string
	Leader         string
	MemberID       string
	SkipAssignment bool
	Members        []JoinMember // for the leader only
}

// JoinMember is what the leader learns about a member.
type JoinMember struct {
	ID         string
	InstanceID *string
	Metadata   []byte
}

// SyncRequest asks for the member's assignment; the leader brings everybody's.
type SyncRequest struct {
	Group        string
	MemberID     string
	InstanceID   *string
	Generation   int32
	ProtocolType *string // v5 on
	Protocol     *string // v5 on
	Assignments  []Assignment

	Taken func() // as JoinRequest.Taken
}

// Assignment is what the leader gives to a member.
type Assignment struct {
	MemberID string
	Data     []byte
}

// SyncResponse is the answer to a SyncRequest. Assignment is shared and must not be changed.
type SyncResponse struct {
	Err          error
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// HeartbeatRequest says that a member lives.
type HeartbeatRequest struct {
	Group      string
	MemberID   string
	InstanceID *string
	Generation int32
}

// LeaveMember is one member to remove: by its id, or a static one by its instance alone.
type LeaveMember struct {
	MemberID   string
	InstanceID *string
	Err        error // set by the step
}

// CommitRequest stores offsets. The step sets the Err of every offset.
type CommitRequest struct {
	Group        string
	MemberID     string
	InstanceID   *string
	Generation   int32          // negative: not as a member
	Producer     entry.Producer // set for a commit that is part of a transaction
	Retention    time.Duration  // how long to keep the offsets, as old clients may say; zero or less: the group's rule
	MissingGroup error          // what a commit of a member of a missing group is: ILLEGAL_GENERATION if nil
	KnowsEpochs  bool           // v9 on: Generation is the epoch of a member of a consumer group
	Offsets      []CommitOffset
}

// CommitOffset is one partition of a CommitRequest.
type CommitOffset struct {
	Topic       string
	TopicID     [16]byte // zero: unknown
	Partition   int32
	Offset      int64
	LeaderEpoch int32 // -1: unknown
	Metadata    string
	Err         error // set by the step
}

// Partition names a partition of a topic.
type Partition struct {
	Topic     string
	Partition int32
}

// Topic is a topic with its id; zero when it is not known.
type Topic struct {
	Name string
	ID   [16]byte
}

// FetchedOffset is a committed offset as OffsetFetch tells it: offset -1 where there is none.
type FetchedOffset struct {
	Partition
	TopicID     [16]byte
	Offset      int64
	LeaderEpoch int32
	Metadata    string
	Err         error
}

// Description is a group as DescribeGroups shows it.
type Description struct {
	Err          error // GROUP_ID_NOT_FOUND when there is no such group; its state is Dead then
	Group        string
	State        State
	ProtocolType string
	Protocol     string
	Members      []MemberDescription
}

// MemberDescription is a member as DescribeGroups shows it.
type MemberDescription struct {
	ID         string
	InstanceID *string
	ClientID   string
	ClientHost string
	Metadata   []byte
	Assignment []byte
}

// Listing is a group as ListGroups shows it.
type Listing struct {
	Group        string
	ProtocolType string
	State        State
	Kind         Kind
}
