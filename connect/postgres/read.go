package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pglogrepl"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clientOptions are what every client of the log needs.
func clientOptions(cfg *Config) []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(cfg.Brokers...), kgo.ClientID("millrace-postgres-" + cfg.Name)}
	if cfg.Dial != nil {
		opts = append(opts, kgo.Dialer(cfg.Dial))
	}
	return opts
}

// Position is how far a connector has come, as its log has it.
type Position struct {
	System string   // the identifier of the database cluster, as pg_control_system tells it
	LSN    uint64   // all that committed in the database before it is in the log, of the tables below
	Tables []string // SCHEMA.TABLE of those whose snapshot is in the log
}

// ReadPosition reads how far the connector that cfg describes has come. It may run, here or elsewhere, or not: the log is asked, not the connector. The zero
// Position is that of one that has not begun.
func ReadPosition(ctx context.Context, cfg Config) (Position, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return Position{}, err
	}
	client, err := kgo.NewClient(clientOptions(&cfg)...)
	if err != nil {
		return Position{}, fmt.Errorf("postgres: %w", err)
	}
	defer client.Close()
	p := &position{tables: make(map[tableName]*tablePosition)}
	err = eachRecord(ctx, &cfg, kadm.NewClient(client), cfg.Name+positionSuffix, func(r *kgo.Record) error { return p.load(cfg.Name, r.Key, r.Value) })
	if errors.Is(err, kerr.UnknownTopicOrPartition) || err == nil && p.main == nil {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, err
	}
	lsn, err := p.main.lsn()
	if err != nil {
		return Position{}, err
	}
	at := Position{System: p.main.System, LSN: uint64(lsn)}
	for name := range p.tables {
		at.Tables = append(at.Tables, name.String())
	}
	slices.Sort(at.Tables)
	return at, nil
}

// ParseLSN reads a place in the write-ahead log as Postgres writes it, "16/B374D848".
func ParseLSN(text string) (uint64, error) {
	lsn, err := pglogrepl.ParseLSN(text)
	if err != nil {
		return 0, fmt.Errorf("postgres: %w", err)
	}
	return uint64(lsn), nil
}

// eachRecord calls f for every committed record of a topic, from its start to where it ends now.
func eachRecord(ctx context.Context, cfg *Config, admin *kadm.Client, topic string, f func(*kgo.Record) error) error {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("postgres: read topic %s: %w", topic, err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("postgres: read topic %s: %w", topic, err)
	}
	left := make(map[int32]int64)
	from := make(map[int32]kgo.Offset)
	ends.Each(func(o kadm.ListedOffset) {
		if start, _ := starts.Lookup(topic, o.Partition); o.Offset > start.Offset { // else its records were deleted, or it never had any
			left[o.Partition] = o.Offset
			from[o.Partition] = kgo.NewOffset().AtStart()
		}
	})
	if len(left) == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(clientOptions(cfg),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer reader.Close()
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("postgres: read topic %s: %w", topic, err)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("postgres: read topic %s, partition %d: %w", topic, e.Partition, e.Err)
		}
		var fault error
		fetches.EachRecord(func(r *kgo.Record) {
			end, ok := left[r.Partition]
			if !ok || fault != nil {
				return
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				fault = f(r)
			}
			if r.Offset >= end-1 {
				delete(left, r.Partition)
			}
		})
		if fault != nil {
			return fault
		}
	}
	return nil
}
