package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pglogrepl"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/topicscan"
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
	err = eachRecord(ctx, client, cfg.Name+positionSuffix, func(r *kgo.Record) error { return p.load(cfg.Name, r.Key, r.Value) })
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
func eachRecord(ctx context.Context, client *kgo.Client, topic string, f func(*kgo.Record) error) error {
	parts, err := topicscan.Bounds(ctx, client, topic, true)
	if err == nil {
		err = topicscan.Read(ctx, client, topic, true, parts, f)
	}
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}
