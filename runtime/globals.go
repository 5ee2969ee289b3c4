package runtime

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/client"
	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
)

// globals are this instance's copies of the global tables.
//
//	open ──▶ complete (every partition read to where it ended at the start) ──▶ follow, on a goroutine of its own ──▶ close
//
// The copies belong to complete and then to the goroutine. Tasks and queries read their engine partitions at any time: each batch appears at once.
type globals struct {
	app     *App
	cl      *kgo.Client
	fetcher *client.Fetcher
	tables  []*globalTable
	cancel  context.CancelFunc // nil before follow
	done    sync.WaitGroup
}

// globalTable is one copy.
type globalTable struct {
	table  *topology.Global
	topic  string
	id     client.TopicID
	engine statestore.Engine
	part   statestore.Partition
	feed   *topology.Feed
	batch  statestore.Batch
	inputs []*globalInput
	taken  bool // the batch has something, if only a position

	mu      sync.Mutex
	follows bool              // it is complete; guarded by mu
	applied int64             // records; guarded by mu
	reached []int64           // by partition: the copy has what lies before; guarded by mu
	drops   map[dropKey]int64 // since it was complete; guarded by mu
}

// globalInput is one partition of a global table's topic.
type globalInput struct {
	reading
	partition int32
	complete  int64 // the offset that the copy is complete up to
	end       int64 // where the partition ended at the start
}

// openGlobals makes the copies complete and lets them follow their topics. It returns nil for a topology without global tables.
func (a *App) openGlobals(ctx context.Context, engines *engines) (g *globals, err error) {
	if len(a.topo.Globals()) == 0 {
		return nil, nil
	}
	cl, err := kgo.NewClient(a.connection("global")...)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	topics := client.NewTopics(cl)
	g = &globals{app: a, cl: cl}
	g.fetcher = client.NewFetcher(cl, topics, client.FetchConfig{ReadCommitted: a.cfg.Guarantee == ExactlyOnce, PartitionBytes: restoreFetchBytes, Logger: a.log})
	for _, table := range a.topo.Globals() {
		t := &globalTable{table: table, topic: table.Topic.Resolve(a.cfg.AppID), engine: engines.of(table.Spec), drops: make(map[dropKey]int64)}
		g.tables = append(g.tables, t)
		if err = g.complete(ctx, topics, t); err != nil {
			g.close()
			return nil, fmt.Errorf("runtime: global table of topic %s, store %q: %w", t.topic, table.Spec.StoreName(), err)
		}
	}
	follow, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.done.Go(func() {
		if err := g.follow(follow); err != nil && follow.Err() == nil {
			a.fatal(fmt.Errorf("runtime: global tables: %w", err))
		}
	})
	return g, nil
}

