package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/topology"
)

// prepare finds out what the cluster has, plans the tasks, and makes and checks the internal topics.
func (a *App) prepare(ctx context.Context, admin *kgo.Client) (err error) {
	said := "" // each cause once: the tries follow each other within moments
	a.features, err = client.Connect(ctx, admin, a.cfg.StartTimeout, func(err error) {
		if cause := err.Error(); cause != said {
			said = cause
			a.log.Warn("no broker answers yet", "brokers", a.cfg.Brokers, "error", err)
		}
	})
	if refusal := (*kerr.Error)(nil); errors.As(err, &refusal) {
		return fmt.Errorf("runtime: a broker at %s refuses this application: %w", strings.Join(a.cfg.Brokers, ", "), err)
	}
	if err != nil {
		return fmt.Errorf("runtime: no broker answered at %s within %v: start one, or correct Config.Brokers: %w", strings.Join(a.cfg.Brokers, ", "), a.cfg.StartTimeout, err)
	}
	a.shape = a.topo
	if a.topo.HasPatterns() {
		existing, err := client.ListTopics(ctx, admin, a.cfg.StartTimeout)
		if err != nil {
			return fmt.Errorf("runtime: topics: %w", err)
		}
		if a.shape, err = a.topo.Match(a.cfg.AppID, existing); err != nil {
			return fmt.Errorf("runtime: %w", err)
		}
	}
	names := a.topicNames()
	found, err := client.Describe(ctx, admin, names.all(), a.cfg.StartTimeout)
	if err != nil {
		return fmt.Errorf("runtime: topics: %w", err)
	}
	a.plan, err = a.shape.Plan(a.cfg.AppID, func(topic string) (int32, bool) {
		info, ok := found[topic]
		return int32(len(info.Leaders)), ok
	})
	for _, name := range names.sinks {
		if _, ok := found[name]; !ok {
			err = errors.Join(err, fmt.Errorf("runtime: output topic %q does not exist: create it first", name))
		}
	}
	if err != nil {
		return err
	}
	if err := a.makeTopics(ctx, admin, found); err != nil {
		return err
	}
	a.layOut(found)
	return a.checkTopics(ctx, admin, names)
}

// topicNames are the real names of an application's topics.
type topicNames struct{ sources, sinks, repartitions, changelogs []string }

func (n topicNames) all() []string {
	all := slices.Concat(n.sources, n.sinks, n.repartitions, n.changelogs)
	slices.Sort(all)
	return slices.Compact(all)
}

func (a *App) topicNames() topicNames {
	var n topicNames
	for _, sub := range a.shape.Subtopologies() {
		for _, src := range sub.Sources() {
			for _, ref := range src.Topics {
				if !ref.Internal {
					n.sources = append(n.sources, ref.Name)
				}
			}
		}
		for _, ref := range sub.SinkTopics() {
			if !ref.Internal {
				n.sinks = append(n.sinks, ref.Name)
			}
		}
	}
	for _, g := range a.topo.Globals() {
		n.sources = append(n.sources, g.Topic.Name)
	}
	if dead := a.cfg.Faults.DeadLetterTopic; dead != "" {
		n.sinks = append(n.sinks, dead)
	}
	for _, t := range a.topo.Internal() {
		if name := t.Ref.Resolve(a.cfg.AppID); t.Kind == topology.Repartition {
			n.repartitions = append(n.repartitions, name)
		} else {
			n.changelogs = append(n.changelogs, name)
		}
	}
	return n
}

// makeTopics creates the internal topics that are not there.
func (a *App) makeTopics(ctx context.Context, admin *kgo.Client, found map[string]client.TopicInfo) error {
	var missing []client.NewTopic
	for _, t := range a.plan.Topics {
		if _, ok := found[t.Name]; !ok {
			missing = append(missing, client.NewTopic{Name: t.Name, Partitions: t.Partitions, ReplicationFactor: a.cfg.ReplicationFactor, Config: t.Config})
		}
	}
	if err := client.CreateTopics(ctx, admin, missing, a.cfg.StartTimeout); err != nil {
		return fmt.Errorf("runtime: internal topics: %w", err)
	}
	return nil
}

// layOut fills the tables that tasks are run by.
func (a *App) layOut(found map[string]client.TopicInfo) {
	a.partitions = make(map[string]int32)
	for name, info := range found {
		a.partitions[name] = int32(len(info.Leaders))
	}
	for _, t := range a.plan.Topics {
		a.partitions[t.Name] = t.Partitions
	}
	a.readers = make(map[string]int)
	stores := 0
	for _, sub := range a.shape.Subtopologies() {
		for _, src := range sub.Sources() {
			for _, ref := range src.Topics {
				a.readers[ref.Resolve(a.cfg.AppID)] = sub.ID()
			}
		}
		for _, t := range a.plan.Tasks {
			if t.Subtopology == sub.ID() {
				stores += len(sub.Stores())
			}
		}
	}
	a.storeBytes = max(minStoreCache, a.cfg.CacheBytes/max(1, stores))
	a.restores = make(chan struct{}, restoresAtOnce)
}

