package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/millrace-io/millrace/internal/record"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
)

// Guarantee is what holds for every input record whatever fails.
type Guarantee int8

const (
	// ExactlyOnce counts every record once in state, outputs and offsets. Readers of the outputs see that when they read committed records only.
	ExactlyOnce Guarantee = iota
	// AtLeastOnce counts every record, some of them again after a crash or a rebalance.
	AtLeastOnce
)

func (g Guarantee) String() string {
	switch g {
	case ExactlyOnce:
		return "exactly-once"
	case AtLeastOnce:
		return "at-least-once"
	}
	return fmt.Sprintf("Guarantee(%d)", int8(g))
}

// ParseGuarantee reads what String writes.
func ParseGuarantee(s string) (Guarantee, error) {
	for _, g := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		if s == g.String() {
			return g, nil
		}
	}
	return 0, fmt.Errorf("runtime: unknown guarantee %q: choose %s or %s", s, ExactlyOnce, AtLeastOnce)
}

// Compression is how batches are packed before they are sent.
type Compression int8

const (
	NoCompression Compression = iota
	LZ4                       // fast
	Zstd                      // small
)

func (c Compression) codec() record.Codec {
	switch c {
	case LZ4:
		return record.LZ4
	case Zstd:
		return record.Zstd
	}
	return record.None
}

// Config configures an App. AppID must be set; everything else has a default.
type Config struct {
	// AppID names the application in the cluster: it is the group, and the beginning of internal topics' and transactional ids. All instances have the same.
	AppID string
	// Brokers are the addresses to begin with. Default 127.0.0.1:9092.
	Brokers []string
	// Dial opens connections: those of a broker in the same process, or TLS by (&tls.Dialer{}).DialContext. Default: TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// SASL is how connections say who they are, by a mechanism of github.com/twmb/franz-go/pkg/sasl (plain, scram, oauth, aws); of several, the first that a broker
	// knows. Default: not at all.
	SASL []sasl.Mechanism

	// Guarantee is ExactlyOnce by default.
	Guarantee Guarantee
	// CommitInterval is how often a worker commits while records arrive: 100 ms by default. It is the latency of a hop for readers of committed records.
	CommitInterval time.Duration
	// TransactionTimeout is after how long a broker aborts the transaction of an instance that died: 10 s by default. It bounds how long one function may take for the
	// records between two commits. Successors in the group do not wait for it.
	TransactionTimeout time.Duration

	// StateDir keeps the stores and the identity of this instance between runs. Each instance needs its own. Without one, stores are in memory and
	// are restored from their changelogs at every start.
	StateDir string
	// CacheBytes is what the stores of this instance together keep of unchanged entries in memory; blocks read from disk take half as much beside, and what is on its way to
	// disk one or two memtables of 64 MiB, four at most. Default 128 MiB.
	CacheBytes int
	// EveryChange lets stores forward every change of a row at once. By default they hold changes back and forward the last one of each commit.
	EveryChange bool
	// HoldBytes is how much of its changes a store may hold back: when it is more, all of them are forwarded without waiting for the commit. Default 0: no bound but that of
	// MaxUncommittedBytes.
	HoldBytes int
	// MaxUncommittedBytes commits before the interval is over when the changes not yet committed take that much memory in a worker. Default 64 MiB.
	MaxUncommittedBytes int

	// Workers is the number of tasks that run at the same time: each worker is a member of the group. Default: the smaller of 2 and GOMAXPROCS.
	Workers int
	// MaxTaskIdle is for how long a task with several input partitions waits for one that is empty before it takes records of the others, beyond the time in which
	// the broker is known to have unfetched records of it. Default 0. Negative: do not even wait for those.
	MaxTaskIdle time.Duration
	// MaxPollRecords is how many records of a task are processed before the worker looks at other tasks and the clock. Default 1000.
	MaxPollRecords int

	// InstanceID makes the workers static members of the group under this name: an instance that restarts within SessionTimeout gets its tasks back
	// without a rebalance. Default: the identity in StateDir, if that is set. An instance that ends cleanly leaves the group all the same.
	InstanceID string
	// SessionTimeout is after how long without a sign of life the others take over. Default 10 s; brokers refuse less than 6 s by default.
	SessionTimeout time.Duration
	// HeartbeatInterval is how often a worker shows life and learns of rebalances. Default: a fiftieth of SessionTimeout.
	HeartbeatInterval time.Duration

	// ReplicationFactor is for the internal topics that are created. Default: the broker's.
	ReplicationFactor int16
	// Compression of what is produced. Default none: worth setting where the network or the brokers' disks are slower than a core.
	Compression Compression
	// RepartitionPurge is how often records of repartition topics are deleted that have been committed. Default 30 s; negative: never.
	RepartitionPurge time.Duration

	// StartTimeout is how long Run waits for a broker and for the input topics' metadata at the start. Default 15 s.
	StartTimeout time.Duration
	// TaskTimeout is how long a task may fail for reasons that might pass (a broker is away) before Run gives up. Default 5 min.
	TaskTimeout time.Duration

	// Faults decides about records that cannot be decoded, processed or encoded. The zero value fails on each: Run returns an error that names the operator, the record
	// and the line. A dead-letter topic must exist.
	Faults stream.Faults
	// OnState is told every change of the state, in order, on a goroutine of its own.
	OnState func(from, to State)
	// Logger takes what an operator of the application may want to know. Default slog.Default().
	Logger *slog.Logger
}