// complete brings a copy to the end that its topic has now.
func (g *globals) complete(ctx context.Context, topics *client.Topics, t *globalTable) (err error) {
	if t.part, err = t.engine.Partition(t.table.Spec.StoreName(), topology.GlobalPartition); err != nil {
		return err
	}
	if t.feed, err = t.table.NewFeed(t.part, t, &g.app.cfg.Faults); err != nil {
		return err
	}
	t.batch = t.engine.NewBatch()
	info, err := topics.Get(ctx, t.topic)
	if err != nil {
		return err
	}
	t.id = info.ID
	if err := g.plan(ctx, t, int32(len(info.Leaders))); err != nil {
		return err
	}
	err = g.read(ctx, t)
	if errors.Is(err, client.ErrOffsetOutOfRange) { // what the copy lacks has been deleted meanwhile
		g.app.log.Warn("a global table does not reach its topic's beginning and is read anew", "topic", t.topic, "error", err)
		if err = g.again(ctx, t); err == nil {
			err = g.read(ctx, t)
		}
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.follows, t.reached = true, t.positions()
	g.app.log.Info("global table complete", "topic", t.topic, "store", t.table.Spec.StoreName(), "records", t.applied)
	return nil
}

// plan finds out which part of each partition a copy lacks, and begins to fetch it.
func (g *globals) plan(ctx context.Context, t *globalTable, partitions int32) error {
	raw, err := t.part.Checkpoint()
	if err != nil {
		return err
	}
	has := decodeGlobalCheckpoint(raw, t.id)
	if has == nil && raw != nil {
		g.app.log.Warn("a global table does not fit its topic and is read anew", "topic", t.topic, "store", t.table.Spec.StoreName())
		if err := t.part.Wipe(); err != nil {
			return err
		}
	}
	for p := range partitions {
		ends, err := g.ends(ctx, t.topic, p)
		if err != nil {
			return err
		}
		in := &globalInput{partition: p, complete: ends.Start, end: ends.LastStable}
		if int(p) < len(has) {
			in.complete = has[p] // if that is out of range, the first fetch tells
		}
		in.raw.Topic, in.raw.Partition = t.topic, p
		in.cursor = g.fetcher.Add(client.TopicPartition{Topic: t.topic, Partition: p}, in.complete)
		t.inputs = append(t.inputs, in)
	}
	return nil
}

func (g *globals) ends(ctx context.Context, topic string, partition int32) (client.Ends, error) {
	ends, err := client.ListEnds(ctx, g.cl, client.TopicPartition{Topic: topic, Partition: partition}, g.app.cfg.StartTimeout)
	if g.app.cfg.Guarantee == AtLeastOnce {
		ends.LastStable = ends.HighWatermark
	}
	return ends, err
}

// again empties a copy and begins with what its topic begins with now.
func (g *globals) again(ctx context.Context, t *globalTable) error {
	for _, in := range t.inputs {
		g.fetcher.Remove(in.cursor)
	}
	partitions := int32(len(t.inputs))
	t.inputs, t.taken = nil, false
	if err := errors.Join(t.batch.Close(), t.part.Wipe()); err != nil {
		return err
	}
	t.batch = t.engine.NewBatch()
	return g.plan(ctx, t, partitions)
}

// read takes a copy to the ends of the start.
func (g *globals) read(ctx context.Context, t *globalTable) error {
	for {
		if err := t.take(ctx); err != nil {
			return err
		}
		behind := false
		for _, in := range t.inputs {
			behind = behind || in.cursor.Position() < in.end
		}
		if !behind {
			return nil
		}
		select {
		case <-g.fetcher.Ready():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow keeps the copies up to date until ctx ends.
func (g *globals) follow(ctx context.Context) error {
	for {
		for _, t := range g.tables {
			if err := t.take(ctx); err != nil {
				return fmt.Errorf("topic %s, store %q: %w", t.topic, t.table.Spec.StoreName(), err)
			}
		}
		select {
		case <-g.fetcher.Ready():
		case <-ctx.Done():
			return nil
		}
	}
}

// take takes in what has been fetched.
func (t *globalTable) take(ctx context.Context) error {
	for _, in := range t.inputs {
		for ctx.Err() == nil {
			ok, err := in.next()
			if err != nil {
				return err
			}
			if pos := in.cursor.Position(); pos != in.complete {
				in.complete, t.taken = pos, true
			}
			if !ok {
				break
			}
			if err := t.apply(in); err != nil {
				return err
			}
			if t.batch.Size() >= restoreBatchBytes {
				if err := t.commit(); err != nil {
					return err
				}
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return t.commit()
}

// apply takes in one record.
func (t *globalTable) apply(in *globalInput) error {
	if err := t.feed.Take(t.batch, &in.raw); err != nil {
		return err
	}
	t.mu.Lock()
	t.applied++
	t.mu.Unlock()
	return nil
}

// commit makes what was taken in visible, with the positions that it reaches.
func (t *globalTable) commit() error {
	if !t.taken {
		return nil
	}
	t.taken = false
	if err := t.feed.Seal(t.batch); err != nil {
		return err
	}
	if err := t.batch.SetCheckpoint(t.part, t.checkpoint()); err != nil {
		return err
	}
	if err := t.batch.Commit(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reached = t.positions()
	return nil
}

// positions returns the offset of each partition that the copy is complete up to.
func (t *globalTable) positions() []int64 {
	all := make([]int64, len(t.inputs))
	for _, in := range t.inputs {
		all[in.partition] = in.complete
	}
	return all
}

// globalCheckpoint is what the engine holds of a copy's topic:
//
//	version(1) = 1 | topic id 16 | next offset 8 of each partition
const globalCheckpointVersion = 1

func (t *globalTable) checkpoint() []byte {
	b := append(make([]byte, 0, 17+8*len(t.inputs)), globalCheckpointVersion)
	b = append(b, t.id[:]...)
	for _, in := range t.inputs {
		b = binary.BigEndian.AppendUint64(b, uint64(in.complete))
	}
	return b
}

// decodeGlobalCheckpoint returns nil for what is of another topic or another version.
func decodeGlobalCheckpoint(b []byte, id client.TopicID) []int64 {
	if len(b) < 17 || b[0] != globalCheckpointVersion || [16]byte(b[1:17]) != [16]byte(id) || (len(b)-17)%8 != 0 {
		return nil
	}
	next := []int64{}
	for b = b[17:]; len(b) > 0; b = b[8:] {
		next = append(next, int64(binary.BigEndian.Uint64(b)))
	}
	return next
}

// Now and Dropped make a copy the environment of its feed.
func (t *globalTable) Now() int64 { return time.Now().UnixMilli() }

// Dropped counts what is dropped of new records: those of the past were counted by whoever met them first.
func (t *globalTable) Dropped(node string, reason topology.DropReason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.follows {
		t.drops[dropKey{node, reason}]++
	}
}

// close ends the following and releases everything. Idempotent; a nil g has nothing to end.
func (g *globals) close() {
	if g == nil {
		return
	}
	if g.cancel != nil {
		g.cancel()
	}
	g.done.Wait()
	g.fetcher.Close()
	g.cl.Close()
	for _, t := range g.tables {
		if t.batch != nil {
			g.note(t, t.batch.Close())
		}
		if t.part != nil {
			g.note(t, t.part.Close())
		}
	}
}

func (g *globals) note(t *globalTable, err error) {
	if err != nil {
		g.app.log.Warn("closing a global table", "topic", t.topic, "store", t.table.Spec.StoreName(), "error", err)
	}
}

// partitions returns what holds the global table of a store; ok is false when none does.
func (g *globals) partitions(store string) (parts []statestore.Partition, ok bool) {
	if g == nil {
		return nil, false
	}
	for _, t := range g.tables {
		if t.table.Spec.StoreName() == store {
			return []statestore.Partition{t.part}, true
		}
	}
	return nil, false
}

// addTo adds the copies to p.
func (g *globals) addTo(p *Progress) {
	if g == nil {
		return
	}
	for _, t := range g.tables {
		t.mu.Lock()
		one := GlobalProgress{Store: t.table.Spec.StoreName(), Topic: t.topic, Applied: t.applied, Positions: slices.Clone(t.reached), Drops: dropList(t.drops)}
		t.mu.Unlock()
		p.Globals = append(p.Globals, one)
	}
}
