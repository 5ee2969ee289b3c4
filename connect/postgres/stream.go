package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
)

// emit writes one change. The record's time is when the change committed.
func (s *session) emit(ctx context.Context, t *table, op Op, key []byte, before, after row, from origin) error {
	value, err := t.appendEnvelope(make([]byte, 0, 512), op, before, after, from, time.Now())
	if err != nil {
		return err
	}
	return s.sink.put(ctx, t.topic, key, value, from.commit)
}

// relation is a table as the stream describes it.
type relation struct {
	table    *table
	snapshot visibility
}

// decoder follows the stream. It is the session's goroutine.
type decoder struct {
	*session
	receiver  *receiver
	relations map[uint32]*relation // by the server's id; nil for a table that is not followed

	begin    *pglogrepl.BeginMessage // the transaction that is passing; nil between two
	known    bool                    // the log has it already
	rows     int64                   // written of the transaction that is passing
	reached  pglogrepl.LSN           // all that committed before it is in the sink
	now      pglogrepl.LSN           // of the message being decoded
	pending  gaugesPending
	beat     time.Time // of the last position that went with no change
	row, old row       // scratch, valid for one message
}

// gaugesPending is counted once its transaction is in the log.
type gaugesPending struct {
	rows, transactions, skipped int64
	commit                      time.Time
}

// maxBatchBytes ends a transaction of the log before its interval is over, at the end of a transaction of the database.
const maxBatchBytes = 16 << 20

// stream follows the slot from the committed position until ctx or the connection ends.
func (s *session) stream(ctx context.Context) error {
	r, err := receive(ctx, s.replication, s.cfg.Name, s.committed)
	if err != nil {
		return err
	}
	s.replication = nil
	defer r.stop()
	d := &decoder{session: s, receiver: r, relations: make(map[uint32]*relation), reached: s.committed, beat: time.Now()}
	heartbeat := time.NewTicker(s.cfg.Heartbeat)
	defer heartbeat.Stop()
	var due <-chan time.Time // when the open transaction of the log is to end
	for {
		select {
		case <-ctx.Done():
			return d.finish()
		case c, ok := <-r.chunks:
			if !ok {
				return r.err
			}
			if err := d.chunk(ctx, c); err != nil {
				return err
			}
			r.release(c)
		case <-due:
			due = nil
		case <-heartbeat.C:
			if err := d.look(ctx); err != nil {
				return err
			}
		}
		committed, err := d.endBatch(ctx)
		if err != nil {
			return err
		}
		if committed || due == nil && s.sink.open {
			due = nil
			if s.sink.open {
				due = time.After(s.cfg.CommitInterval)
			}
		}
	}
}

