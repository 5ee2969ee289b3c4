package statestore

import (
	"fmt"

	"github.com/millrace-io/millrace/stream/serde"
)

// walker is a walk over encoded entries: merged over a store, engineWalk over committed state.
type walker interface {
	next() bool
	entry() (key, value []byte)
	close() error
}

func (m *merged) entry() (key, value []byte) { return m.key, m.value }

// engineWalk is a walk over an engine alone.
type engineWalk struct{ Iterator }

func (w engineWalk) next() bool                 { return w.Next() }
func (w engineWalk) entry() (key, value []byte) { return w.Key(), w.Value() }
func (w engineWalk) close() error               { return w.Close() }

// walkEntries decodes and yields what a walk finds, and its error last. It closes the walk and says whether to go on with another one.
func walkEntries[E any](w walker, decode func(key, value []byte) (E, error), yield func(E, error) bool) bool {
	var none E
	open := true
	defer func() { // a panic of the loop's body must not leave the engine's iterator open
		if open {
			w.close()
		}
	}()
	for w.next() {
		e, err := decode(w.entry())
		if err != nil {
			yield(none, err)
			return false
		}
		if !yield(e, nil) {
			return false
		}
	}
	open = false
	if err := w.close(); err != nil {
		yield(none, err)
		return false
	}
	return true
}

// decodeEntry decodes an entry of a key-value store.
func decodeEntry[K, V any](store string, keys serde.Serde[K], values serde.Serde[V], key, value []byte) (e Entry[K, V], err error) {
	if e.Key, err = keys.Decode(key); err != nil {
		return e, &failure{store: store, doing: "decode a key", err: err}
	}
	if e.Value, err = decodeValue(store, values, value); err != nil {
		return e, err
	}
	e.Timestamp = timeOf(value)
	return e, nil
}

// decodeValue decodes timestamp | value.
func decodeValue[V any](store string, values serde.Serde[V], v []byte) (value V, err error) {
	if len(v) < timestampBytes {
		return value, errShortValue(store, len(v))
	}
	if value, err = values.Decode(v[timestampBytes:]); err != nil {
		return value, &failure{store: store, doing: "decode a value", err: err}
	}
	return value, nil
}

// errShortValue reports a value in the engine that no store wrote.
func errShortValue(store string, n int) error {
	return fmt.Errorf("statestore: store %q: a value of %d bytes in the engine, want %d or more: its data is damaged, or of another program", store, n, timestampBytes)
}
