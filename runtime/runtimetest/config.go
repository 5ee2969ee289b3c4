package runtimetest

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/internal/topology"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/statestore/memstore"
	"github.com/millrace-io/millrace/stream"
)

// Config changes how a driver runs. The zero value runs.
type Config struct {
	// App is the application's id, before the names of internal topics. Default "test".
	App string
	// Partitions is the number of partitions of the topics named in it; all others have one. Internal topics follow from it. Sources by pattern read those of the
	// topics named here that match.
	Partitions map[string]int
	// OneStreamTime lets all tasks have one stream time, the highest of them, as if they were one task: Kafka Streams' TopologyTestDriver is like that.
	OneStreamTime bool
	// Start is the wall clock at the beginning. Default 1970.
	Start time.Time
	// CommitEvery is the wall-clock time between commits; zero commits after each record.
	CommitEvery time.Duration
	// Shuffle, if not 0, is the seed by which records arrive: those of one partition in their order, those of several in any, as an application's fetches bring them. Some
	// stay on the way when Pipe returns, and come with a later call; Commit waits for all. By default records are there as soon as they are visible.
	Shuffle uint64
	// WriteBack lets stores forward only the last change of a row per commit.
	WriteBack bool
	// HoldBytes is how much of its changes a store may hold back with WriteBack before it forwards all of them. 0: no bound.
	HoldBytes int
	// CacheBytes bounds what each store caches of unchanged rows. Default 1 MiB.
	CacheBytes int
	// Open opens the engine of the stores: when the driver is made, and after a restart that lost it. Default memstore.New.
	Open func() (statestore.Engine, error)
	// Faults decides about records that fail. The zero value ends the driver at each.
	Faults stream.Faults
	// Context is what functions of the Ctx form get. Default: the background context.
	Context context.Context
}

// DropReason says why a record went no further.
type DropReason = topology.DropReason

// The reasons for drops.
const (
	DropLate       = topology.DropLate
	DropNullKey    = topology.DropNullKey
	DropNullValue  = topology.DropNullValue
	DropTimestamp  = topology.DropTimestamp
	DropPoison     = topology.DropPoison
	DropFailed     = topology.DropFailed
	DropUnwritable = topology.DropUnwritable
)

// Header is one header of a record.
type Header = topology.Header

const defaultCacheBytes = 1 << 20

func (c Config) withDefaults() Config {
	if c.App == "" {
		c.App = "test"
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = defaultCacheBytes
	}
	if c.Open == nil {
		c.Open = func() (statestore.Engine, error) { return memstore.New(), nil }
	}
	if c.Start.IsZero() {
		c.Start = time.UnixMilli(0)
	}
	if c.Context == nil {
		c.Context = context.Background()
	}
	return c
}

// partitions answers for the topics that are not internal.
func (c Config) partitions(topic string) int32 {
	if n, ok := c.Partitions[topic]; ok {
		return int32(n)
	}
	return 1
}
