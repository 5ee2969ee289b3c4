package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
)

// emit writes one change. keyOf is the row whose key the record has. The record's time is when the change committed.
func (s *session) emit(ctx context.Context, t *table, op Op, before, after, keyOf row, from origin) (key []byte, err error) {
	if key, err = t.appendKey(nil, keyOf); err != nil {
		return nil, err
	}
	value, err := t.appendEnvelope(make([]byte, 0, 512), op, before, after, from, time.Now())
	if err != nil {
		return nil, err
	}
	return key, s.sink.put(ctx, t.topic, key, value, from.commit)
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
		return d.change(m.RelationID, func(r *relation, from origin) error { return d.insert(ctx, r.table, m, from) })
	case *pglogrepl.UpdateMessage:
		return d.change(m.RelationID, func(r *relation, from origin) error { return d.updated(ctx, r.table, m, from) })
	case *pglogrepl.DeleteMessage:
		return d.change(m.RelationID, func(r *relation, from origin) error { return d.deleted(ctx, r.table, m, from) })
	case *pglogrepl.TruncateMessage:
		for _, id := range m.RelationIDs {
			err := d.change(id, func(r *relation, _ origin) error {
				return fmt.Errorf("%w: %s, at %s: the stream does not say which rows went. Ask for a new snapshot", ErrTruncated, r.table.name, d.now)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// change calls f for a change that is new to the log.
func (d *decoder) change(id uint32, f func(*relation, origin) error) error {
	if d.begin == nil {
		return fmt.Errorf("postgres: a change at %s stands outside of a transaction", d.now)
	}
	r, described := d.relations[id]
	switch {
	case !described:
		return fmt.Errorf("postgres: a change at %s is of table %d, which the stream has not described", d.now, id)
	case r == nil:
		return nil
	case d.known || r.snapshot.saw(d.begin.Xid, d.begin.FinalLSN):
		d.pending.skipped++
		return nil
	}
	d.rows++
	d.pending.rows++
	return f(r, origin{lsn: d.now, xid: d.begin.Xid, commit: d.begin.CommitTime})
}

func (d *decoder) insert(ctx context.Context, t *table, m *pglogrepl.InsertMessage, from origin) error {
	after, err := t.tuple(&d.row, m.Tuple, false, false)
	if err != nil {
		return err
	}
	_, err = d.emit(ctx, t, Create, nil, after, after, from)
	return err
}

func (d *decoder) updated(ctx context.Context, t *table, m *pglogrepl.UpdateMessage, from origin) error {
	after, err := t.tuple(&d.row, m.NewTuple, false, false)
	if err != nil {
		return err
	}
	var before row
	if m.OldTuple != nil {
		if before, err = t.tuple(&d.old, m.OldTuple, true, m.OldTupleType == pglogrepl.UpdateMessageTupleTypeKey); err != nil {
			return err
		}
		for i := range after {
			if after[i].state == valueUnchanged && before[i].state == valueSet {
				after[i] = before[i]
			}
		}
		was, err := t.appendKey(nil, before)
		if err != nil {
			return err
		}
		is, err := t.appendKey(nil, after)
		if err != nil {
			return err
		}
		if !bytes.Equal(was, is) { // the row of one key ends, that of another begins
			if err := d.remove(ctx, t, before, from); err != nil {
				return err
			}
			_, err = d.emit(ctx, t, Create, nil, after, after, from)
			return err
		}
	}
	_, err = d.emit(ctx, t, Update, before, after, after, from)
	return err
}

func (d *decoder) deleted(ctx context.Context, t *table, m *pglogrepl.DeleteMessage, from origin) error {
	before, err := t.tuple(&d.old, m.OldTuple, true, m.OldTupleType == pglogrepl.DeleteMessageTupleTypeKey)
	if err != nil {
		return err
	}
	return d.remove(ctx, t, before, from)
}

// remove writes a delete and the tombstone that lets compaction forget the key.
func (d *decoder) remove(ctx context.Context, t *table, before row, from origin) error {
	key, err := d.emit(ctx, t, Delete, before, nil, before, from)
	if err != nil {
		return err
	}
	return d.sink.put(ctx, t.topic, key, nil, from.commit)
}

// tuple reads a row of the stream into scratch. Of an old row that is told by its key only, the other columns are not known; an old row of a
// partition may be one, whatever its table says.
func (t *table) tuple(scratch *row, tuple *pglogrepl.TupleData, old, keyOnly bool) (row, error) {
	if tuple == nil || len(tuple.Columns) != len(t.columns) {
		return nil, fmt.Errorf("postgres: a row of %s does not have the %d columns that the stream described", t.name, len(t.columns))
	}
	r := (*scratch)[:0]
	for i, c := range tuple.Columns {
		v := value{text: c.Data}
		switch c.DataType {
		case pglogrepl.TupleDataTypeText:
			v.state = valueSet
		case pglogrepl.TupleDataTypeToast:
			v.state = valueUnchanged
		case pglogrepl.TupleDataTypeNull:
			if (keyOnly || old && t.parted) && t.columns[i].key < 0 {
				v.state = valueUnknown
			}
		default:
			return nil, fmt.Errorf("postgres: column %s.%s comes in form %q, which was not asked for", t.name, t.columns[i].name, c.DataType)
		}
		r = append(r, v)
	}
	*scratch = r
	return r, nil
}

// keyFlag marks a column that old rows tell.
const keyFlag = 1

// relation takes a table's description, which comes before its first change and after each of its alterations.
func (d *decoder) relation(ctx context.Context, m *pglogrepl.RelationMessage) error {
	name := tableName{m.Namespace, m.RelationName}
	p := d.position.tables[name]
	if p == nil || !strings.HasPrefix(p.Identity, fmt.Sprint(m.RelationID, "/")) { // one of its name that is gone, or is new: that has a snapshot to come
		d.relations[m.RelationID] = nil
		return nil
	}
	keys, parted, err := d.keys(ctx, name, p)
	if err != nil {
		return err
	}
	columns := make([]column, len(m.Columns))
	for i, c := range m.Columns {
		kind, err := d.catalog.typeOf(ctx, c.DataType)
		if err != nil {
			return err
		}
		key, ok := keys[c.Name]
		if !ok {
			key = -1
		}
		columns[i] = newColumn(c.Name, kind, key)
	}
	t, err := newTable(name, d.cfg.Name, d.catalog.database, columns)
	if err != nil {
		return err
	}
	t.parted = parted
	for _, i := range t.keys {
		if m.Columns[i].Flags&keyFlag == 0 {
			return fmt.Errorf("%w: %s: its changes do not tell column %s of the primary key: %s, and ask for a new snapshot", ErrNoPrimaryKey, name, columns[i].name, identityAdvice)
		}
	}
	layout := t.layout()
	if err := checkLayout(name, p.Columns, layout); err != nil && !d.cfg.AcceptTypes {
		return fmt.Errorf("%w: readers of topic %s may not expect it. Start again and accept the new types, or ask for a new snapshot", err, t.topic)
	}
	d.relations[m.RelationID] = &relation{t, p.Snapshot}
	if slices.Equal(p.Columns, layout) {
		return nil
	}
	d.cfg.Log.Info("a table has new columns", "table", name, "lsn", d.now)
	d.position.tables[name] = &tablePosition{Identity: p.Identity, Columns: layout, Snapshot: p.Snapshot}
	return d.sink.put(ctx, d.sink.positionTopic(), tableKey(d.cfg.Name, name), mustJSON(d.position.tables[name]), time.Now())
}

// keys are a table's key columns with their places: as they are now or, of a table that was dropped since, as they were.
func (d *decoder) keys(ctx context.Context, name tableName, p *tablePosition) (keys map[string]int, parted bool, err error) {
	keys = make(map[string]int)
	t, err := d.catalog.describe(ctx, name)
	switch {
	case err == nil:
		parted = t.parted
		for _, i := range t.keys {
			keys[t.columns[i].name] = t.columns[i].key
		}
	case errors.Is(err, ErrTableGone), errors.Is(err, ErrNoPrimaryKey):
		for _, c := range p.Columns {
			if c.Key > 0 {
				keys[c.Name] = c.Key - 1
			}
		}
	default:
		return nil, false, err
	}
	return keys, parted, nil
}
