package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// place is where a setting acts: a file below broker, and what in it reads the setting.
type place struct{ file, reads string }

// brokerActs says for each broker setting that is accepted where it acts.
var brokerActs = map[string]place{
	"advertised.listeners":                                        {"config.go", `"advertised.listeners"`},
	"auto.create.topics.enable":                                   {"internal/api/metadata.go", `"auto.create.topics.enable"`},
	"broker.id":                                                   {"config.go", `"broker.id"`},
	"broker.rack":                                                 {"assemble.go", `"broker.rack"`},
	"compression.gzip.level":                                      {"internal/settings/topic.go", `"compression.gzip.level"`},
	"compression.lz4.level":                                       {"internal/settings/topic.go", `"compression.lz4.level"`},
	"compression.type":                                            {"internal/settings/topic.go", `"compression.type"`},
	"compression.zstd.level":                                      {"internal/settings/topic.go", `"compression.zstd.level"`},
	"connections.max.idle.ms":                                     {"conn.go", `"connections.max.idle.ms"`},
	"default.replication.factor":                                  {"internal/controller/topics.go", `"default.replication.factor"`},
	"delete.topic.enable":                                         {"internal/api/delete_topics.go", `"delete.topic.enable"`},
	"fetch.max.bytes":                                             {"internal/api/fetch.go", `"fetch.max.bytes"`},
	"flush":                                                       {"config.go", `"flush"`},
	"group.consumer.assignment.interval.ms":                       {"internal/settings/group.go", `"group.consumer.assignment.interval.ms"`},
	"group.consumer.assignors":                                    {"assemble.go", `"group.consumer.assignors"`},
	"group.consumer.heartbeat.interval.ms":                        {"internal/settings/group.go", `"group.consumer.heartbeat.interval.ms"`},
	"group.consumer.max.assignment.interval.ms":                   {"internal/settings/group.go", `"group.consumer.max."`},
	"group.consumer.max.heartbeat.interval.ms":                    {"internal/settings/group.go", `"group.consumer.max."`},
	"group.consumer.max.session.timeout.ms":                       {"internal/settings/group.go", `"group.consumer.max."`},
	"group.consumer.max.size":                                     {"assemble.go", `"group.consumer.max.size"`},
	"group.consumer.migration.policy":                             {"assemble.go", `"group.consumer.migration.policy"`},
	"group.consumer.min.assignment.interval.ms":                   {"internal/settings/group.go", `"group.consumer.min."`},
	"group.consumer.min.heartbeat.interval.ms":                    {"internal/settings/group.go", `"group.consumer.min."`},
	"group.consumer.min.session.timeout.ms":                       {"internal/settings/group.go", `"group.consumer.min."`},
	"group.consumer.regex.refresh.interval.ms":                    {"assemble.go", `"group.consumer.regex.refresh.interval.ms"`},
	"group.consumer.session.timeout.ms":                           {"internal/settings/group.go", `"group.consumer.session.timeout.ms"`},
	"group.coordinator.rebalance.protocols":                       {"internal/api/consumer_group_heartbeat.go", `"group.coordinator.rebalance.protocols"`},
	"group.initial.rebalance.delay.ms":                            {"assemble.go", `"group.initial.rebalance.delay.ms"`},
	"group.max.session.timeout.ms":                                {"assemble.go", `"group.max.session.timeout.ms"`},
	"group.max.size":                                              {"assemble.go", `"group.max.size"`},
	"group.min.session.timeout.ms":                                {"assemble.go", `"group.min.session.timeout.ms"`},
	"log.cleaner.backoff.ms":                                      {"internal/replica/housekeeping.go", `"log.cleaner.backoff.ms"`},
	"log.cleaner.dedupe.buffer.size":                              {"internal/replica/config.go", `"log.cleaner.dedupe.buffer.size"`},
	"log.cleaner.delete.retention.ms":                             {"internal/settings/topic.go", `"log.cleaner.delete.retention.ms"`},
	"log.cleaner.enable":                                          {"internal/replica/housekeeping.go", `"log.cleaner.enable"`},
	"log.cleaner.max.compaction.lag.ms":                           {"internal/settings/topic.go", `"log.cleaner.max.compaction.lag.ms"`},
	"log.cleaner.min.cleanable.ratio":                             {"internal/settings/topic.go", `"log.cleaner.min.cleanable.ratio"`},
	"log.cleaner.min.compaction.lag.ms":                           {"internal/settings/topic.go", `"log.cleaner.min.compaction.lag.ms"`},
	"log.cleanup.policy":                                          {"internal/settings/topic.go", `"log.cleanup.policy"`},
	"log.dirs":                                                    {"config.go", `"log.dirs"`},
	"log.flush.interval.messages":                                 {"internal/settings/topic.go", `"log.flush.interval.messages"`},
	"log.flush.interval.ms":                                       {"internal/settings/topic.go", `"log.flush.interval.ms"`},
	"log.flush.offset.checkpoint.interval.ms":                     {"internal/replica/housekeeping.go", `"log.flush.offset.checkpoint.interval.ms"`},
	"log.flush.scheduler.interval.ms":                             {"internal/replica/housekeeping.go", `"log.flush.scheduler.interval.ms"`},
	"log.index.interval.bytes":                                    {"internal/settings/topic.go", `"log.index.interval.bytes"`},
	"log.index.size.max.bytes":                                    {"internal/settings/topic.go", `"log.index.size.max.bytes"`},
	"log.message.timestamp.after.max.ms":                          {"internal/settings/topic.go", `"log.message.timestamp.after.max.ms"`},
	"log.message.timestamp.before.max.ms":                         {"internal/settings/topic.go", `"log.message.timestamp.before.max.ms"`},
	"log.message.timestamp.type":                                  {"internal/settings/topic.go", `"log.message.timestamp.type"`},
	"log.preallocate":                                             {"internal/settings/topic.go", `"log.preallocate"`},
	"log.retention.bytes":                                         {"internal/settings/topic.go", `"log.retention.bytes"`},
	"log.retention.check.interval.ms":                             {"internal/replica/housekeeping.go", `"log.retention.check.interval.ms"`},
	"log.retention.hours":                                         {"internal/settings/broker.go", `"log.retention.hours"`},
	"log.retention.minutes":                                       {"internal/settings/broker.go", `"log.retention.minutes"`},
	"log.retention.ms":                                            {"internal/settings/topic.go", `"log.retention.ms"`},
	"log.roll.hours":                                              {"internal/settings/broker.go", `"log.roll.hours"`},
	"log.roll.jitter.hours":                                       {"internal/settings/broker.go", `"log.roll.jitter.hours"`},
	"log.roll.jitter.ms":                                          {"internal/settings/topic.go", `"log.roll.jitter.ms"`},
	"log.roll.ms":                                                 {"internal/settings/topic.go", `"log.roll.ms"`},
	"log.segment.bytes":                                           {"internal/settings/topic.go", `"log.segment.bytes"`},
	"log.segment.delete.delay.ms":                                 {"internal/settings/topic.go", `"log.segment.delete.delay.ms"`},
	"max.connections":                                             {"server.go", `"max.connections"`},
	"max.connections.per.ip":                                      {"server.go", `"max.connections.per.ip"`},
	"max.incremental.fetch.session.cache.slots":                   {"assemble.go", `"max.incremental.fetch.session.cache.slots"`},
	"max.request.partition.size.limit":                            {"internal/api/describe_topic_partitions.go", `"max.request.partition.size.limit"`},
	"message.max.bytes":                                           {"internal/settings/topic.go", `"message.max.bytes"`},
	"min.insync.replicas":                                         {"internal/settings/topic.go", `"min.insync.replicas"`},
	"node.id":                                                     {"config.go", `"node.id"`},
	"num.partitions":                                              {"internal/controller/topics.go", `"num.partitions"`},
	"num.recovery.threads.per.data.dir":                           {"internal/replica/manager.go", `"num.recovery.threads.per.data.dir"`},
	"offset.metadata.max.bytes":                                   {"assemble.go", `"offset.metadata.max.bytes"`},
	"offsets.retention.check.interval.ms":                         {"assemble.go", `"offsets.retention.check.interval.ms"`},
	"offsets.retention.minutes":                                   {"assemble.go", `"offsets.retention.minutes"`},
	"offsets.topic.num.partitions":                                {"internal/cluster/local.go", `"offsets.topic."`},
	"offsets.topic.replication.factor":                            {"internal/cluster/local.go", `"offsets.topic."`},
	"offsets.topic.segment.bytes":                                 {"internal/cluster/local.go", `"offsets.topic."`},
	"producer.id.expiration.check.interval.ms":                    {"internal/replica/housekeeping.go", `"producer.id.expiration.check.interval.ms"`},
	"producer.id.expiration.ms":                                   {"internal/replica/config.go", `"producer.id.expiration.ms"`},
	"socket.request.max.bytes":                                    {"conn.go", `"socket.request.max.bytes"`},
	"transaction.abort.timed.out.transaction.cleanup.interval.ms": {"assemble.go", `"transaction.abort.timed.out.transaction.cleanup.interval.ms"`},
	"transaction.max.timeout.ms":                                  {"assemble.go", `"transaction.max.timeout.ms"`},
	"transaction.partition.verification.enable":                   {"internal/api/produce.go", `"transaction.partition.verification.enable"`},
	"transaction.remove.expired.transaction.cleanup.interval.ms":  {"assemble.go", `"transaction.remove.expired.transaction.cleanup.interval.ms"`},
	"transaction.state.log.min.isr":                               {"internal/cluster/local.go", `"transaction.state.log.min.isr"`},
	"transaction.state.log.num.partitions":                        {"internal/cluster/local.go", `"transaction.state.log."`},
	"transaction.state.log.replication.factor":                    {"internal/cluster/local.go", `"transaction.state.log."`},
	"transaction.state.log.segment.bytes":                         {"internal/cluster/local.go", `"transaction.state.log."`},
	"transactional.id.expiration.ms":                              {"assemble.go", `"transactional.id.expiration.ms"`},
	"unclean.leader.election.enable":                              {"internal/settings/topic.go", `"unclean.leader.election.enable"`},
}

