package groups

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Topic is where the machines' records are.
const Topic = "__consumer_offsets"

// Config is what the coordinator works with. Partitions and Group.NewID are required.
type Config struct {
	Group group.Config

	// Partitions is how many partitions __consumer_offsets has; 0: it does not exist.
	Partitions func() int32

	Log *slog.Logger     // nil: discarded
	Now func() time.Time // nil: time.Now
}

type shard = coordinator.Shard[*group.Machine]

// Coordinator serves the requests about groups whose partition this broker leads. All methods are safe for concurrent use.
type Coordinator struct {
	cfg Config
	set *coordinator.Set[*group.Machine]

	mu struct {
		sync.Mutex
		last    group.Token
		waiting map[group.Token]waiter
		guards  map[*guard]struct{}
		tally   group.Tally
	}
}

// waiter is a request without an answer yet.
type waiter struct {
	shard  *shard
	answer chan group.Answer // takes one; never closed
}

// New makes a coordinator that leads nothing yet.
func New(cfg Config) *Coordinator {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Coordinator{cfg: cfg}
	c.mu.waiting = map[group.Token]waiter{}
	c.mu.guards = map[*guard]struct{}{}
	c.set = coordinator.NewSet(coordinator.Config[*group.Machine]{
		Topic: Topic,
		New:   func(int32, int32) *group.Machine { return group.New(cfg.Group) },
		Tick: func(_ *shard, m *group.Machine, now time.Time, w *coordinator.Writer) {
			c.take(m.Tick(now), w)
		},
		Unloaded: c.unloaded,
		Refused: func(s *shard, cause error) {
			cfg.Log.Error("the log refused a group record, loading anew", "topic", Topic, "partition", s.Partition(), "error", cause)
		},
		LoadFailed: func(s *shard, err error) {
			cfg.Log.Error("groups cannot be loaded, trying again", "topic", Topic, "partition", s.Partition(), "error", err)
		},
		Now: cfg.Now,
	})
	return c
}

// Lead begins to coordinate the groups of a partition of __consumer_offsets.
func (c *Coordinator) Lead(partition, epoch int32, log coordinator.Log) {
	c.set.Lead(partition, epoch, log)
}

// Resign gives a partition up. It returns when nothing of it runs any more.
func (c *Coordinator) Resign(partition int32) { c.set.Resign(partition) }

// Close gives everything up, for good.
func (c *Coordinator) Close() { c.set.Close() }

// shardOf finds who coordinates a group.
func (c *Coordinator) shardOf(groupID string) (*shard, error) {
	n := c.cfg.Partitions()
	if n <= 0 {
		return nil, kerr.NotCoordinator
	}
	return c.set.Shard(coordinator.PartitionOf(groupID, n))
}

// take has a step's records written, and its answers handed out after that.
func (c *Coordinator) take(res group.Result, w *coordinator.Writer) {
	w.Append(res.Records...)
	if len(res.Answers) > 0 {
		answers := slices.Clone(res.Answers)
		w.After(func() { c.deliver(answers) })
	}
	c.count(res.Tally, w)
}

// count adds what a step does to the sum when it is written.
func (c *Coordinator) count(t group.Tally, w *coordinator.Writer) {
	if t == (group.Tally{}) {
		return
	}
	w.After(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.mu.tally.Add(t)
	})
}

func (c *Coordinator) deliver(answers []group.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range answers {
		if w, ok := c.mu.waiting[a.Token]; ok {
			delete(c.mu.waiting, a.Token)
			w.answer <- a
		}
	}
}

// unloaded tells everybody who waits for the shard that it has forgotten them.
func (c *Coordinator) unloaded(s *shard, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for tok, w := range c.mu.waiting {
		if w.shard == s {
			delete(c.mu.waiting, tok)
			w.answer <- group.Answer{
				Token: tok,
				Join:  &group.JoinResponse{Err: kerr.NotCoordinator, Generation: -1},
				Sync:  &group.SyncResponse{Err: kerr.NotCoordinator},
			}
		}
	}
}

// await runs a step whose answer comes with a token, now or later, and returns the answer. In between it calls taken, unless that is nil.
func (c *Coordinator) await(ctx context.Context, groupID string, taken func(), step func(*group.Machine, time.Time, group.Token) group.Result) (group.Answer, error) {
	s, err := c.shardOf(groupID)
	if err != nil {
		return group.Answer{}, err
	}
	answer := make(chan group.Answer, 1)
	c.mu.Lock()
	c.mu.last++
	tok := c.mu.last
	c.mu.waiting[tok] = waiter{shard: s, answer: answer}
	c.mu.Unlock()

	err = s.Do(ctx, func(m *group.Machine, now time.Time, w *coordinator.Writer) { c.take(step(m, now, tok), w) })
	if err == nil {
		if taken != nil {
			taken()
		}
		select {
		case a := <-answer:
			return a, nil
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	c.mu.Lock()
	delete(c.mu.waiting, tok)
	c.mu.Unlock()
	return group.Answer{}, err
}

// do runs a step that answers at once.
func (c *Coordinator) do(ctx context.Context, groupID string, step func(*group.Machine, time.Time) group.Result) error {
	s, err := c.shardOf(groupID)
	if err != nil {
		return err
	}
	return s.Do(ctx, func(m *group.Machine, now time.Time, w *coordinator.Writer) { c.take(step(m, now), w) })
}

// WriteMarker ends a transaction's part in a partition of __consumer_offsets: its offsets count, or never did, when it
// returns nil.
func (c *Coordinator) WriteMarker(ctx context.Context, partition int32, m entry.Marker) error {
	c.voidGuards(m)
	s, err := c.set.Shard(partition)
	if err != nil {
		return err
	}
	return s.Marker(ctx, m)
}
