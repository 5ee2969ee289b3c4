package broker

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/google/uuid"

	"github.com/millrace-io/millrace/broker/internal/api"
	"github.com/millrace-io/millrace/broker/internal/budget"
	"github.com/millrace-io/millrace/broker/internal/cluster"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/coordinator/groups"
	"github.com/millrace-io/millrace/broker/internal/coordinator/transactions"
	"github.com/millrace-io/millrace/broker/internal/coordinator/transactions/markers"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/meter"
	"github.com/millrace-io/millrace/broker/internal/replica"
)

// parts are what a running server is made of, in the order in which they depend on each other.
type parts struct {
	cluster      *cluster.Local
	replicas     *replica.Manager
	groups       *groups.Coordinator
	transactions *transactions.Coordinator
	hanging      *markers.Hanging

	forget     func(drop func(context.Context)) // runs drop beside everything else
	background sync.WaitGroup                   // what forget started, hanging, and the watch of the data directory
}

// assemble opens everything in the data directory and puts it together.
func (s *Server) assemble() (_ *api.Node, _ *parts, err error) {
	cfg, p := s.cfg, &parts{}
	p.cluster, err = cluster.Open(cluster.Config{
		FS: cfg.FS, Dir: s.dir.sub(metadataDir), NodeID: cfg.NodeID, Rack: cfg.settings.String("broker.rack"),
		Clean: s.dir.clean, End: s.dir.end, Begin: s.dir.begin, Settings: cfg.settings, Features: api.DefaultFeatures(), Log: s.log,
		Failed: func(err error) { p.replicas.Fail(err) }, // not before all parts are there: opening the metadata fails otherwise
	})
	if err != nil {
		return nil, nil, err
	}
	p.replicas, err = replica.Open(replica.Config{
		FS: cfg.FS, Dir: s.dir.sub(topicsDir), NodeID: cfg.NodeID, Flush: cfg.flush,
		Settings: p.cluster.Settings, Now: cfg.Now, Log: s.log, Clean: s.dir.clean, Failed: p.cluster.Fail, Purged: func(id controller.TopicID) { s.purged(p, id) },
	})
	if err != nil {
		return nil, nil, errors.Join(err, p.cluster.Close())
	}
	s.coordinate(p)
	node := &api.Node{
		ID: cfg.NodeID, DataDir: s.dir.shown(), Log: s.log, Now: cfg.Now, APIs: api.Table(), Settings: p.cluster.Settings,
		Listeners: s.addresses, Cluster: p.cluster, Replicas: p.replicas, Groups: p.groups, Transactions: p.transactions, DiskSpace: s.diskSpace,
		Answers: budget.New(answerMemory), Meter: newMeter(),
		Sessions: api.NewFetchSessions(func() int { return int(p.cluster.Settings().Int("max.incremental.fetch.session.cache.slots")) }),
	}
	p.forget = func(drop func(context.Context)) {
		p.background.Go(func() { drop(s.ctx) })
	}
	p.cluster.Watch(p.replicas.Update)
	p.cluster.Watch(p.lead)
	p.replicas.Start()
	p.background.Go(func() { s.dir.watch(s.ctx, p.replicas.LookForRoom, p.replicas.Lose) })
	p.background.Go(func() { p.hanging.Run(s.ctx, p.cluster.Settings().Duration("transaction.max.timeout.ms")) })
	return node, p, nil
}

func newMeter() *meter.Meter {
	var keys []int16
	for _, row := range api.Table() {
		keys = append(keys, row.Key)
	}
	return meter.New(keys)
}

