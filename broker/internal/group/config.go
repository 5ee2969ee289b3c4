package group

import "time"

// Config holds the limits of a Machine. The zero value of a field means the default in its comment.
type Config struct {
	// NewID returns a string that was never returned before; the random part of a member id. Required.
	NewID func() string

	InitialRebalanceDelay time.Duration // how long an empty group waits for more members; zero is not at all
	MinSessionTimeout     time.Duration // 6 s
	MaxSessionTimeout     time.Duration // 30 min
	MaxMembers            int           // members of one group; 10,000
	MaxOffsetMetadata     int           // bytes of a committed offset's metadata; 4,096
	OffsetsRetention      time.Duration // 7 days
	ExpiryInterval        time.Duration // between two looks for what has expired; 10 min

	// Consumer tells the settings of a consumer group. Nil: 45 s session, 5 s between heartbeats, 1 s between assignments.
	Consumer func(groupID string) ConsumerConfig
	// Topics tells what topics there are, at the moment of the call. Nil: none.
	Topics func() Metadata

	MaxConsumers   int           // members of one consumer group; 10,000
	Assignors      []string      // that members may ask for, the default first; uniform, range
	Migration      Migration     // bidirectional
	PatternRefresh time.Duration // patterns are looked at anew after this in any case; 10 min

	// MaxGroupBytes bounds what the members of one group say about themselves, over all their protocols. 16 MiB: a
	// hundred members with the metadata of ten thousand partitions each.
	MaxGroupBytes int
	// MaxBytes bounds the same, and the assignments, over all groups of the Machine: who makes ever more groups is refused
	// before the memory is gone. 32 MiB: two of the largest groups, some ten thousand members, or as many consumer groups.
	MaxBytes int
	// MaxRecordBytes bounds the record that holds a group with its assignments; below the internal topic's
	// max.message.bytes of 1 MiB, with room for the batch around it.
	MaxRecordBytes int
}

const (
	defaultMinSession     = 6 * time.Second
	defaultMaxSession     = 30 * time.Minute
	defaultMaxMembers     = 10_000
	defaultOffsetMetadata = 4096
	defaultRetention      = 7 * 24 * time.Hour
	defaultExpiryInterval = 10 * time.Minute
	defaultGroupBytes     = 16 << 20
	defaultBytes          = 32 << 20
	defaultRecordBytes    = 1<<20 - 1<<10

	defaultPatternRefresh = 10 * time.Minute

	defaultConsumerSession    = 45 * time.Second
	defaultConsumerHeartbeat  = 5 * time.Second
	defaultAssignmentInterval = time.Second

	// newMemberTimeout is the session of a member that does not know its id yet and so cannot send heartbeats.
	newMemberTimeout = 5 * time.Minute

	// minPostponed is how long a generation that nobody joined is postponed at least, and how long a member of a consumer group has
	// for what it must do; a rebalance timeout may be zero.
	minPostponed = time.Second
)

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	setInt := func(d *int, v int) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.MinSessionTimeout, defaultMinSession)
	set(&c.MaxSessionTimeout, defaultMaxSession)
	set(&c.OffsetsRetention, defaultRetention)
	set(&c.ExpiryInterval, defaultExpiryInterval)
	set(&c.PatternRefresh, defaultPatternRefresh)
	if c.Consumer == nil {
		c.Consumer = func(string) ConsumerConfig {
			return ConsumerConfig{defaultConsumerSession, defaultConsumerHeartbeat, defaultAssignmentInterval}
		}
	}
	if c.Topics == nil {
		c.Topics = func() Metadata { return noTopics{} }
	}
	if len(c.Assignors) == 0 {
		c.Assignors = []string{"uniform", "range"}
	}
	if c.Migration == "" {
		c.Migration = MigrateBoth
	}
	setInt(&c.MaxConsumers, defaultMaxMembers)
	setInt(&c.MaxMembers, defaultMaxMembers)
	setInt(&c.MaxOffsetMetadata, defaultOffsetMetadata)
	setInt(&c.MaxGroupBytes, defaultGroupBytes)
	setInt(&c.MaxBytes, defaultBytes)
	setInt(&c.MaxRecordBytes, defaultRecordBytes)
	return c
}

// noTopics is the metadata of a cluster without topics.
type noTopics struct{}

func (noTopics) Version() uint64                         { return 1 }
func (noTopics) Topic(string) (TopicInfo, bool)          { return TopicInfo{}, false }
func (noTopics) TopicByID([16]byte) (TopicInfo, bool)    { return TopicInfo{}, false }
func (noTopics) TopicNames() []string                    { return nil }
func (noTopics) PartitionRacks([16]byte, int32) []string { return nil }
