package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/ktable"
	"github.com/millrace-io/millrace/statestore"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/serde"
)

// Change is what happened to one row, as the value of a table's topic: Debezium's envelope. V is a struct whose JSON names are the columns'.
type Change[V any] struct {
	// Before is the row as it was: whole with REPLICA IDENTITY FULL, with the primary key only for other deletes, else nil.
	Before *V `json:"before"`
	// After is the row as it is; nil after a delete.
	After  *V     `json:"after"`
	Source Origin `json:"source"`
	Op     Op     `json:"op"`
	// Millis is when the connector saw the change, in Unix milliseconds.
	Millis int64 `json:"ts_ms"`
	// Unchanged are the columns that After does not tell: large values that the update left alone and the write-ahead log does not repeat. In After they
	// have their zero value, which is not what the database holds. With REPLICA IDENTITY FULL the database tells them.
	Unchanged []string `json:"unchanged,omitempty"`
}

// Origin is where a change comes from, by Debezium's names.
type Origin struct {
	Connector string `json:"connector"` // postgresql
	Name      string `json:"name"`      // of the connector
	Database  string `json:"db"`
	Schema    string `json:"schema"`
	Table     string `json:"table"`
	Millis    int64  `json:"ts_ms"`    // when the transaction committed, by the database's clock, in Unix milliseconds
	Snapshot  string `json:"snapshot"` // "true" or "false"
	TxID      int64  `json:"txId"`     // 0 for a snapshot
	LSN       uint64 `json:"lsn"`      // of the change; of the snapshot's place
}

// NewTopic is the handle of a table's topic. K is a struct with the primary key's columns, V one with those of the row's columns that the program wants.
func NewTopic[K, V any](name string) stream.Topic[K, Change[V]] {
	return stream.NewTopic(name, serde.JSON[K](), serde.JSON[Change[V]]())
}

// Table reads a table's topic as a table of rows, kept in store. An update that does not tell all of its row is a fault of the record, with what to do:
// a row that is half old would be a wrong answer.
func Table[K, V any](b *stream.Builder, topic stream.Topic[K, Change[V]], store *statestore.KeyValueSpec[K, V], opts ...stream.SourceOption) *ktable.Table[K, V] {
	changes := ktable.From(b, topic, nil, opts...)
	rows := ktable.Filter(changes, func(_ K, c Change[V]) bool { return c.After != nil })
	return ktable.MapValuesCtx(rows, func(_ context.Context, _ K, c Change[V]) (V, error) {
		if len(c.Unchanged) > 0 {
			var none V
			return none, fmt.Errorf("postgres: the update of %s.%s does not tell column %s, which it left alone: ALTER TABLE %[1]s.%[2]s REPLICA IDENTITY FULL",
				c.Source.Schema, c.Source.Table, strings.Join(c.Unchanged, ", "))
		}
		return *c.After, nil
	}, store)
}
