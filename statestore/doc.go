// Package statestore says what state looks like: typed specs (name, serdes, retention), the typed store interfaces that operators and processors use, the
// write-back cache between them and the engine, and the [Engine] interface that memstore and diskstore implement.
//
// A store never writes to its engine while records are processed. Changes are staged in memory, go to the changelog topic with the transaction, and reach
// the engine in one atomic batch, together with the changelog offset, after the transaction committed. A crash therefore never leaves uncommitted state behind,
// and a restart reads only the changelog's tail.
package statestore
