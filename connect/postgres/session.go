package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
)

// session holds the connections and what is committed while they live. One goroutine owns it.
type session struct {
	*Source
	sink        *sink
	catalog     *catalog
	replication *pgconn.PgConn // until the receiver takes it

	position      *position             // as committed, kept up to date
	positionTopic topicState            // where it is
	committed     pglogrepl.LSN         // position.main's
	missing       []tableName           // tables that have no snapshot yet
	identities    map[tableName]string  // of the published tables, when the snapshot began
	topics        map[string]topicState // of the tables, when the session began
}

func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.catalog != nil {
		s.catalog.conn.Close(ctx)
	}
	if s.replication != nil {
		s.replication.Close(ctx)
	}
	if s.sink != nil {
		s.sink.close()
	}
}

// open connects to the database and checks it, then to the log.
func (s *session) open(ctx context.Context) error {
	conn, err := s.cfg.connect(ctx, false)
	if err != nil {
		return err
	}
	s.catalog = &catalog{conn: conn, connector: s.cfg.Name, types: make(map[uint32]*columnType)}
	if err := s.catalog.check(ctx); err != nil {
		return err
	}
	if _, err := s.freeSlot(ctx); err != nil { // before the log fences a connector that runs
		return err
	}
	if s.replication, err = s.cfg.connect(ctx, true); err != nil {
		return explain(err)
	}
	if s.sink, err = openSink(ctx, &s.cfg); err != nil {
		return err
	}
	s.position, s.positionTopic, err = s.sink.load(ctx)
	return err
}

// resume finds the place to go on from, or makes one: publication, slot and the first position.
func (s *session) resume(ctx context.Context, resnapshot bool) error {
	system, err := pglogrepl.IdentifySystem(ctx, s.replication)
	if err != nil {
		return fmt.Errorf("postgres: identify the server: %w", err)
	}
	if resnapshot {
		s.position.main = nil
	}
	if m := s.position.main; m != nil && (m.System != system.SystemID || m.Database != s.catalog.database) {
		return fmt.Errorf("%w: connector %s follows database %s of cluster %s, this is %s of %s: use another name for it, or ask for a new snapshot",
			ErrOtherDatabase, s.cfg.Name, m.Database, m.System, s.catalog.database, system.SystemID)
	}
	chosen, err := s.catalog.tables(ctx, s.cfg.Tables)
	if err != nil {
		return err
	}
	for _, name := range chosen { // a table that cannot be followed is told before anything is made
		if _, err := s.catalog.describe(ctx, name); err != nil {
			return err
		}
	}
	if err := s.publish(ctx, chosen); err != nil {
		return err
	}
	if err := s.slot(ctx, system.SystemID); err != nil {
		return err
	}
	return s.plan(ctx, chosen)
}

// publish makes the publication hold the tables. What changed in a table before the publication held it is not in the stream: a snapshot from then is
// forgotten first, so that a kill on the way cannot leave it behind.
func (s *session) publish(ctx context.Context, chosen []tableName) error {
	now, err := s.catalog.published(ctx, chosen)
	if err != nil {
		return err
	}
	var missing []tableName
	for _, name := range chosen {
		identity, there := now.tables[name]
		if !there {
			missing = append(missing, name)
		}
		p := s.position.tables[name]
		if s.position.main == nil || p == nil || there && p.Identity == identity {
			continue
		}
		s.cfg.Log.Warn("a table was made anew, or was not published for a while: it gets a new snapshot", "table", name)
		if err := s.forget(ctx, name); err != nil {
			return err
		}
	}
	if s.sink.open {
		at, err := s.position.main.lsn()
		if err != nil {
			return err
		}
		if err := s.commit(ctx, at); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return s.catalog.publish(ctx, missing, now.exists)
}

// freeSlot waits until nobody reads the slot, and returns what the server says of it.
func (s *session) freeSlot(ctx context.Context) (slot, error) {
	deadline := time.Now().Add(s.cfg.SlotWait)
	for told := false; ; told = true {
		have, err := s.catalog.slot(ctx)
		if err != nil || have.activePID == "" {
			return have, err
		}
		if time.Now().After(deadline) {
			return have, fmt.Errorf("%w: the server's process %s reads slot %s: is another connector of this name running?", ErrSlotInUse, have.activePID, s.cfg.Name)
		}
		if !told {
			s.cfg.Log.Warn("the slot is in use: waiting for the server to free it", "slot", s.cfg.Name, "pid", have.activePID, "pause", s.cfg.SlotWait)
		}
		if err := pauseFor(ctx, 100*time.Millisecond); err != nil {
			return have, err
		}
	}
}

// slot makes sure that the slot is there, free, and holds all that comes after the committed position.
func (s *session) slot(ctx context.Context, system string) error {
	have, err := s.freeSlot(ctx)
	switch {
	case err != nil:
		return err
	case s.position.main == nil:
		return s.makeSlot(ctx, have, system)
	case !have.exists:
		return fmt.Errorf("%w: %s is gone, and with it what changed since %s: ask for a new snapshot", ErrSlotLost, s.cfg.Name, s.position.main.LSN)
	case have.lost:
		return fmt.Errorf("%w: %s was invalidated (max_slot_wal_keep_size), what changed since %s is gone: ask for a new snapshot", ErrSlotLost, s.cfg.Name, s.position.main.LSN)
	}
	if s.committed, err = s.position.main.lsn(); err != nil {
		return err
	}
	if have.walEnd < s.committed { // else its next changes would count as known
		return fmt.Errorf("%w: the database is at %s, before %s that the log has: it was set back to an earlier state. Ask for a new snapshot",
			ErrSlotLost, have.walEnd, s.committed)
	}
	if have.confirmed > s.committed {
		return fmt.Errorf("%w: %s has moved to %s, past %s that the log has: somebody else read it, or it was made anew. Ask for a new snapshot",
			ErrSlotLost, s.cfg.Name, have.confirmed, s.committed)
	}
	return nil
}

// makeSlot makes the slot for a first start, or a new one. One that is there was left by a start that did not get as far as the first position, or is given
// up. Snapshots that belong to it are forgotten in the transaction that has the new position: a start after a kill must not take them for the new slot's.
func (s *session) makeSlot(ctx context.Context, have slot, system string) error {
	if have.exists {
		if err := pglogrepl.DropReplicationSlot(ctx, s.replication, s.cfg.Name, pglogrepl.DropReplicationSlotOptions{}); err != nil {
			return fmt.Errorf("postgres: drop slot %s: %w", s.cfg.Name, explain(err))
		}
	}
	limited, cancel := context.WithTimeout(ctx, s.cfg.RetryFor)
	defer cancel()
	made, err := pglogrepl.CreateReplicationSlot(limited, s.replication, s.cfg.Name, "pgoutput",
		pglogrepl.CreateReplicationSlotOptions{Mode: pglogrepl.LogicalReplication, SnapshotAction: "NOEXPORT_SNAPSHOT"})
	if limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("postgres: slot %s must wait for transactions that were open before it, and they did not end within %v: look for them in pg_stat_activity", s.cfg.Name, s.cfg.RetryFor)
	}
	if err != nil {
		return fmt.Errorf("postgres: make slot %s: %w", s.cfg.Name, explain(err))
	}
	at, err := pglogrepl.ParseLSN(made.ConsistentPoint)
	if err != nil {
		return fmt.Errorf("postgres: slot %s: %w", s.cfg.Name, err)
	}
	s.position.main = &mainPosition{System: system, Database: s.catalog.database}
	s.cfg.Log.Info("made a replication slot", "slot", s.cfg.Name, "lsn", at)
	for name := range s.position.tables {
		if err := s.forget(ctx, name); err != nil {
			return err
		}
	}
	return s.commit(ctx, at)
}

