package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Config says which tables of which database go to which log. Database, Tables and Brokers are needed; the zero value of the rest runs.
type Config struct {
	// Database is the connection URL or keyword string, as psql takes it. The user needs the REPLICATION attribute and SELECT on the tables; to make
	// the publication it needs to own them, or a publication called as the connector must be there.
	Database string
	// Tables are names ("orders", "shop.orders") or patterns ("shop.*", as path.Match reads them). A name without a schema is in public.
	Tables []string
	// Brokers are HOST:PORT addresses of the log.
	Brokers []string
	// Dial connects to a broker (default: TCP).
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Name is the connector's: of its slot and publication, the first part of its topics' names, and its transactional id (default "millrace").
	// Lower-case letters, digits and underscores, at most 63.
	Name string
	// Partitions of a table's topic when the connector makes it (default 4).
	Partitions int
	// ReplicationFactor of the topics that the connector makes (default: the cluster's).
	ReplicationFactor int
	// TopicConfig are settings of a table's topic when the connector makes it (default cleanup.policy=compact and max.message.bytes=16 MiB).
	TopicConfig map[string]string

	// CommitInterval is how long changes wait for more of them to share a transaction of the log with (default 50 ms).
	CommitInterval time.Duration
	// TransactionTimeout is how long one transaction of the log may last: a snapshot of a table and a transaction of the database each fit in one
	// (default 15 min, as much as a broker allows unless transaction.max.timeout.ms says otherwise).
	TransactionTimeout time.Duration
	// Heartbeat is how often the slot advances when no change comes (default 3 s), and how often the catalog is looked at.
	Heartbeat time.Duration
	// SlotWait is how long the server may take to notice that a connector of this name is dead, before its slot counts as in use (default 75 s: the server's
	// wal_sender_timeout, a minute unless it is set otherwise, and some more).
	SlotWait time.Duration
	// RetryFor is how long a database or log that is not there is waited for (default 5 min).
	RetryFor time.Duration

	// Resnapshot makes a new slot and takes new snapshots of all tables, and deletes from the topics what is no longer in a table.
	Resnapshot bool
	// AcceptTypes goes on when a column has changed its type: the topic then holds values of both.
	AcceptTypes bool

	logSilence time.Duration // how long the log may take nothing of what it is sent before it counts as away; 30 s but for tests

	// Log takes what happens (default: nothing).
	Log *slog.Logger
}

const (
	defaultName               = "millrace"
	defaultPartitions         = 4
	defaultCommitInterval     = 50 * time.Millisecond
	defaultTransactionTimeout = 15 * time.Minute
	defaultHeartbeat          = 3 * time.Second
	defaultSlotWait           = 75 * time.Second
	defaultRetryFor           = 5 * time.Minute
	defaultLogSilence         = 30 * time.Second

	// maxRecordBytes is the largest row that a topic made by the connector takes.
	maxRecordBytes = 16 << 20
)

var connectorName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`) // as Postgres wants a slot's name

// complete returns c with its defaults, or all that is wrong with it.
func (c Config) complete() (Config, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("postgres: "+format, args...)) }
	setDefault(&c.Name, defaultName)
	setDefault(&c.Partitions, defaultPartitions)
	setDefault(&c.ReplicationFactor, -1)
	setDefault(&c.CommitInterval, defaultCommitInterval)
	setDefault(&c.TransactionTimeout, defaultTransactionTimeout)
	setDefault(&c.Heartbeat, defaultHeartbeat)
	setDefault(&c.SlotWait, defaultSlotWait)
	setDefault(&c.RetryFor, defaultRetryFor)
	setDefault(&c.logSilence, defaultLogSilence)
	if c.TopicConfig == nil {
		c.TopicConfig = map[string]string{"cleanup.policy": "compact", "max.message.bytes": fmt.Sprint(maxRecordBytes)}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Database == "" {
		fault("Database is empty: give a URL like postgres://user:password@127.0.0.1:5432/shop")
	} else if _, err := pgconn.ParseConfig(c.Database); err != nil {
		faults = append(faults, fmt.Errorf("postgres: Database: %w", err))
	}
	if len(c.Tables) == 0 {
		fault("Tables is empty: name the tables, or give a pattern like public.*")
	}
	for _, pattern := range c.Tables {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			fault("Tables: %q is no name and no pattern", pattern)
		}
	}
	if len(c.Brokers) == 0 {
		fault("Brokers is empty")
	}
	if !connectorName.MatchString(c.Name) {
		fault("Name %q: lower-case letters, digits and underscores, at most 63, since it names the replication slot", c.Name)
	}
	if c.Partitions < 1 {
		fault("Partitions is %d, want at least 1", c.Partitions)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"CommitInterval", c.CommitInterval}, {"TransactionTimeout", c.TransactionTimeout}, {"Heartbeat", c.Heartbeat}, {"SlotWait", c.SlotWait}, {"RetryFor", c.RetryFor}} {
		if d.d < 0 {
			fault("%s is %v, want more than 0", d.name, d.d)
		}
	}
	return c, errors.Join(faults...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// sessionParameters make the text forms of values the same, and what the connector does permitted and not cut short, whatever the server, the database or the role
// have set.
var sessionParameters = map[string]string{
	"application_name": "millrace", "client_encoding": "UTF8", "TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres",
	"bytea_output": "hex", "extra_float_digits": "1", "statement_timeout": "0",
	"row_security":                        "off", // a policy that hides rows from a snapshot is an error
	"idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0", "lock_timeout": "0",
	"default_transaction_isolation": "read committed", "default_transaction_read_only": "off", "standard_conforming_strings": "on",
}

const connectTimeout = 10 * time.Second

// connect opens a session; a replication session takes the replication commands and simple queries only.
func (c *Config) connect(ctx context.Context, replication bool) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(c.Database)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	for name, value := range sessionParameters {
		cfg.RuntimeParams[name] = value
	}
	if replication {
		cfg.RuntimeParams["replication"] = "database"
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: connect to %s:%d: %w", cfg.Host, cfg.Port, err)
	}
	return conn, nil
}
