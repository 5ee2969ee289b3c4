package postgres

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
)

// catalog asks a database about itself, over one ordinary session. One goroutine at a time.
type catalog struct {
	conn      *pgconn.PgConn
	database  string // its name
	connector string
	types     map[uint32]*columnType
}

// query returns the rows of one statement, each value in text form; nil stands for null.
func (c *catalog) query(ctx context.Context, sql string, args ...string) ([][][]byte, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	r := c.conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if r.Err != nil {
		return nil, fmt.Errorf("postgres: %w", explain(r.Err))
	}
	return r.Rows, nil
}

// exec runs statements that return nothing.
func (c *catalog) exec(ctx context.Context, sql string) error {
	if _, err := c.conn.Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("postgres: %s: %w", sql, explain(err))
	}
	return nil
}

// one is query for one value of one row; empty when there is none.
func (c *catalog) one(ctx context.Context, sql string, args ...string) (string, error) {
	rows, err := c.query(ctx, sql, args...)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return string(rows[0][0]), nil
}

// check looks whether this server and user can replicate at all.
func (c *catalog) check(ctx context.Context) error {
	rows, err := c.query(ctx, `select current_setting('wal_level'), rolreplication or rolsuper, rolname, current_database() from pg_roles where rolname = current_user`)
	if err != nil {
		return err
	}
	r := rows[0]
	if level := string(r[0]); level != "logical" {
		return fmt.Errorf("%w but %s: ALTER SYSTEM SET wal_level = logical, then restart the server", ErrWALLevel, level)
	}
	if string(r[1]) != "t" {
		return fmt.Errorf("%w: ALTER ROLE %s REPLICATION", ErrNoPrivilege, quoteName(string(r[2])))
	}
	c.database = string(r[3])
	return nil
}

