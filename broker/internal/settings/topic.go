package settings

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// noThrottling is why nobody can slow replication down.
const noThrottling = "replication is not throttled on this broker"

const maxInt32 = math.MaxInt32

// topicDefs are Kafka's topic configs. Tiered storage is not served: its names are known, and values that would ask for it are refused.
var topicDefs = newCatalogue([]Def{
	listDef("cleanup.policy", "delete", "What happens to old data: delete, compact, or both.", "compact", "delete").from("log.cleanup.policy"),
	stringDef("compression.type", "producer", "Codec of the stored batches; producer keeps what the client chose.",
		"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer").from("compression.type"),
	intDef("compression.gzip.level", "-1", -1, 9, "Level when compression.type is gzip.").except(0).from("compression.gzip.level"),
	intDef("compression.lz4.level", "9", 1, 17, "Level when compression.type is lz4.").from("compression.lz4.level"),
	intDef("compression.zstd.level", "3", -131072, 22, "Level when compression.type is zstd.").from("compression.zstd.level"),
	longDef("delete.retention.ms", "86400000", 0, "How long tombstones stay after the first cleaning.").from("log.cleaner.delete.retention.ms"),
	longDef("file.delete.delay.ms", "60000", 0, "How long a deleted segment's file stays on disk.").from("log.segment.delete.delay.ms"),
	longDef("flush.messages", "9223372036854775807", 1, "Records after which the log is synced to disk.").from("log.flush.interval.messages"),
	longDef("flush.ms", "9223372036854775807", 0, "Time after which the log is synced to disk.").from("log.flush.interval.ms"),
	listDef("follower.replication.throttled.replicas", "", "Replicas whose replication is throttled on the follower's side.").refuse(noThrottling),
	intDef("index.interval.bytes", "4096", 0, maxInt32, "Bytes between two entries of the offset index.").from("log.index.interval.bytes"),
	listDef("leader.replication.throttled.replicas", "", "Replicas whose replication is throttled on the leader's side.").refuse(noThrottling),
	longDef("local.retention.bytes", "-2", -2, "Tiered storage: bytes kept locally.").from("log.local.retention.bytes").
		refuse("tiered storage is not available on this broker"),
	longDef("local.retention.ms", "-2", -2, "Tiered storage: time kept locally.").from("log.local.retention.ms").
		refuse("tiered storage is not available on this broker"),
	longDef("max.compaction.lag.ms", "9223372036854775807", 1, "Longest time a record may stay uncompacted.").from("log.cleaner.max.compaction.lag.ms"),
	intDef("max.message.bytes", "1048588", 0, maxInt32, "Largest record batch, as stored.").from("message.max.bytes"),
	longDef("message.timestamp.after.max.ms", "3600000", 0, "How far a record's time may lie in the future.").from("log.message.timestamp.after.max.ms"),
	longDef("message.timestamp.before.max.ms", "9223372036854775807", 0, "How far a record's time may lie in the past.").from("log.message.timestamp.before.max.ms"),
	stringDef("message.timestamp.type", "CreateTime", "Whose time a record carries: the producer's or the log's.",
		"CreateTime", "LogAppendTime").from("log.message.timestamp.type"),
	{Name: "min.cleanable.dirty.ratio", Type: Double, Default: "0.5", Min: 0, Max: 1, Broker: "log.cleaner.min.cleanable.ratio",
		Doc: "Share of uncleaned bytes at which a log is cleaned."},
	longDef("min.compaction.lag.ms", "0", 0, "Shortest time a record stays uncompacted.").from("log.cleaner.min.compaction.lag.ms"),
	intDef("min.insync.replicas", "1", 1, maxInt32, "Replicas that must be in sync for acks=all.").from("min.insync.replicas"),
	boolDef("preallocate", "false", "Whether new segment files are allocated in full.").from("log.preallocate"),
	boolDef("remote.log.copy.disable", "false", "Tiered storage: stop copying.").refuse("tiered storage is not available on this broker"),
	boolDef("remote.log.delete.on.disable", "false", "Tiered storage: delete when switched off.").refuse("tiered storage is not available on this broker"),
	boolDef("remote.storage.enable", "false", "Tiered storage for this topic.").refuse("tiered storage is not available on this broker"),
	longDef("retention.bytes", "-1", math.MinInt64, "Bytes of a partition to keep; -1 is no limit.").from("log.retention.bytes"),
	longDef("retention.ms", "604800000", -1, "Time to keep records; -1 is no limit.").from("log.retention.ms"),
	intDef("segment.bytes", "1073741824", 1048576, maxInt32, "Size at which a segment is closed.").from("log.segment.bytes"),
	intDef("segment.index.bytes", "10485760", 4, maxInt32, "Largest size of a segment's index.").from("log.index.size.max.bytes"),
	longDef("segment.jitter.ms", "0", 0, "Most that is taken off segment.ms at random.").from("log.roll.jitter.ms"),
	longDef("segment.ms", "604800000", 1, "Age at which a segment is closed.").from("log.roll.ms"),
	boolDef("unclean.leader.election.enable", "false", "Whether a replica out of sync may lead, at the price of data.").from("unclean.leader.election.enable"),
	// internal.segment.bytes is what Kafka's own tests use to get below the floor of segment.bytes.
	{Name: "internal.segment.bytes", Type: Int, NoDefault: true, Min: 0, Max: maxInt32, Doc: "For tests: overrides segment.bytes, without its floor."},
})

