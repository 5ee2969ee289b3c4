package postgres

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// tableName is a table's name in its schema.
type tableName struct{ schema, table string }

func (n tableName) String() string { return n.schema + "." + n.table }

// topicPart is the name as a part of a topic's name: Kafka takes letters, digits, dot, underscore and dash. All other bytes, and dashes and dots within schema
// or table, become a dash with two hexadecimal digits, so that no two tables share a topic. [parseTableName] is its inverse.
func (n tableName) topicPart() string {
	return string(append(append(appendEscaped(nil, n.schema), '.'), appendEscaped(nil, n.table)...))
}

func appendEscaped(dst []byte, name string) []byte {
	for _, c := range []byte(name) {
		if c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '-', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// parseTableName reads what topicPart wrote.
func parseTableName(text string) (tableName, error) {
	schema, table, _ := strings.Cut(text, ".")
	n := tableName{unescaped(schema), unescaped(table)}
	if schema == "" || table == "" || n.topicPart() != text {
		return tableName{}, fmt.Errorf("postgres: %q is no table's name", text)
	}
	return n, nil
}

// unescaped undoes appendEscaped; what that never wrote comes out as something else than it was.
func unescaped(text string) string {
	var out []byte
	for i := 0; i < len(text); i++ {
		if text[i] != '-' || i+2 >= len(text) {
			out = append(out, text[i])
			continue
		}
		if b, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
			out = append(out, byte(b))
		}
		i += 2
	}
	return string(out)
}

// quoted is the name as SQL wants it.
func (n tableName) quoted() string { return quoteName(n.schema) + "." + quoteName(n.table) }

// topicOf is the topic of a connector's table.
func topicOf(connector string, name tableName) string { return connector + "." + name.topicPart() }

// quoteName writes an identifier so that SQL takes it as it is.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// column is a column of a table, as the stream or the catalog described it. Immutable.
type column struct {
	name string
	kind *columnType
	key  int    // its place in the primary key, from 0; -1 for other columns
	json []byte // its name with quotes and colon
}

func newColumn(name string, kind *columnType, key int) column {
	return column{name, kind, key, append(appendString(nil, []byte(name)), ':')}
}

// table is a table with one layout of its columns. Immutable: another layout makes another table.
type table struct {
	name    tableName
	parted  bool // a partitioned table, whose partitions have a replica identity each
	topic   string
	columns []column // in their order in the stream
	keys    []int    // indexes into columns, in the order of the primary key
	source  []byte   // the part of "source" that is the same in all records of the table
}

func newTable(name tableName, connector, database string, columns []column) (*table, error) {
	t := &table{name: name, topic: topicOf(connector, name), columns: columns}
	for i, c := range columns {
		if c.key >= 0 {
			t.keys = append(t.keys, i)
		}
	}
	if len(t.keys) == 0 {
		return nil, fmt.Errorf("%w: %s: a change could not be told from another; add one, or leave the table out", ErrNoPrimaryKey, name)
	}
	slices.SortFunc(t.keys, func(a, b int) int { return columns[a].key - columns[b].key })
	text := func(s string) string { return string(appendString(nil, []byte(s))) }
	t.source = fmt.Appendf(nil, `"connector":"postgresql","name":%s,"db":%s,"schema":%s,"table":%s`,
		text(connector), text(database), text(name.schema), text(name.table))
	return t, nil
}

// layout is what the position topic keeps of a table's columns, to tell after a restart whether one has changed its type.
func (t *table) layout() []columnLayout {
	all := make([]columnLayout, len(t.columns))
	for i, c := range t.columns {
		all[i] = columnLayout{Name: c.name, Type: c.kind.name, Key: c.key + 1}
	}
	return all
}

type columnLayout struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Key  int    `json:"key,omitempty"` // its place in the primary key, from 1; 0 for other columns
}

// checkLayout compares a table's layout with the one its topic was written in. New columns and dropped ones are fine, readers of JSON take them in
// their stride; another type or another key is not.
func checkLayout(name tableName, before, now []columnLayout) error {
	for _, old := range before {
		i := slices.IndexFunc(now, func(c columnLayout) bool { return c.Name == old.Name })
		switch {
		case i < 0 && old.Key > 0:
			return fmt.Errorf("%w: %s: column %s of the primary key is gone", ErrTypeChanged, name, old.Name)
		case i < 0:
		case now[i].Type != old.Type:
			return fmt.Errorf("%w: %s: column %s was %s and is %s now", ErrTypeChanged, name, old.Name, old.Type, now[i].Type)
		case now[i].Key != old.Key:
			return fmt.Errorf("%w: %s: column %s has another place in the primary key", ErrTypeChanged, name, old.Name)
		}
	}
	for _, c := range now {
		if c.Key > 0 && !slices.ContainsFunc(before, func(old columnLayout) bool { return old.Name == c.Name }) {
			return fmt.Errorf("%w: %s: the primary key has a new column %s", ErrTypeChanged, name, c.Name)
		}
	}
	return nil
}

// identityAdvice is what to do about a table whose changes do not tell its primary key.
const identityAdvice = "the REPLICA IDENTITY of it and its partitions must be DEFAULT with a primary key that is not deferrable, or FULL"

// A value is one column of a row.
type value struct {
	state valueState
	text  []byte // in Postgres' text form; owned by whoever made the row
}

type valueState uint8

const (
	valueNull      valueState = iota
	valueSet                  // text holds it
	valueUnchanged            // a large value that an update left alone and the log does not repeat (TOAST)
	valueUnknown              // not told: the old row of a delete has its key only
)

// row has a value for each column of a table.
type row []value

// from is where a snapshot reads the table: all partitions of a partitioned one, but no table that inherits, which has a topic of its own.
func (t *table) from() string {
	if t.parted {
		return t.name.quoted()
	}
	return "ONLY " + t.name.quoted()
}

// appendKey appends the record key: the primary key's columns as a JSON object.
func (t *table) appendKey(dst []byte, r row) ([]byte, error) {
	dst = append(dst, '{')
	for i, at := range t.keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		c := &t.columns[at]
		dst = append(dst, c.json...)
		if r[at].state != valueSet {
			return dst, fmt.Errorf("%w: %s: column %s of the primary key is not told: %s, and ask for a new snapshot", ErrNoPrimaryKey, t.name, c.name, identityAdvice)
		}
		var err error
		if dst, err = c.kind.appendJSON(dst, r[at].text); err != nil {
			return dst, fmt.Errorf("%s.%s: %w", t.name, c.name, err)
		}
	}
	return append(dst, '}'), nil
}

// appendRow appends a row as a JSON object. Columns whose value is not known here are left out.
func (t *table) appendRow(dst []byte, r row) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	for i := range t.columns {
		v, c := &r[i], &t.columns[i]
		if v.state == valueUnchanged || v.state == valueUnknown {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, c.json...)
		if v.state == valueNull {
			dst = append(dst, "null"...)
			continue
		}
		var err error
		if dst, err = c.kind.appendJSON(dst, v.text); err != nil {
			return dst, fmt.Errorf("%s.%s: %w", t.name, c.name, err)
		}
	}
	return append(dst, '}'), nil
}

// unchanged are the names of the columns that r leaves untold, as a JSON array; empty when there are none.
func (t *table) unchanged(r row) []byte {
	var names []string
	for i := range r {
		if r[i].state == valueUnchanged {
			names = append(names, t.columns[i].name)
		}
	}
	if names == nil {
		return nil
	}
	b, err := json.Marshal(names)
	if err != nil {
		panic(err) // strings always encode
	}
	return b
}
