package broker

import (
	"context"
	"strconv"
	"unicode/utf8"

	"github.com/millrace-io/millrace/broker/internal/group"
)

// maxGroupOffsets bounds the partitions whose offsets and lags one scrape tells, over all groups: some 40 MB of text. The sums of the groups that have no room are left
// out with them, and a metric says so.
const maxGroupOffsets = 100_000

// groups tells how the consumer groups stand, and what the coordinator did. The names are those of Kafka's coordinator, and for single groups those of the exporter
// that most dashboards of lags were made for.
func (g *gathering) groups(ctx context.Context) {
	t := g.s.parts.groups.Tally()
	const prefix = "kafka_server_group_coordinator_metrics_"
	for _, m := range []struct {
		name, help string
		value      int
	}{
		{"group_completed_rebalance_count", "Generations of classic groups whose members got their assignments.", t.ClassicRebalances},
		{"consumer_group_rebalance_count", "Rebalances of groups of the consumer protocol.", t.ConsumerRebalances},
		{"offset_commit_count", "Offsets committed.", t.Commits},
		{"offset_expiration_count", "Offsets forgotten because their time was over.", t.Expired},
		{"offset_deletion_count", "Offsets deleted, by request or with their topic.", t.Deleted},
	} {
		g.counter(prefix+m.name, m.help, float64(m.value))
	}
	all, err := g.s.parts.groups.Survey(ctx, maxGroupOffsets)
	if err != nil {
		return
	}
	byProtocol, byState := map[string]int{}, map[[2]string]int{}
	left := 0
	for i := range all {
		s := &all[i]
		byProtocol[s.Kind.String()]++
		byState[[2]string{s.Kind.String(), s.State.String()}]++
		left += s.Left
		g.group(s)
	}
	for kind, n := range byProtocol {
		g.gauge(prefix+"group_count", "Groups by protocol.", float64(n), "protocol", kind)
	}
	for k, n := range byState {
		g.gauge(prefix+k[0]+"_group_count", "Groups of a protocol by state.", float64(n), "state", k[1])
	}
	g.gauge("kafka_coordinator_group_groupmetadatamanager_numgroups", "Groups.", float64(len(all)))
	g.gauge("millrace_consumergroup_offsets_left_out", "Committed offsets that a scrape has no room to tell of.", float64(left))
}

// group tells how one group stands.
func (g *gathering) group(s *group.Standing) {
	labels := []string{"consumergroup", label(s.Group)}
	g.gauge("kafka_consumergroup_members", "Members of a group.", float64(s.Members), labels...)
	g.gauge("millrace_consumergroup_state", "1 for the state that a group is in.", 1, append(labels, "protocol", s.Kind.String(), "state", s.State.String())...)
	if s.Left > 0 {
		return
	}
	sums := map[string]*[2]int64{} // offsets and lags, by topic
	for _, c := range s.Offsets {
		p, err := g.s.parts.replicas.Partition(c.Topic, c.Partition.Partition)
		if err != nil || p.Err() != nil {
			continue // deleted meanwhile, or nobody knows where it ends
		}
		lag := max(int64(p.Offsets().HighWatermark)-c.Offset, 0)
		if sums[c.Topic] == nil {
			sums[c.Topic] = &[2]int64{}
		}
		sums[c.Topic][0] += c.Offset
		sums[c.Topic][1] += lag
		of := append(labels, "topic", c.Topic, "partition", strconv.Itoa(int(c.Partition.Partition)))
		g.gauge("kafka_consumergroup_current_offset", "Offset that a group committed.", float64(c.Offset), of...)
		g.gauge("kafka_consumergroup_lag", "Offsets between what a group committed and the high watermark.", float64(lag), of...)
	}
	for topic, sum := range sums {
		of := append(labels, "topic", topic)
		g.gauge("kafka_consumergroup_current_offset_sum", "Sum of the offsets that a group committed in a topic.", float64(sum[0]), of...)
		g.gauge("kafka_consumergroup_lag_sum", "Sum of a group's lags in a topic.", float64(sum[1]), of...)
	}
}

// label is what a client said, as a label's value, which must be UTF-8.
func label(said string) string {
	if utf8.ValidString(said) {
		return said
	}
	return strconv.QuoteToASCII(said)
}
