// Package statestore says what state looks like: typed specs (name, serdes, retention), the typed store interfaces that operators and processors use, the
// write-back cache between them and the engine, and the [Engine] interface that memstore and diskstore implement.
//
// The kinds of stores are [KeyValue] (the latest value of each key), [Versioned] (what a key had at which time), [Window] and [Session] (values by key and time),
// and those that operators make for themselves: [JoinWindow] and [Unmatched] for joins of two streams, [Buffer] for changes that are held back, [GraceBuffer] for
// records that wait for a table.
//
// A store never writes to its engine while records are processed. Changes are staged in memory, go to the changelog topic with the transaction, and reach
// the engine in one atomic batch, together with the changelog offset, after the transaction committed. A crash therefore never leaves uncommitted state behind,
// and a restart reads only the changelog's tail.
//
// # Changelogs of Kafka Streams
//
// Keys and values in changelogs are encoded as Kafka Streams encodes them, so that a store can be restored from a changelog of either. The golden cases hold both
// against each other; these are the differences:
//
//   - a key that changes several times between two commits is written once, with its last value, and the keys of a commit are sorted; only the order within one key
//     is the same;
//   - a window or session that is too old to be kept, and a version older than the history, is not written: nobody could read it;
//   - a versioned store says the latest version of a key again after one of its past, at the end of the commit: in Kafka Streams' changelog a late record that compaction
//     leaves as the only one of its key would win;
//   - records of buffers have a timestamp, where Kafka Streams' have none, and those of changes that a write-back cache handed on name no topic and offset;
//   - the headers of records are not written to the changelogs of joins, where nothing reads them;
//   - the sequence numbers of join windows and of records that wait for a table count what is stored, not what was refused.
package statestore