// finish commits what is whole when the program ends, so that the next start has nothing to send again. If it fails, nothing is lost.
func (d *decoder) finish() error {
	if d.begin != nil || !d.sink.open {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return d.flush(ctx)
}

// flush commits all that has been put, and counts it.
func (d *decoder) flush(ctx context.Context) error {
	if err := d.commit(ctx, d.reached); err != nil {
		return err
	}
	d.beat = time.Now()
	d.receiver.confirm(d.reached)
	p := d.pending
	d.pending = gaugesPending{}
	d.gauges.update(func(g *gauges) {
		g.stats.Rows += p.rows
		g.stats.Transactions += p.transactions
		g.stats.Skipped += p.skipped
		if !p.commit.IsZero() {
			g.lastCommit = p.commit
		}
	})
	return nil
}

// endBatch commits when it is time to. Transactions of the database stay whole.
func (d *decoder) endBatch(ctx context.Context) (bool, error) {
	if d.begin != nil {
		return false, nil
	}
	if d.sink.open {
		if time.Since(d.sink.begun) < d.cfg.CommitInterval && d.sink.bytes < maxBatchBytes {
			return false, nil
		}
	} else if d.reached == d.committed || time.Since(d.beat) < d.cfg.Heartbeat {
		return false, nil
	}
	return true, d.flush(ctx)
}

// lookTimeout is how long the catalog may take to answer; else the server is gone without a word, as when its machine or the network fails.
const lookTimeout = time.Minute

// look asks the catalog what the stream does not tell: tables that went or came, and how much the slot holds back.
func (d *decoder) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	asked := time.Now()
	have, err := d.catalog.slot(ctx)
	if err != nil {
		return err
	}
	d.gauges.update(func(g *gauges) {
		g.stats.RetainedBytes, g.serverEnd, g.asOf = have.retained, uint64(have.walEnd), asked
		g.reach()
	})
	chosen, err := d.catalog.tables(ctx, d.cfg.Tables)
	if err != nil {
		return err
	}
	now, err := d.catalog.published(ctx, chosen)
	if err != nil {
		return err
	}
	stand, err := d.topicsStand(ctx)
	if err != nil {
		return err
	}
	if !stand { // what has been put since would go to another topic than the position says
		d.cfg.Log.Warn("a topic was deleted: its tables get new snapshots")
		return errTablesChanged
	}
	anew := false
	for name, p := range d.position.tables {
		identity, there := now.tables[name]
		if !there {
			return fmt.Errorf("%w: %v was dropped, renamed or taken out of publication %s: its topic stays as it is. Start again without it, or make it again and start again",
				ErrTableGone, name, d.cfg.Name)
		}
		anew = anew || identity != p.Identity
	}
	if d.begin == nil && (anew || slices.ContainsFunc(chosen, func(n tableName) bool { return d.position.tables[n] == nil })) {
		if err := d.finish(); err != nil {
			return err
		}
		return errTablesChanged
	}
	return nil
}

func (d *decoder) chunk(ctx context.Context, c *chunk) error {
	begin := 0
	for _, end := range c.ends {
		if err := d.message(ctx, c.data[begin:end]); err != nil {
			return err
		}
		begin = end
	}
	return nil
}

var errShort = errors.New("postgres: the stream has an empty message")

// message decodes one message of the replication protocol.
func (d *decoder) message(ctx context.Context, data []byte) error {
	if len(data) == 0 {
		return errShort
	}
	switch data[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		alive, err := pglogrepl.ParsePrimaryKeepaliveMessage(data[1:])
		if err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
		if alive.ReplyRequested {
			d.receiver.hurry()
		}
		if d.begin == nil && alive.ServerWALEnd > d.reached { // all that ended before it was sent before it
			d.reached = alive.ServerWALEnd
		}
	case pglogrepl.XLogDataByteID:
		x, err := pglogrepl.ParseXLogData(data[1:])
		if err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
		if x.WALStart != 0 { // the description of a table has no place of its own
			d.now = x.WALStart
		}
		m, err := pglogrepl.Parse(x.WALData)
		if err != nil {
			return fmt.Errorf("postgres: message at %s: %w", x.WALStart, err)
		}
		return d.logical(ctx, m)
	}
	return nil
}

func (d *decoder) logical(ctx context.Context, m pglogrepl.Message) error {
	switch m := m.(type) {
	case *pglogrepl.BeginMessage:
		d.begin, d.known, d.rows = m, m.FinalLSN < d.committed, 0
	case *pglogrepl.CommitMessage:
		d.reached = max(d.reached, m.TransactionEndLSN)
		d.begin = nil
		if d.rows > 0 {
			d.pending.transactions++
			d.pending.commit = m.CommitTime
		}
	case *pglogrepl.RelationMessage:
		return d.relation(ctx, m)
	case *pglogrepl.InsertMessage:
		return d.insert(ctx, m)
	case *pglogrepl.UpdateMessage:
		return d.updated(ctx, m)
	case *pglogrepl.DeleteMessage:
		return d.deleted(ctx, m)
	case *pglogrepl.TruncateMessage:
		return d.truncated(m)
	}
	return nil
}