// coordinate makes the coordinators; they lead nothing yet.
func (s *Server) coordinate(p *parts) {
	cfg, set := s.cfg, p.cluster.Settings()
	partitionsOf := func(topic string) func() int32 {
		return func() int32 {
			if t := p.cluster.Image().Topic(topic); t != nil {
				return int32(len(t.Partitions))
			}
			return 0
		}
	}
	p.groups = groups.New(groups.Config{
		Group: group.Config{
			NewID:                 uuid.NewString,
			InitialRebalanceDelay: set.Duration("group.initial.rebalance.delay.ms"),
			MinSessionTimeout:     set.Duration("group.min.session.timeout.ms"),
			MaxSessionTimeout:     set.Duration("group.max.session.timeout.ms"),
			MaxMembers:            int(set.Int("group.max.size")),
			MaxOffsetMetadata:     int(set.Int("offset.metadata.max.bytes")),
			OffsetsRetention:      set.Duration("offsets.retention.minutes"),
			ExpiryInterval:        set.Duration("offsets.retention.check.interval.ms"),
			Consumer:              p.consumerConfig,
			Topics:                p.consumerTopics(),
			MaxConsumers:          int(set.Int("group.consumer.max.size")),
			Assignors:             set.List("group.consumer.assignors"),
			Migration:             group.Migration(set.String("group.consumer.migration.policy")),
			PatternRefresh:        set.Duration("group.consumer.regex.refresh.interval.ms"),
		},
		Partitions: partitionsOf(controller.OffsetsTopic),
		Log:        s.log,
		Now:        cfg.Now,
	})
	local := &markers.Local{Image: p.cluster.Image, Partition: p.replicas.Partition, Offsets: p.groups}
	p.transactions = transactions.New(transactions.Config{
		MaxTimeout:     set.Duration("transaction.max.timeout.ms"),
		IDExpiration:   set.Duration("transactional.id.expiration.ms"),
		AbortInterval:  set.Duration("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
		ExpireInterval: set.Duration("transaction.remove.expired.transaction.cleanup.interval.ms"),
		Partitions:     partitionsOf(controller.TransactionsTopic),
		Allocate:       p.cluster.AllocateProducerIDs,
		Markers:        local,
		Log:            s.log,
		Now:            cfg.Now,
	})
	p.hanging = &markers.Hanging{
		Open: func() []markers.OpenTxn { return markers.OpenIn(p.replicas.All()) },
		Owns: p.transactions.Owns, Abort: local.AbortHanging, Log: s.log,
	}
}

// lead tells the coordinators which partitions of their topics this broker leads, and the group coordinator which topics went away. It is called with
// every change of the metadata, after the logs have seen it.
func (p *parts) lead(old, now *controller.Image) {
	for _, c := range []struct {
		topic  string
		lead   func(partition, epoch int32, log replica.CoordinatorLog)
		resign func(partition int32)
	}{
		{controller.OffsetsTopic, func(n, e int32, l replica.CoordinatorLog) { p.groups.Lead(n, e, l) }, p.groups.Resign},
		{controller.TransactionsTopic, func(n, e int32, l replica.CoordinatorLog) { p.transactions.Lead(n, e, l) }, p.transactions.Resign},
	} {
		was, is := topicIn(old, c.topic), now.Topic(c.topic)
		if was == is {
			continue
		}
		if was != nil && (is == nil || is.ID != was.ID) {
			for n := range was.Partitions {
				c.resign(int32(n))
			}
			was = nil
		}
		for n := range partitionsIn(is) {
			if was != nil && n < len(was.Partitions) && was.Partitions[n].LeaderEpoch == is.Partitions[n].LeaderEpoch {
				continue
			}
			if part, err := p.replicas.Partition(c.topic, int32(n)); err == nil {
				c.lead(int32(n), is.Partitions[n].LeaderEpoch, replica.CoordinatorLog{Partition: part})
			}
		}
	}
	p.forgetTopics(old, now)
}

func topicIn(im *controller.Image, name string) *controller.Topic {
	if im == nil {
		return nil
	}
	return im.Topic(name)
}

func partitionsIn(t *controller.Topic) []controller.Partition {
	if t == nil {
		return nil
	}
	return t.Partitions
}

// forgetTopics has the offsets of deleted topics dropped. The group coordinator writes tombstones for that, which must not hold up the change. A kill may
// come in between, so the start drops what it finds of topics that are not there.
func (p *parts) forgetTopics(old, now *controller.Image) {
	if old == nil {
		p.forget(func(ctx context.Context) {
			p.groups.DropOffsets(ctx, func(of group.Topic) bool {
				t := p.cluster.Image().Topic(of.Name)
				return t == nil || of.ID != [16]byte{} && controller.TopicID(of.ID) != t.ID
			})
		})
		return
	}
	if maps.Equal(now.Deleted(), old.Deleted()) {
		return
	}
	var gone []group.Topic
	for _, t := range old.Topics() {
		if now.TopicByID(t.ID) == nil {
			gone = append(gone, group.Topic{Name: t.Name, ID: t.ID})
		}
	}
	if len(gone) > 0 {
		p.forget(func(ctx context.Context) { p.groups.TopicsDeleted(ctx, gone) })
	}
}

// close ends the parts, the users first, and returns nil when all of them are as a clean start needs them.
func (p *parts) close() error {
	p.transactions.Close()
	p.groups.Close()
	p.background.Wait()
	return errors.Join(p.replicas.Close(), p.cluster.Close())
}

// abandon ends the parts as a kill would.
func (p *parts) abandon() {
	p.replicas.Abandon()
	p.transactions.Close()
	p.groups.Close()
	p.background.Wait()
	// Everything in the metadata log was flushed; closing the file adds nothing to it.
	_ = p.cluster.Close()
}

// purged makes the cluster forget a deleted topic whose files are gone.
func (s *Server) purged(p *parts, id controller.TopicID) {
	err := p.cluster.Propose(s.ctx, func(im *controller.Image) ([]controller.Record, error) {
		if _, ok := im.Deleted()[id]; !ok {
			return nil, nil
		}
		return []controller.Record{&controller.TopicPurged{ID: id}}, nil
	})
	if err != nil && s.ctx.Err() == nil {
		s.log.Error("a deleted topic cannot be forgotten; the next start tries again", "error", err)
	}
}

// diskSpace returns the size of the disk and what is free of it, or -1 when the file system does not tell.
func (s *Server) diskSpace() (total, usable int64) {
	u, err := s.cfg.FS.GetDiskUsage(s.dir.path)
	if err != nil {
		return -1, -1
	}
	return int64(u.TotalBytes), int64(u.AvailBytes)
}
