package statestore

import "github.com/millrace-io/millrace/stream/serde"

// TableSpec is the handle of a store that can keep the rows of a table: a [KeyValueSpec], or a [VersionedSpec] for a table that knows its past. There is no other.
type TableSpec[K, V any] interface {
	Spec
	// KeySerde is the serde of the rows' keys.
	KeySerde() serde.Serde[K]
	// ValueSerde is the serde of the rows.
	ValueSerde() serde.Serde[V]
	keepsRows()
}

func (*KeyValueSpec[K, V]) keepsRows() {}

func (*VersionedSpec[K, V]) keepsRows() {}
