package transactions

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// Topic is where the machines' records are.
const Topic = "__transaction_state"

// Config is what the coordinator works with. Allocate, Markers and Partitions are required.
type Config struct {
	MaxTimeout   time.Duration // transaction.max.timeout.ms; 0: 15 minutes
	IDExpiration time.Duration // transactional.id.expiration.ms; 0: 7 days, negative: for ever

	// AbortInterval and ExpireInterval are those of txn.Config: transaction.{abort.timed.out,remove.expired}.transaction.cleanup.interval.ms.
	AbortInterval, ExpireInterval time.Duration

	// Partitions is how many partitions __transaction_state has; 0: it does not exist.
	Partitions func() int32
	Allocate   Allocate
	Markers    MarkerWriter

	Log *slog.Logger     // nil: discarded
	Now func() time.Time // nil: time.Now
}

// MarkerWriter writes the end of a transaction into the logs of its partitions, wherever their leaders are.
type MarkerWriter interface {
	// WriteMarkers returns when each partition has the marker committed, or an error of its own in the same place: nil,
	// ErrGone, or what is to be tried again.
	WriteMarkers(ctx context.Context, m Marker, partitions []txn.TopicPartition) []error
}

// Marker is the end of a transaction as the coordinator decided it.
type Marker struct {
	entry.Marker
	Protocol txn.Protocol
}

// MarkerWait is how long a request waits on the server for the markers of the transaction before. Markers take less than
// a millisecond; when something is wrong with a partition, the client's own back-off is the better place to wait.
const MarkerWait = time.Second

// Coordinator serves the requests about transactional ids whose partition this broker leads. All methods are safe for
// concurrent use.
type Coordinator struct {
	cfg Config
	set *coordinator.Set[*machine]
	ids *producerIDs

	mu struct {
		sync.Mutex
		latest map[int32]*machine // by partition; retired or not
	}
}

// New makes a coordinator that leads nothing yet.
func New(cfg Config) *Coordinator {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Coordinator{cfg: cfg, ids: newProducerIDs(cfg.Allocate)}
	c.mu.latest = make(map[int32]*machine)
	c.set = coordinator.NewSet(coordinator.Config[*machine]{
		Topic: Topic,
		New:   c.newMachine,
		Tick: func(_ *coordinator.Shard[*machine], m *machine, now time.Time, w *coordinator.Writer) {
			m.take(m.Tick(now), w)
		},
		Unloaded:   c.unloaded,
		Refused:    c.refused,
		LoadFailed: c.loadFailed,
		Now:        cfg.Now,
	})
	return c
}

// Lead begins to coordinate the ids of a partition of __transaction_state.
func (c *Coordinator) Lead(partition, epoch int32, log coordinator.Log) {
	c.set.Lead(partition, epoch, log)
}

// Resign gives a partition up. It returns when nothing of it runs any more.
func (c *Coordinator) Resign(partition int32) {
	c.set.Resign(partition)
	c.replace(partition, nil)
}

// Close gives everything up, for good.
func (c *Coordinator) Close() {
	shards := c.set.All()
	c.set.Close()
	for _, s := range shards {
		c.replace(s.Partition(), nil)
	}
}

func (c *Coordinator) unloaded(s *coordinator.Shard[*machine], _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.mu.latest[s.Partition()]; m != nil {
		m.cancel() // it is waited for before the next one begins: this may run on one of its own goroutines
	}
}

func (c *Coordinator) refused(s *coordinator.Shard[*machine], cause error) {
	c.cfg.Log.Error("the log refused a transaction's record, loading anew", "topic", Topic, "partition", s.Partition(), "error", cause)
}

func (c *Coordinator) loadFailed(s *coordinator.Shard[*machine], err error) {
	c.cfg.Log.Error("transactions cannot be loaded, trying again", "topic", Topic, "partition", s.Partition(), "error", err)
}

// shard finds who coordinates a transactional id.
func (c *Coordinator) shard(id string) (*coordinator.Shard[*machine], error) {
	n := c.cfg.Partitions()
	if n <= 0 {
		return nil, kerr.CoordinatorNotAvailable
	}
	return c.set.Shard(coordinator.PartitionOf(id, n))
}

// run makes a request of the machine that coordinates id, again when it had to wait for markers or producer ids.
func (c *Coordinator) run(ctx context.Context, id string, request func(*txn.Coordinator, time.Time) txn.Step) txn.Reply {
	return c.runFor(ctx, id, request, (*machine).settle)
}

// runFor is run with another way to settle.
func (c *Coordinator) runFor(ctx context.Context, id string, request func(*txn.Coordinator, time.Time) txn.Step, settle func(*machine, txn.Markers)) txn.Reply {
	var patience *time.Timer
	for {
		shard, err := c.shard(id)
		if err != nil {
			return failed(err)
		}
		var step txn.Step
		var ended, dropped <-chan struct{}
		err = shard.Do(ctx, func(m *machine, now time.Time, w *coordinator.Writer) {
			step = request(m.Coordinator, now)
			if step.Wait {
				ended, dropped = m.endOf(id), m.ctx.Done()
			}
			m.takeFor(step, w, settle)
		})
		switch {
		case err != nil:
			return failed(clientError(err))
		case step.Reply.Err == errNoIDs:
			if err := c.ids.reserve(ctx); err != nil {
				return failed(err)
			}
			continue
		case !step.Wait:
			return step.Reply
		}
		if patience == nil {
			patience = time.NewTimer(MarkerWait)
			defer patience.Stop()
		}
		select {
		case <-ended:
		case <-dropped:
		case <-patience.C:
			return step.Reply
		case <-ctx.Done():
			return step.Reply
		}
	}
}

// clientError keeps UNKNOWN_SERVER_ERROR from producers: clients have taken it, as an answer to EndTxn, for a commit.
func clientError(err error) error {
	if errors.Is(err, kerr.UnknownServerError) {
		return kerr.CoordinatorNotAvailable
	}
	return err
}

func failed(err error) txn.Reply { return txn.Reply{Err: err, Identity: txn.None} }