// plan finds the tables that need a snapshot and forgets those that are not followed any more.
func (s *session) plan(ctx context.Context, chosen []tableName) error {
	followed := make(map[tableName]bool, len(chosen))
	var lost []tableName
	topics := make([]string, len(chosen))
	for i, name := range chosen {
		followed[name] = true
		topics[i] = topicOf(s.cfg.Name, name)
		made, err := s.sink.ensureTable(ctx, topics[i])
		if err != nil {
			return err
		}
		if made && s.position.tables[name] != nil {
			lost = append(lost, name)
		}
	}
	if err := s.sink.fit(ctx, topics); err != nil {
		return err
	}
	var err error
	if s.topics, err = s.sink.madeTopics(ctx, topics); err != nil {
		return err
	}
	for i, name := range chosen {
		p := s.position.tables[name]
		if p == nil || slices.Contains(lost, name) {
			continue
		}
		now := s.topics[topics[i]]
		switch gone, err := p.lostTopic(topics[i], now); {
		case err != nil:
			return err
		case gone:
			lost = append(lost, name)
		case p.Topic != now.id || p.Partitions != now.partitions:
			known := *p
			known.Topic, known.Partitions = now.id, now.partitions
			if err := s.keep(ctx, name, &known); err != nil {
				return err
			}
		}
	}
	for _, name := range lost {
		s.cfg.Log.Warn("the topic of a table was deleted: the table gets a new snapshot", "table", name)
		if err := s.forget(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range chosen {
		if s.position.tables[name] == nil {
			s.missing = append(s.missing, name)
		}
	}
	for name := range s.position.tables {
		if followed[name] {
			continue
		}
		s.cfg.Log.Warn("a table is not followed any more", "table", name)
		if err := s.forget(ctx, name); err != nil {
			return err
		}
	}
	if s.sink.open {
		return s.commit(ctx, s.committed)
	}
	return nil
}

// keep notes what is known of a table; the position topic has it with the next commit.
func (s *session) keep(ctx context.Context, name tableName, p *tablePosition) error {
	s.position.tables[name] = p
	return s.sink.put(ctx, s.sink.positionTopic(), tableKey(s.cfg.Name, name), mustJSON(p), time.Now())
}

// forget drops a table's snapshot; the position topic loses it with the next commit.
func (s *session) forget(ctx context.Context, name tableName) error {
	delete(s.position.tables, name)
	return s.sink.put(ctx, s.sink.positionTopic(), tableKey(s.cfg.Name, name), nil, time.Now())
}

// commit ends the log's open transaction at a position.
func (s *session) commit(ctx context.Context, at pglogrepl.LSN) error {
	if err := s.sink.commit(ctx, *s.position.main, at); err != nil {
		return err
	}
	s.committed = at
	s.position.main.LSN = at.String()
	s.gauges.update(func(g *gauges) {
		g.committed = uint64(at)
		g.reach()
	})
	return nil
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// settle waits until all transactions that run now have ended: what is committed in the stream's past is then visible to a snapshot.
func (s *session) settle(ctx context.Context) error {
	limit, err := s.catalog.one(ctx, `select pg_snapshot_xmax(pg_current_snapshot())`)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(s.cfg.RetryFor); ; {
		blocking, err := s.catalog.one(ctx, `select coalesce((select 'process ' || pid || coalesce(' (' || state || ')', '') from pg_stat_activity
			where backend_xid is not null and pid <> pg_backend_pid() order by xact_start limit 1), 'a prepared transaction')
			where pg_snapshot_xmin(pg_current_snapshot()) < $1::xid8`, limit)
		if err != nil || blocking == "" {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("postgres: a snapshot must wait for transactions that were open before it: " + blocking + " did not end")
		}
		if err := pauseFor(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
