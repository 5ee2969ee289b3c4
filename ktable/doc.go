// Package ktable is the typed language of tables: what a stream of records amounts to by key. A table comes from a topic ([From]) or from grouped records
// ([Count], [Reduce], [Aggregate], their forms for windows and sessions, and [Cogroup] of several streams) or from the rows of another table ([GroupBy]), can be
// filtered and mapped, enriches streams ([JoinStream]), and becomes a stream of its changes with [ToStream].
//
//	counts := statestore.KeyValue("counts", serde.String, serde.Int64)
//
//	grouped := stream.GroupBy(words, func(_, w string) string { return w }, byWord)
//	stream.To(ktable.ToStream(ktable.Count(grouped, counts)), wordCounts)
//
// A table that holds state is given the handle of its store, whose name is durable; the same handle reads it in tests and queries. A table that only filters
// or maps another computes its rows on the fly unless it is given a store too.
//
// The store of a filtered, mapped, joined or regrouped table is of either kind: given a [statestore.VersionedSpec], the table knows its past as one of [FromVersioned] does.
// A result that is older than the latest goes into the past, and one that is older than the history is dropped and counted.
//
// # Rows and null
//
// A null value in a table's topic deletes the row, and an aggregate that becomes null (of a type that has a null, see package stream) removes its row; the next
// record of the key begins again. Functions over rows are not called for rows that are gone. Records with a null key are dropped and counted; records
// with a null value too, except in windowed aggregations, whose functions see them as described in package stream.
//
// # Joins
//
// Tables of equal keys and partition counts join by key ([Join], [LeftJoin], [OuterJoin]). Tables of which one refers to the keys of the other join by foreign key
// ([JoinForeign]), however they are partitioned. A stream finds the rows of a table as they are when its record comes ([JoinStream]) or, in a table that knows
// its past ([FromVersioned]), as they were at the record's time; it can wait for changes that come late ([JoinStreamLate]).
//
// # Global tables
//
// A table of which every instance has a whole copy ([FromGlobal]) can be looked up by any key, whatever the stream is partitioned by ([JoinGlobal]). It has no order with the
// records of streams: a change counts from when it arrives.
//
// # Times
//
// A result has the highest time of the records that made it; a join's result has the time of the stream's record. Windows take a record as long as their end is
// later than the highest time seen by the aggregation minus the grace; what comes later is dropped and counted, window by window.
//
// # Commits
//
// In an application the rows that change between two commits go on once, with their last value; a store's WithoutCache option lets every change go on at
// once. Neither changes a row's last value.
package ktable
