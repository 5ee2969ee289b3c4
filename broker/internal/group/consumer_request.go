package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Metadata is what the coordinator of consumer groups knows about topics: one moment of the cluster, immutable.
type Metadata interface {
	// Version rises whenever anything changes.
	Version() uint64
	Topic(name string) (TopicInfo, bool)
	TopicByID(id [16]byte) (TopicInfo, bool)
	// TopicNames are all topics in order.
	TopicNames() []string
	// PartitionRacks are the racks of those of a partition's replicas that are in one, in any order; the caller may keep them.
	PartitionRacks(id [16]byte, partition int32) []string
}

// TopicInfo is one topic.
type TopicInfo struct {
	Name       string
	ID         [16]byte
	Partitions int32
}

// Migration says which way groups may change their protocol while they have members.
type Migration string

const (
	MigrateBoth      Migration = "bidirectional"
	MigrateUpgrade   Migration = "upgrade"
	MigrateDowngrade Migration = "downgrade"
	MigrateNever     Migration = "disabled"
)

// ConsumerConfig is what can be set for each consumer group.
type ConsumerConfig struct {
	SessionTimeout     time.Duration
	HeartbeatInterval  time.Duration
	AssignmentInterval time.Duration // between two targets of one group, at least; zero: none
}

// Fault is an error with a sentence for the client.
type Fault struct {
	Kafka   *kerr.Error
	Message string
}

func (f *Fault) Error() string { return f.Kafka.Message + ": " + f.Message }

// Unwrap makes errors.Is and errors.As see the code.
func (f *Fault) Unwrap() error { return f.Kafka }

// ClientMessage is the sentence.
func (f *Fault) ClientMessage() string { return f.Message }

// OwnedTopic is what a member says it owns of a topic.
type OwnedTopic struct {
	ID         [16]byte
	Partitions []int32
}

// ConsumerHeartbeatRequest joins, says that a member lives, or leaves. What is nil or negative is as it was before; the Machine
// copies what it keeps.
type ConsumerHeartbeatRequest struct {
	Group       string
	MemberID    string // empty only at the join of a client that is given one
	MemberEpoch int32
	InstanceID  *string
	RackID      *string
	ClientID    string
	ClientHost  string
	Rebalance   time.Duration // negative: as before
	Topics      []string      // nil: as before
	Pattern     *string
	Assignor    *string
	Owned       []OwnedTopic // nil: as before

	RequireID bool // v1 on: the client makes its member id
}

// ConsumerHeartbeatResponse tells a member where it stands.
type ConsumerHeartbeatResponse struct {
	Err               error
	MemberID          string
	MemberEpoch       int32
	HeartbeatInterval time.Duration
	HasAssignment     bool         // Assignment is told, though it may be empty
	Assignment        []OwnedTopic // by topic id
}

// ConsumerDescription is a consumer group as ConsumerGroupDescribe shows it.
type ConsumerDescription struct {
	Err             error
	Group           string
	State           State
	Epoch           int32
	AssignmentEpoch int32
	Assignor        string
	Members         []ConsumerMemberDescription // by id
}

// ConsumerMemberDescription is one member of it.
type ConsumerMemberDescription struct {
	ID, ClientID, ClientHost string
	InstanceID, RackID       *string
	Epoch                    int32
	Topics                   []string
	Pattern                  string
	Assigned, Target         []OwnedTopic // by topic id
	Classic                  bool
}