// topicActs says the same for topic configs, which reach their place as fields of Topic.
var topicActs = map[string]place{
	"cleanup.policy":                  {"internal/replica/config.go", `.CleanupCompact`},
	"compression.gzip.level":          {"internal/replica/config.go", `.GzipLevel`},
	"compression.lz4.level":           {"internal/replica/config.go", `.LZ4Level`},
	"compression.type":                {"internal/replica/config.go", `.CompressionType`},
	"compression.zstd.level":          {"internal/replica/config.go", `.ZstdLevel`},
	"delete.retention.ms":             {"internal/replica/config.go", `.DeleteRetention`},
	"file.delete.delay.ms":            {"internal/replica/config.go", `.FileDeleteDelay`},
	"flush.messages":                  {"internal/replica/partition.go", `.FlushMessages`},
	"flush.ms":                        {"internal/replica/housekeeping.go", `.FlushInterval`},
	"index.interval.bytes":            {"internal/replica/config.go", `.IndexIntervalBytes`},
	"internal.segment.bytes":          {"internal/replica/config.go", `.SegmentBytes`},
	"max.compaction.lag.ms":           {"internal/replica/config.go", `.MaxCompactionLag`},
	"max.message.bytes":               {"internal/replica/config.go", `.MaxMessageBytes`},
	"message.timestamp.after.max.ms":  {"internal/replica/config.go", `.TimestampAfterMax`},
	"message.timestamp.before.max.ms": {"internal/replica/config.go", `.TimestampBeforeMax`},
	"message.timestamp.type":          {"internal/replica/config.go", `.LogAppendTime`},
	"min.cleanable.dirty.ratio":       {"internal/replica/config.go", `.MinCleanableDirtyRatio`},
	"min.compaction.lag.ms":           {"internal/replica/config.go", `.MinCompactionLag`},
	"min.insync.replicas":             {"internal/replica/manager.go", `.MinInsyncReplicas`},
	"preallocate":                     {"internal/replica/config.go", `.Preallocate`},
	"retention.bytes":                 {"internal/replica/config.go", `.RetentionBytes`},
	"retention.ms":                    {"internal/replica/config.go", `.Retention`},
	"segment.bytes":                   {"internal/replica/config.go", `.SegmentBytes`},
	"segment.index.bytes":             {"internal/replica/config.go", `.SegmentIndexBytes`},
	"segment.jitter.ms":               {"internal/replica/config.go", `.SegmentJitter`},
	"segment.ms":                      {"internal/replica/config.go", `.SegmentAge`},
}