const (
	minStoreCache  = 256 << 10 // a cache of less is all bookkeeping
	restoresAtOnce = 4         // more share the same disk and connection
)

// reusedTopics are the topics of tables that are the changelogs of their stores.
func (a *App) reusedTopics() (names []string) {
	for _, d := range a.topo.Stores() {
		if d.Source != nil {
			names = append(names, d.Source.Resolve(a.cfg.AppID))
		}
	}
	return names
}

// checkTopics looks at the settings that data would be lost by, and learns how large batches may be.
func (a *App) checkTopics(ctx context.Context, admin *kgo.Client, n topicNames) error {
	written := slices.Concat(n.sinks, n.repartitions, n.changelogs, a.reusedTopics())
	slices.Sort(written)
	written = slices.Compact(written)
	configs, err := client.TopicConfigs(ctx, admin, written, []string{"cleanup.policy", "retention.ms", "max.message.bytes"}, a.cfg.StartTimeout)
	if err != nil {
		return fmt.Errorf("runtime: topics: %w", err)
	}
	a.maxBytes = make(map[string]int)
	for _, name := range written {
		a.maxBytes[name] = client.Setting(configs[name], "max.message.bytes", 0)
	}
	var faults []error
	for _, name := range a.reusedTopics() {
		if policy := configs[name]["cleanup.policy"]; !strings.Contains(policy, "compact") {
			faults = append(faults, fmt.Errorf("runtime: topic %s is the changelog of a table and has cleanup.policy=%s, so that rows would be lost with their records: set cleanup.policy=compact, or leave out stream.AsChangelog", name, policy))
		}
	}
	for _, t := range a.topo.Internal() {
		name := t.Ref.Resolve(a.cfg.AppID)
		if t.Kind == topology.Repartition {
			faults = append(faults, checkRepartition(name, configs[name]))
		} else {
			faults = append(faults, checkChangelog(name, configs[name], t.Config))
		}
	}
	return errors.Join(faults...)
}

func checkRepartition(name string, have map[string]string) error {
	if strings.Contains(have["cleanup.policy"], "compact") {
		return fmt.Errorf("runtime: repartition topic %s has cleanup.policy=%s, so that all but the last record of a key may be dropped unread: set cleanup.policy=delete", name, have["cleanup.policy"])
	}
	return nil
}

// checkChangelog compares a changelog's settings with those that its store needs: what a store keeps for ever must not be deleted by age, and what it keeps for
// a while not before. Stores of streams' records need no compaction: they keep each record.
func checkChangelog(name string, have, want map[string]string) error {
	policy := have["cleanup.policy"]
	if strings.Contains(want["cleanup.policy"], "compact") && !strings.Contains(policy, "compact") {
		return fmt.Errorf("runtime: changelog topic %s has cleanup.policy=%s, so that state older than its retention is lost: set cleanup.policy=%s", name, policy, want["cleanup.policy"])
	}
	keep := client.Setting(have, "retention.ms", -1)
	if !strings.Contains(policy, "delete") || keep < 0 {
		return nil
	}
	if !strings.Contains(want["cleanup.policy"], "delete") {
		return fmt.Errorf("runtime: changelog topic %s has cleanup.policy=%s and retention.ms=%d, so that older state is lost: set cleanup.policy=%s", name, policy, keep, want["cleanup.policy"])
	}
	if need := client.Setting(want, "retention.ms", -1); need >= 0 && keep < need {
		return fmt.Errorf("runtime: changelog topic %s has retention.ms=%d, less than its store keeps: set retention.ms=%d", name, keep, need)
	}
	return nil
}

// purgeLoop deletes, now and then, what has been committed of repartition topics.
func (a *App) purgeLoop(ctx context.Context, admin *kgo.Client) {
	tick := time.NewTicker(a.cfg.RepartitionPurge)
	defer tick.Stop()
	purged := make(map[client.TopicPartition]int64)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.purge(ctx, admin, purged); err != nil && ctx.Err() == nil {
			a.log.Warn("repartition topics were not purged", "error", err)
		}
	}
}

// purge deletes what was committed since the last time.
func (a *App) purge(ctx context.Context, admin *kgo.Client, purged map[client.TopicPartition]int64) error {
	repartition := make(map[string]bool)
	for _, name := range a.topicNames().repartitions {
		repartition[name] = true
	}
	before := make(map[client.TopicPartition]int64)
	for _, t := range a.Progress().Tasks {
		for _, in := range t.Inputs {
			tp := client.TopicPartition{Topic: in.Topic, Partition: in.Partition}
			if repartition[in.Topic] && in.Committed > max(0, purged[tp]) {
				before[tp] = in.Committed
			}
		}
	}
	if err := client.DeleteRecords(ctx, admin, before); err != nil {
		return err
	}
	for tp, offset := range before {
		purged[tp] = offset
	}
	return nil
}
