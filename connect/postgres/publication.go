package postgres

import (
	"context"
	"fmt"
	"strings"
)

// published is what the publication holds.
type published struct {
	exists bool
	tables map[tableName]string // with their identities: see tablePosition
}

// published reads the publication, and refuses one that holds back changes of the tables in wanted.
func (c *catalog) published(ctx context.Context, wanted []tableName) (*published, error) {
	p := &published{tables: make(map[tableName]string)}
	rows, err := c.query(ctx, `select pubinsert and pubupdate and pubdelete and pubtruncate, pubviaroot from pg_publication where pubname = $1`, c.connector)
	if err != nil || len(rows) == 0 {
		return p, err
	}
	p.exists = true
	if string(rows[0][0]) != "t" {
		return nil, fmt.Errorf("%w: publication %s leaves out kinds of changes: ALTER PUBLICATION %[2]s SET (publish = 'insert, update, delete, truncate'), and ask for a new snapshot",
			errUnfit, c.connector)
	}
	viaRoot := string(rows[0][1]) == "t"
	rows, err = c.query(ctx, `select n.nspname, c.relname, c.oid::text || '/' || coalesce(r.oid::text, ''), to_jsonb(r) ->> 'prqual' is not null, to_jsonb(r) ->> 'prattrs' is not null
		from pg_publication p join pg_publication_tables t on t.pubname = p.pubname join pg_namespace n on n.nspname = t.schemaname
		join pg_class c on c.relnamespace = n.oid and c.relname = t.tablename left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid
		where p.pubname = $1`, c.connector)
	if err != nil {
		return nil, err
	}
	narrowed := make(map[tableName]string)
	for _, r := range rows {
		name := tableName{string(r[0]), string(r[1])}
		p.tables[name] = string(r[2])
		if string(r[3]) == "t" {
			narrowed[name] = "has a row filter"
		} else if string(r[4]) == "t" {
			narrowed[name] = "names columns"
		}
	}
	for _, name := range wanted {
		if what := narrowed[name]; what != "" {
			return nil, fmt.Errorf("%w: publication %s %s for table %s: publish all of it, and ask for a new snapshot", errUnfit, c.connector, what, name)
		}
	}
	if viaRoot {
		return p, nil
	}
	for _, name := range wanted {
		kind, err := c.one(ctx, `select relkind from pg_class where oid = to_regclass($1)`, name.quoted())
		if err != nil {
			return nil, err
		}
		if kind == "p" {
			return nil, fmt.Errorf("%w: publication %s gives the partitions of %s: ALTER PUBLICATION %[2]s SET (publish_via_partition_root = true), and ask for a new snapshot",
				errUnfit, c.connector, name)
		}
	}
	return p, nil
}

// publish adds tables to the publication, or makes it with them. Tables that inherit from another are tables of their own.
func (c *catalog) publish(ctx context.Context, names []tableName, exists bool) error {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "ONLY " + n.quoted()
	}
	list := strings.Join(quoted, ", ")
	if exists {
		return c.exec(ctx, fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s", quoteName(c.connector), list))
	}
	return c.exec(ctx, fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (publish_via_partition_root = true)", quoteName(c.connector), list))
}