// groupActs says the same for configs of groups.
var groupActs = map[string]place{
	"consumer.session.timeout.ms":     {"consumergroups.go", `"session.timeout"`},
	"consumer.heartbeat.interval.ms":  {"consumergroups.go", `"heartbeat.interval"`},
	"consumer.assignment.interval.ms": {"consumergroups.go", `"assignment.interval"`},
}

// actsNowhere are the names that are accepted although nothing acts on them, each with the reason.
var actsNowhere = map[string]string{
	"share.coordinator.state.topic.num.partitions": "the size of a topic that there is only with share groups; properties files that set up a Kafka name it",
	"unclean.leader.election.enable":               "it chooses between replicas when the one that leads is lost, and one broker has one of each",
}

func TestEverySettingThatIsAcceptedActs(t *testing.T) {
	for _, c := range []struct {
		kind string
		defs []Def
		acts map[string]place
	}{{"broker", BrokerDefs(), brokerActs}, {"topic", TopicDefs(), topicActs}, {"group", GroupDefs(), groupActs}} {
		known := map[string]bool{}
		for i := range c.defs {
			d := &c.defs[i]
			known[d.Name] = true
			p, acts := c.acts[d.Name]
			switch {
			case d.Refuse != "" && acts:
				t.Errorf("%s config %s acts in %s and is refused", c.kind, d.Name, p.file)
			case d.Refuse != "" || actsNowhere[d.Name] != "":
			case !acts:
				t.Errorf("%s config %s is accepted: say where it acts, or refuse it", c.kind, d.Name)
			default:
				checkActs(t, c.kind, d.Name, p)
			}
		}
		for name := range c.acts {
			if !known[name] {
				t.Errorf("%s config %s is no config", c.kind, name)
			}
		}
	}
}

func checkActs(t *testing.T, kind, name string, p place) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(p.file)))
	if err != nil {
		t.Errorf("%s config %s: %v", kind, name, err)
	} else if !strings.Contains(string(text), p.reads) {
		t.Errorf("%s config %s: nothing in %s reads it as %s", kind, name, p.file, p.reads)
	}
}
