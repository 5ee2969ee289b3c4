package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// snapshots reads the tables that have none yet, all as of one moment, each into one transaction of the log.
func (s *session) snapshots(ctx context.Context) error {
	if len(s.missing) == 0 {
		return nil
	}
	s.gauges.state(Snapshot, "")
	if err := s.settle(ctx); err != nil {
		return err
	}
	conn, err := s.cfg.connect(ctx, false)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	c := &catalog{conn: conn, database: s.catalog.database, connector: s.cfg.Name, types: s.catalog.types}
	if err := c.exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return err
	}
	now, err := s.catalog.published(ctx, s.missing)
	if err != nil {
		return err
	}
	s.identities = now.tables
	rows, err := c.query(ctx, `select pg_current_snapshot()::text, pg_current_wal_insert_lsn()`)
	if err != nil {
		return err
	}
	seen, err := parseVisibility(string(rows[0][0]))
	if err != nil {
		return err
	}
	if err := seen.LSN.Scan(string(rows[0][1])); err != nil {
		return fmt.Errorf("postgres: place of the snapshot: %w", err)
	}
	if err := s.estimate(ctx, c); err != nil {
		return err
	}
	for _, name := range s.missing {
		if err := s.snapshot(ctx, c, name, seen); err != nil {
			return err
		}
	}
	s.missing = nil
	return nil
}

// estimate asks the server how many rows there are to read, for the figures of progress.
func (s *session) estimate(ctx context.Context, c *catalog) error {
	total := int64(0)
	for _, name := range s.missing {
		text, err := c.one(ctx, `select coalesce(sum(greatest(reltuples, 0)), 0)::int8 from pg_class
			where relkind = 'r' and (oid = $1::regclass or oid in (select relid from pg_partition_tree($1::regclass) where isleaf))`, name.quoted())
		if err != nil {
			return err
		}
		n, _ := strconv.ParseInt(text, 10, 64) // an estimate: none is as good as 0
		total += n
	}
	s.gauges.update(func(g *gauges) {
		g.stats.SnapshotOf, g.stats.SnapshotRows, g.snapshotBegun = total, 0, time.Now()
	})
	return nil
}

// progressEvery is how many snapshot rows go by between two updates of the figures.
const progressEvery = 1000

// snapshot writes a table's rows and what the snapshot saw in one transaction of the log. Keys that an earlier life of the topic holds and the table
// does not have any more are deleted from it.
func (s *session) snapshot(ctx context.Context, c *catalog, name tableName, seen visibility) error {
	t, err := c.describe(ctx, name)
	if err != nil {
		return err
	}
	s.cfg.Log.Info("snapshot", "table", name, "lsn", seen.LSN)
	s.gauges.update(func(g *gauges) { g.stats.SnapshotTable = name.String() })
	stale, err := s.liveKeys(ctx, t)
	if err != nil {
		return err
	}
	columns := make([]string, len(t.columns))
	for i, column := range t.columns {
		columns[i] = quoteName(column.name)
	}
	from := origin{lsn: seen.LSN, commit: time.Now(), snapshot: true}
	read := c.conn.Exec(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+t.from())
	defer read.Close()
	rows := int64(0)
	r := make(row, len(t.columns))
	for read.NextResult() {
		for result := read.ResultReader(); result.NextRow(); {
			for i, text := range result.Values() {
				r[i] = value{text: text}
				if text != nil {
					r[i].state = valueSet
				}
			}
			key, err := t.appendKey(nil, r)
			if err != nil {
				return err
			}
			if err := s.emit(ctx, t, Read, key, nil, r, from); err != nil {
				return err
			}
			if stale != nil {
				delete(stale, keyHash(key))
			}
			if rows++; rows%progressEvery == 0 {
				s.gauges.update(func(g *gauges) { g.stats.SnapshotRows += progressEvery })
			}
		}
	}
	if err := read.Close(); err != nil {
		return fmt.Errorf("postgres: read table %s: %w", name, explain(err))
	}
	s.gauges.update(func(g *gauges) { g.stats.SnapshotRows += rows % progressEvery })
	if err := s.deleteStale(ctx, t, stale); err != nil {
		return err
	}
	topic := s.topics[t.topic]
	p := &tablePosition{Identity: s.identities[name], Columns: t.layout(), Snapshot: seen, Topic: topic.id, Partitions: topic.partitions}
	if err := s.sink.put(ctx, s.sink.positionTopic(), tableKey(s.cfg.Name, name), mustJSON(p), from.commit); err != nil {
		return err
	}
	if err := s.commit(ctx, s.committed); err != nil {
		return err
	}
	s.position.tables[name] = p
	s.gauges.update(func(g *gauges) { g.stats.Rows += rows })
	return nil
}

type hashed [16]byte

func keyHash(key []byte) (h hashed) {
	f := fnv.New128a()
	f.Write(key)
	f.Sum(h[:0])
	return h
}

// liveKeys are the keys that a table's topic holds already, by their hashes; nil when the topic is new, as it mostly is. They take some 40 bytes a key
// while a snapshot is taken again.
func (s *session) liveKeys(ctx context.Context, t *table) (map[hashed]struct{}, error) {
	var live map[hashed]struct{}
	err := s.sink.each(ctx, t.topic, func(r *kgo.Record) error {
		if live == nil {
			live = make(map[hashed]struct{})
		}
		if len(r.Value) > 0 {
			live[keyHash(r.Key)] = struct{}{}
		} else {
			delete(live, keyHash(r.Key))
		}
		return nil
	})
	return live, err
}

// deleteStale writes a tombstone for each key whose hash is in stale; the topic is read once more, since the hashes do not give the keys.
func (s *session) deleteStale(ctx context.Context, t *table, stale map[hashed]struct{}) error {
	if len(stale) == 0 {
		return nil
	}
	s.cfg.Log.Info("deleting rows that are no longer in the table", "table", t.name, "rows", len(stale))
	return s.sink.each(ctx, t.topic, func(r *kgo.Record) error {
		h := keyHash(r.Key)
		if _, ok := stale[h]; !ok {
			return nil
		}
		delete(stale, h)
		return s.sink.put(ctx, t.topic, r.Key, nil, time.Now())
	})
}