// TopicDefs returns the definitions of topic configs in order of name. Do not change them.
func TopicDefs() []Def { return topicDefs.defs }

// TopicDef returns the definition of one topic config, or nil.
func TopicDef(name string) *Def { return topicDefs.byName[name] }

// CheckTopic returns the first fault among the overrides of one topic, in order of name.
func CheckTopic(overrides map[string]string) error {
	for _, name := range sortedKeys(overrides) {
		d := topicDefs.byName[name]
		if d == nil {
			return &UnknownError{Kind: "topic", Name: name}
		}
		if _, err := d.Parse(overrides[name]); err != nil {
			return err
		}
	}
	return CheckTopicTogether(overrides)
}

// CheckTopicTogether returns what is wrong with overrides that do one by one and not together.
func CheckTopicTogether(overrides map[string]string) error {
	least, err := topicDefs.mustDef("min.compaction.lag.ms").Parse(overrides["min.compaction.lag.ms"])
	if err != nil {
		return nil // not given
	}
	most, err := topicDefs.mustDef("max.compaction.lag.ms").Parse(overrides["max.compaction.lag.ms"])
	if err == nil && least.num > most.num {
		return fmt.Errorf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", least.num, most.num)
	}
	return nil
}

// Topic is the effective configuration of one topic. It is immutable.
type Topic struct {
	CleanupCompact, CleanupDelete  bool
	CompressionType                string
	GzipLevel, LZ4Level, ZstdLevel int
	DeleteRetention                time.Duration
	FileDeleteDelay                time.Duration
	FlushMessages                  int64
	FlushInterval                  time.Duration
	IndexIntervalBytes             int
	MaxCompactionLag               time.Duration
	MinCompactionLag               time.Duration
	MaxMessageBytes                int
	TimestampAfterMax              time.Duration
	TimestampBeforeMax             time.Duration
	LogAppendTime                  bool
	MinCleanableDirtyRatio         float64
	MinInsyncReplicas              int
	Preallocate                    bool
	RetentionBytes                 int64         // below 0: no limit
	Retention                      time.Duration // below 0: no limit
	SegmentBytes                   int
	SegmentIndexBytes              int
	SegmentJitter                  time.Duration
	SegmentAge                     time.Duration
}

// EffectiveTopic returns what holds for a topic with these overrides on a broker with these settings. The overrides must have passed CheckTopic.
func EffectiveTopic(b *Broker, overrides map[string]string) *Topic {
	get := func(name string) Value { return TopicValue(b, overrides, name) }
	ms := func(name string) time.Duration { return millis(get(name).num) }
	policy := get("cleanup.policy").list
	t := &Topic{
		CleanupCompact:         slices.Contains(policy, "compact"),
		CleanupDelete:          slices.Contains(policy, "delete"),
		CompressionType:        get("compression.type").raw,
		GzipLevel:              int(get("compression.gzip.level").num),
		LZ4Level:               int(get("compression.lz4.level").num),
		ZstdLevel:              int(get("compression.zstd.level").num),
		DeleteRetention:        ms("delete.retention.ms"),
		FileDeleteDelay:        ms("file.delete.delay.ms"),
		FlushMessages:          get("flush.messages").num,
		FlushInterval:          ms("flush.ms"),
		IndexIntervalBytes:     int(get("index.interval.bytes").num),
		MaxCompactionLag:       ms("max.compaction.lag.ms"),
		MinCompactionLag:       ms("min.compaction.lag.ms"),
		MaxMessageBytes:        int(get("max.message.bytes").num),
		TimestampAfterMax:      ms("message.timestamp.after.max.ms"),
		TimestampBeforeMax:     ms("message.timestamp.before.max.ms"),
		LogAppendTime:          get("message.timestamp.type").raw == "LogAppendTime",
		MinCleanableDirtyRatio: get("min.cleanable.dirty.ratio").float,
		MinInsyncReplicas:      int(get("min.insync.replicas").num),
		Preallocate:            get("preallocate").num != 0,
		RetentionBytes:         get("retention.bytes").num,
		Retention:              ms("retention.ms"),
		SegmentBytes:           int(get("segment.bytes").num),
		SegmentIndexBytes:      int(get("segment.index.bytes").num),
		SegmentJitter:          ms("segment.jitter.ms"),
		SegmentAge:             ms("segment.ms"),
	}
	if v := get("internal.segment.bytes"); v.raw != "" {
		t.SegmentBytes = int(v.num)
	}
	return t
}

// TopicValue returns the effective value of one topic config: the override, the broker's setting, or the default.
func TopicValue(b *Broker, overrides map[string]string, name string) Value {
	d := topicDefs.mustDef(name)
	if s, ok := overrides[name]; ok {
		if v, err := d.Parse(s); err == nil {
			return v
		}
	}
	if d.Broker != "" {
		return b.topicDefault(d)
	}
	return d.defaultValue()
}

// millis is n milliseconds, or the longest duration when that does not fit.
func millis(n int64) time.Duration {
	if n > int64(math.MaxInt64/time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Millisecond
}