// tables are the database's tables that the patterns choose, sorted. A plain name that matches nothing is an error.
func (c *catalog) tables(ctx context.Context, patterns []string) ([]tableName, error) {
	rows, err := c.query(ctx, `select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'
		and n.nspname not like 'pg\_%' and n.nspname <> 'information_schema' order by 1, 2`)
	if err != nil {
		return nil, err
	}
	var found []tableName
	matched := make([]bool, len(patterns))
	for _, r := range rows {
		name := tableName{string(r[0]), string(r[1])}
		chosen := false
		for i, pattern := range patterns {
			if !strings.Contains(pattern, ".") {
				pattern = "public." + pattern
			}
			if ok, err := path.Match(plainSlash.Replace(pattern), plainSlash.Replace(name.String())); ok && err == nil || pattern == name.String() {
				matched[i], chosen = true, true
			}
		}
		if chosen {
			found = append(found, name)
		}
	}
	for i, ok := range matched {
		if !ok && !strings.ContainsAny(patterns[i], `*?[\`) {
			return nil, fmt.Errorf("%w %q in database %s: create it, or leave it out", ErrNoMatch, patterns[i], c.database)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w %q in database %s", ErrNoMatch, patterns, c.database)
	}
	return found, nil
}

// plainSlash takes from a slash the meaning that path.Match gives it. Names in Postgres have no zero byte.
var plainSlash = strings.NewReplacer("/", "\x00")

// describe reads a table's columns and primary key as they are now.
func (c *catalog) describe(ctx context.Context, name tableName) (*table, error) {
	rows, err := c.query(ctx, `select a.attname, a.atttypid, coalesce(array_position((string_to_array(i.indkey::text, ' ')::int2[])[:i.indnkeyatts], a.attnum) - 1, -1),
		c.relkind = 'p', i.indnkeyatts, (select bool_and(case x.relreplident when 'f' then true when 'd' then coalesce(p.indimmediate, false)
			when 'i' then coalesce(p.indisreplident, false) else false end)
			from (select c.oid union select relid from pg_partition_tree(c.oid) where isleaf) l(oid) join pg_class x on x.oid = l.oid
			left join pg_index p on p.indrelid = x.oid and p.indisprimary where x.relkind = 'r' or x.oid = c.oid and x.relkind <> 'p')
		from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
		left join pg_index i on i.indrelid = c.oid and i.indisprimary
		where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum`, name.schema, name.table)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: %s was dropped", ErrTableGone, name)
	}
	columns, keys := make([]column, len(rows)), 0
	for i, r := range rows {
		oid, err := strconv.ParseUint(string(r[1]), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("postgres: type of %s.%s: %w", name, r[0], err)
		}
		key, err := strconv.Atoi(string(r[2]))
		if err != nil {
			return nil, fmt.Errorf("postgres: key of %s: %w", name, err)
		}
		kind, err := c.typeOf(ctx, uint32(oid))
		if err != nil {
			return nil, err
		}
		if key >= 0 {
			keys++
		}
		columns[i] = newColumn(string(r[0]), kind, key)
	}
	t, err := newTable(name, c.connector, c.database, columns)
	if err != nil {
		return nil, err
	}
	t.parted = string(rows[0][3]) == "t"
	if want := string(rows[0][4]); strconv.Itoa(keys) != want {
		return nil, fmt.Errorf("%w: %s: a column of its primary key is generated, which the stream does not tell", ErrNoPrimaryKey, name)
	}
	if string(rows[0][5]) == "f" {
		return nil, fmt.Errorf("%w: %s: changes would not tell the key: %s", ErrNoPrimaryKey, name, identityAdvice)
	}
	return t, nil
}

// nameOf is the name that a table has now.
func (c *catalog) nameOf(ctx context.Context, id uint32) (tableName, error) {
	rows, err := c.query(ctx, `select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = $1`, strconv.FormatUint(uint64(id), 10))
	if err != nil {
		return tableName{}, err
	}
	if len(rows) == 0 {
		return tableName{}, fmt.Errorf("%w: table %d was dropped", ErrTableGone, id)
	}
	return tableName{string(rows[0][0]), string(rows[0][1])}, nil
}

// typeDepth bounds the way from a domain over domains and arrays to a base type.
const typeDepth = 8

// typeOf resolves a type: domains to what they are made of, arrays to their elements.
func (c *catalog) typeOf(ctx context.Context, oid uint32) (*columnType, error) {
	return c.resolve(ctx, oid, typeDepth)
}

func (c *catalog) resolve(ctx context.Context, oid uint32, depth int) (*columnType, error) {
	if t := c.types[oid]; t != nil {
		return t, nil
	}
	rows, err := c.query(ctx, `select t.typname, t.typtype, t.typbasetype, case when e.typarray = t.oid then t.typelem else 0 end, coalesce(e.typdelim, ',')
		from pg_type t left join pg_type e on e.oid = t.typelem where t.oid = $1`, strconv.FormatUint(uint64(oid), 10))
	if err != nil {
		return nil, err
	}
	t := &columnType{oid: oid, name: strconv.FormatUint(uint64(oid), 10), kind: baseKinds[oid]}
	if len(rows) == 1 && depth > 0 { // a type dropped meanwhile is text
		r := rows[0]
		t.name, t.delimiter = string(r[0]), r[4][0]
		inner := string(r[3])
		if string(r[1]) == "d" {
			inner = string(r[2])
		}
		if n, err := strconv.ParseUint(inner, 10, 32); err == nil && n != 0 {
			of, err := c.resolve(ctx, uint32(n), depth-1)
			if err != nil {
				return nil, err
			}
			if string(r[1]) == "d" {
				t.kind, t.element, t.delimiter = of.kind, of.element, of.delimiter
			} else {
				t.kind, t.element = kindArray, of
			}
		}
	}
	c.types[oid] = t
	return t, nil
}

// slot is what the server says of our replication slot.
type slot struct {
	exists    bool
	activePID string // of the session that reads it; empty for none
	lost      bool   // the write-ahead log it needs is gone
	confirmed pglogrepl.LSN
	retained  int64 // bytes of write-ahead log kept for it
	walEnd    pglogrepl.LSN
}

func (c *catalog) slot(ctx context.Context) (slot, error) {
	rows, err := c.query(ctx, `select coalesce(active_pid::text, ''), coalesce(wal_status, ''), coalesce(confirmed_flush_lsn, '0/0'),
		coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::int8, pg_current_wal_lsn(), plugin, database
		from pg_replication_slots where slot_name = $1`, c.connector)
	if err != nil || len(rows) == 0 {
		return slot{}, err
	}
	r := rows[0]
	if plugin, database := string(r[5]), string(r[6]); plugin != "pgoutput" || database != c.database {
		return slot{}, fmt.Errorf("%w: %s belongs to plugin %q and database %q: choose another name for the connector", ErrSlotInUse, c.connector, plugin, database)
	}
	s := slot{exists: true, activePID: string(r[0]), lost: string(r[1]) == "lost"}
	if s.confirmed, err = pglogrepl.ParseLSN(string(r[2])); err != nil {
		return slot{}, fmt.Errorf("postgres: slot %s: %w", c.connector, err)
	}
	if s.retained, err = strconv.ParseInt(string(r[3]), 10, 64); err != nil {
		return slot{}, fmt.Errorf("postgres: slot %s: %w", c.connector, err)
	}
	if s.walEnd, err = pglogrepl.ParseLSN(string(r[4])); err != nil {
		return slot{}, fmt.Errorf("postgres: slot %s: %w", c.connector, err)
	}
	return s, nil
}
