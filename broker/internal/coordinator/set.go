package coordinator

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

func (c *Config[M]) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Config[M]) maxBatchBytes() int {
	if c.MaxBatchBytes > 0 {
		return c.MaxBatchBytes
	}
	return DefaultMaxBatchBytes
}

func (c *Config[M]) loadWait() time.Duration {
	if c.LoadWait != 0 {
		return c.LoadWait
	}
	return DefaultLoadWait
}

// Set is the shards of one internal topic that this broker leads.
type Set[M Machine] struct {
	cfg Config[M]

	mu struct {
		sync.Mutex
		shards map[int32]*Shard[M]
		closed bool
	}
}

// NewSet makes a set that leads nothing yet.
func NewSet[M Machine](cfg Config[M]) *Set[M] {
	s := &Set[M]{cfg: cfg}
	s.mu.shards = make(map[int32]*Shard[M])
	return s
}

// Lead begins to load a partition that this broker leads from now on under epoch. A second call for the same or an older
// epoch changes nothing; a newer epoch loads anew. An empty log is loaded when Lead returns.
func (s *Set[M]) Lead(partition, epoch int32, log Log) {
	s.mu.Lock()
	old := s.mu.shards[partition]
	if s.mu.closed || old != nil && old.epoch >= epoch {
		s.mu.Unlock()
		return
	}
	shard := newShard(&s.cfg, partition, epoch, log)
	s.mu.shards[partition] = shard
	s.mu.Unlock()

	if old != nil {
		old.resign(kerr.NotCoordinator)
	}
	if start, end := log.Bounds(); start == end {
		shard.load()
		return
	}
	go shard.load()
}

// Resign gives a partition up. It returns when nothing runs in it any more.
func (s *Set[M]) Resign(partition int32) {
	s.mu.Lock()
	shard := s.mu.shards[partition]
	delete(s.mu.shards, partition)
	s.mu.Unlock()
	if shard != nil {
		shard.resign(kerr.NotCoordinator)
	}
}

// Shard returns the shard of a partition, or kerr.NotCoordinator.
func (s *Set[M]) Shard(partition int32) (*Shard[M], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shard := s.mu.shards[partition]; shard != nil {
		return shard, nil
	}
	return nil, kerr.NotCoordinator
}

// All returns the shards in the order of their partitions.
func (s *Set[M]) All() []*Shard[M] {
	s.mu.Lock()
	all := make([]*Shard[M], 0, len(s.mu.shards))
	for _, shard := range s.mu.shards {
		all = append(all, shard)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *Shard[M]) int { return cmp.Compare(a.partition, b.partition) })
	return all
}

// Close resigns every partition, for good.
func (s *Set[M]) Close() {
	s.mu.Lock()
	s.mu.closed = true
	shards := s.mu.shards
	s.mu.shards = make(map[int32]*Shard[M])
	s.mu.Unlock()
	for _, shard := range shards {
		shard.resign(kerr.NotCoordinator)
	}
}

// PartitionOf is the partition of an internal topic with n partitions that coordinates key: Java's hash of the string,
// as every Kafka broker computes it.
func PartitionOf(key string, n int32) int32 {
	var h int32
	for _, r := range key {
		if r >= 0x10000 { // Java hashes the two halves of the surrogate pair
			r -= 0x10000
			h = 31*h + (0xd800 + r>>10)
			r = 0xdc00 + r&0x3ff
		}
		h = 31*h + r
	}
	if h == -1<<31 {
		return 0 // it has no positive counterpart
	}
	return max(h, -h) % n
}
