package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pglogrepl"
)

// changed begins a change: it returns the table, nil when the change is nothing new to the log, and where the change comes from.
func (d *decoder) changed(id uint32) (*table, origin, error) {
	if d.begin == nil {
		return nil, origin{}, fmt.Errorf("postgres: a change at %s stands outside of a transaction", d.now)
	}
	r, described := d.relations[id]
	switch {
	case !described:
		return nil, origin{}, fmt.Errorf("postgres: a change at %s is of table %d, which the stream has not described", d.now, id)
	case r == nil:
		return nil, origin{}, nil
	case d.known || r.snapshot.saw(d.begin.Xid, d.begin.FinalLSN):
		d.pending.skipped++
		return nil, origin{}, nil
	}
	d.rows++
	d.pending.rows++
	return r.table, origin{lsn: d.now, xid: d.begin.Xid, commit: d.begin.CommitTime}, nil
}

func (d *decoder) insert(ctx context.Context, m *pglogrepl.InsertMessage) error {
	t, from, err := d.changed(m.RelationID)
	if err != nil || t == nil {
		return err
	}
	after, err := t.tuple(&d.row, m.Tuple, false, false)
	if err != nil {
		return err
	}
	key, err := t.appendKey(nil, after)
	if err != nil {
		return err
	}
	return d.emit(ctx, t, Create, key, nil, after, from)
}

func (d *decoder) updated(ctx context.Context, m *pglogrepl.UpdateMessage) error {
	t, from, err := d.changed(m.RelationID)
	if err != nil || t == nil {
		return err
	}
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
	}
	key, err := t.appendKey(nil, after)
	if err != nil {
		return err
	}
	if before == nil {
		return d.emit(ctx, t, Update, key, nil, after, from)
	}
	was, err := t.appendKey(nil, before)
	if err != nil {
		return err
	}
	if bytes.Equal(was, key) {
		return d.emit(ctx, t, Update, key, before, after, from)
	}
	if err := d.remove(ctx, t, was, before, from); err != nil { // the row of one key ends, that of another begins
		return err
	}
	return d.emit(ctx, t, Create, key, nil, after, from)
}

func (d *decoder) deleted(ctx context.Context, m *pglogrepl.DeleteMessage) error {
	t, from, err := d.changed(m.RelationID)
	if err != nil || t == nil {
		return err
	}
	before, err := t.tuple(&d.old, m.OldTuple, true, m.OldTupleType == pglogrepl.DeleteMessageTupleTypeKey)
	if err != nil {
		return err
	}
	key, err := t.appendKey(nil, before)
	if err != nil {
		return err
	}
	return d.remove(ctx, t, key, before, from)
}

// remove writes a delete and the tombstone that lets compaction forget the key.
func (d *decoder) remove(ctx context.Context, t *table, key []byte, before row, from origin) error {
	if err := d.emit(ctx, t, Delete, key, before, nil, from); err != nil {
		return err
	}
	return d.sink.put(ctx, t.topic, key, nil, from.commit)
}

func (d *decoder) truncated(m *pglogrepl.TruncateMessage) error {
	for _, id := range m.RelationIDs {
		t, _, err := d.changed(id)
		if err != nil {
			return err
		}
		if t != nil {
			return fmt.Errorf("%w: %s, at %s: the stream does not say which rows went. Ask for a new snapshot", ErrTruncated, t.name, d.now)
		}
	}
	return nil
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
	name, p := d.position.of(m.RelationID)
	if p == nil { // it is not followed, or is new, perhaps in the name of one that is gone: then it has a snapshot to come
		d.relations[m.RelationID] = nil
		return nil
	}
	keys, parted, err := d.keys(ctx, m.RelationID, p)
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
	changed := *p
	changed.Columns = layout
	return d.keep(ctx, name, &changed)
}

// keys are a table's key columns with their places: as they are now or, of a table that was dropped since, as they were.
func (d *decoder) keys(ctx context.Context, id uint32, p *tablePosition) (keys map[string]int, parted bool, err error) {
	keys = make(map[string]int)
	var t *table
	name, err := d.catalog.nameOf(ctx, id)
	if err == nil {
		t, err = d.catalog.describe(ctx, name)
	}
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
