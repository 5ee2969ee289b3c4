package postgres

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"
)

// The position topic, <name>-position, has one partition and is compacted. Its records:
//
//	key <name>                          value {"version":1,"system":"7412…","database":"shop","lsn":"0/16B3748"}
//	key <name>/<schema>.<table>         value {"identity":"16384/16390","columns":[{"name":"id","type":"int8","key":true},…],"snapshot":{"xmin":…,"xmax":…,"lsn":…},"topic":"RjB…","partitions":4}
//
// Schema and table are written as in the topic's name. A table's record comes with its snapshot, in the same transaction as the snapshot's rows, and again when its columns change.
const (
	positionVersion = 1
	positionSuffix  = "-position"
)

// position is what is committed in the log.
type position struct {
	main   *mainPosition // nil: the connector has never run
	tables map[tableName]*tablePosition
}

type mainPosition struct {
	Version  int    `json:"version"`
	System   string `json:"system"` // the database cluster's identifier, the same after a failover to a physical copy
	Database string `json:"database"`
	LSN      string `json:"lsn"` // everything that committed before it is in the topics, as far as the tables' snapshots were taken
}

type tablePosition struct {
	// Identity tells the table from another one of its name, and its place in the publication from another one: the server's ids of the two, ID/ID.
	Identity string         `json:"identity"`
	Columns  []columnLayout `json:"columns"`
	Snapshot visibility     `json:"snapshot"`
	// Topic and Partitions tell the topic that the rows are in: its id, and how many partitions its keys are spread over. Earlier versions did not write them.
	Topic      string `json:"topic,omitempty"`
	Partitions int    `json:"partitions,omitempty"`
}

// of finds the table that the server calls id: by that, since the stream may tell of a time when the table had another name.
func (p *position) of(id uint32) (tableName, *tablePosition) {
	prefix := fmt.Sprint(id, "/")
	for name, t := range p.tables {
		if strings.HasPrefix(t.Identity, prefix) {
			return name, t
		}
	}
	return tableName{}, nil
}

// load takes one record of the position topic.
func (p *position) load(connector string, key, value []byte) error {
	name, table, isTable := strings.Cut(string(key), "/")
	if name != connector {
		return nil
	}
	if isTable {
		of, err := parseTableName(table)
		if err != nil {
			return err
		}
		if len(value) == 0 {
			delete(p.tables, of)
			return nil
		}
		t := new(tablePosition)
		if err := json.Unmarshal(value, t); err != nil {
			return fmt.Errorf("postgres: position of table %s: %w", table, err)
		}
		p.tables[of] = t
		return nil
	}
	m := new(mainPosition)
	if err := json.Unmarshal(value, m); err != nil {
		return fmt.Errorf("postgres: position of %s: %w", name, err)
	}
	if m.Version != positionVersion {
		return fmt.Errorf("postgres: the position of %s has version %d, this program knows %d: use the newer program", name, m.Version, positionVersion)
	}
	p.main = m
	return nil
}

func (m *mainPosition) lsn() (pglogrepl.LSN, error) {
	at, err := pglogrepl.ParseLSN(m.LSN)
	if err != nil {
		return 0, fmt.Errorf("postgres: committed position: %w", err)
	}
	return at, nil
}

func tableKey(connector string, name tableName) []byte {
	return []byte(connector + "/" + name.topicPart())
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs of strings and numbers
	}
	return b
}