// Defaults of Config.
const (
	DefaultCommitInterval      = 100 * time.Millisecond
	DefaultTransactionTimeout  = 10 * time.Second
	DefaultMaxUncommittedBytes = 64 << 20
	DefaultMaxPollRecords      = 1000
	DefaultSessionTimeout      = 10 * time.Second
	DefaultRepartitionPurge    = 30 * time.Second
	DefaultStartTimeout        = 15 * time.Second
	DefaultTaskTimeout         = 5 * time.Minute

	defaultAddress     = "127.0.0.1:9092"
	heartbeatsASession = 50 // news of a rebalance must not wait: a clean hand-over should take less than 300 ms
	maxWorkers         = 256
)

// legalName is what Kafka allows in a topic's name, which the application's id becomes a part of.
var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,180}$`)

// Validate reports all that is wrong in one error.
func (c Config) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("runtime: Config."+format, args...))
		}
	}
	fault(c.AppID == "", "AppID is empty: name the application")
	fault(c.AppID != "" && !legalName.MatchString(c.AppID), "AppID %q: letters, digits, '.', '_' and '-' only, 180 at most, since topics are named after it", c.AppID)
	fault(slices.Contains(c.Brokers, ""), "Brokers has an empty address: want HOST:PORT each, or no addresses at all for "+defaultAddress)
	fault(slices.Contains(c.SASL, nil), "SASL has a mechanism that is nil")
	fault(c.Guarantee != ExactlyOnce && c.Guarantee != AtLeastOnce, "Guarantee is %v", c.Guarantee)
	fault(c.CommitInterval < 0, "CommitInterval is negative")
	fault(c.TransactionTimeout < 0, "TransactionTimeout is negative")
	d := c.withDefaults()
	fault(d.Guarantee == ExactlyOnce && d.TransactionTimeout < 2*d.CommitInterval, "TransactionTimeout (%v) must be at least twice the CommitInterval (%v)", d.TransactionTimeout, d.CommitInterval)
	fault(c.CacheBytes < 0, "CacheBytes is negative")
	fault(c.HoldBytes < 0, "HoldBytes is negative")
	fault(c.MaxUncommittedBytes < 0, "MaxUncommittedBytes is negative")
	fault(c.Workers < 0 || c.Workers > maxWorkers, "Workers is %d: choose 1 to %d, or 0 for the default", c.Workers, maxWorkers)
	fault(c.MaxPollRecords < 0, "MaxPollRecords is negative")
	fault(c.SessionTimeout < 0 || c.HeartbeatInterval < 0, "SessionTimeout or HeartbeatInterval is negative")
	fault(d.HeartbeatInterval*2 > d.SessionTimeout, "HeartbeatInterval (%v) must be at most half of SessionTimeout (%v)", d.HeartbeatInterval, d.SessionTimeout)
	fault(c.InstanceID != "" && !legalName.MatchString(c.InstanceID), "InstanceID %q: letters, digits, '.', '_' and '-' only", c.InstanceID)
	fault(c.ReplicationFactor < 0, "ReplicationFactor is negative")
	fault(c.Compression < NoCompression || c.Compression > Zstd, "Compression is %d", c.Compression)
	if err := c.Faults.Validate(); err != nil {
		faults = append(faults, fmt.Errorf("runtime: Config.Faults.DeadLetterTopic: %w", err))
	}
	fault(c.StartTimeout < 0 || c.TaskTimeout < 0, "StartTimeout or TaskTimeout is negative")
	return errors.Join(faults...)
}

func (c Config) withDefaults() Config {
	def(&c.CommitInterval, DefaultCommitInterval)
	def(&c.TransactionTimeout, DefaultTransactionTimeout)
	def(&c.CacheBytes, statestore.DefaultCacheBytes)
	def(&c.MaxUncommittedBytes, DefaultMaxUncommittedBytes)
	def(&c.Workers, min(2, goruntime.GOMAXPROCS(0)))
	def(&c.MaxPollRecords, DefaultMaxPollRecords)
	def(&c.SessionTimeout, DefaultSessionTimeout)
	def(&c.HeartbeatInterval, c.SessionTimeout/heartbeatsASession)
	def(&c.RepartitionPurge, DefaultRepartitionPurge)
	def(&c.StartTimeout, DefaultStartTimeout)
	def(&c.TaskTimeout, DefaultTaskTimeout)
	if len(c.Brokers) == 0 {
		c.Brokers = []string{defaultAddress}
	}
	if c.ReplicationFactor == 0 {
		c.ReplicationFactor = -1
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func def[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}
