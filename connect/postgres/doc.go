// Package postgres brings the changes of a Postgres database into the log: a snapshot of its tables first, then every row that is inserted, updated
// or deleted, in the order in which transactions committed.
//
//	source, err := postgres.New(postgres.Config{Database: "postgres://…", Tables: []string{"orders", "items"}, Brokers: []string{"127.0.0.1:9092"}})
//	…
//	err = source.Run(ctx) // beside a topology, or alone: millrace cdc postgres
//
// A topology reads a table's topic as a table in one line:
//
//	orders := postgres.Table(b, postgres.NewTopic[OrderKey, Order]("shop.public.orders"), orderStore)
//
// # Promises
//
//   - Every committed change is in its topic exactly once for readers with read_committed, whatever is killed when: the records of whole database
//     transactions and the position in the write-ahead log they end at are one transaction of the log. What the slot sends again is skipped.
//   - The changes of a table appear in commit order, and those of a key within one partition.
//   - The snapshot meets the stream without a gap and without an overlap: a change that a table's snapshot already shows is not sent again.
//   - The slot advances only behind what is committed in the log. It advances on a quiet table too, so that no write-ahead log piles up.
//   - Memory is bounded: a transaction of any size passes through piece by piece, and a slow log holds up the slot's reading.
//   - What would make the topics wrong ends in an error that says what to do, never in silence: a slot that is gone, a table dropped or truncated, a
//     column of another type, a table without a primary key.
//
// # How it works
//
//	           one logical replication slot, plugin pgoutput
//	Postgres ────────────────────────────────▶ receiver ─chunks─▶ decoder ─records─▶ sink ──▶ <name>.<schema>.<table>, one topic a table
//	   ▲                                          │ status                             │      <name>-position, compacted
//	   └──────────────────────────────────────────┴──────── confirmed position ◀───────┘
//
// The value of a record is Debezium's envelope as JSON, its key the primary key; [Change] is its Go form. A delete is followed by a tombstone.
//
// A table's snapshot is read in one database transaction that begins after the slot exists, and is written in one transaction of the log, together
// with the snapshot's visibility (the xmin, xmax and running transactions of pg_current_snapshot). While the stream passes that place, changes of
// transactions that the snapshot saw are left out. The same way serves a first start, a start after a kill in the middle, and a table that joins later.
package postgres
