package statestore

import (
	"encoding/binary"
	"fmt"
)

// keyValueRestorer fills a key-value store: a record is an entry.
type keyValueRestorer struct {
	partition Partition
	value     []byte // scratch
}

func (r *keyValueRestorer) Add(b Batch, key, value []byte, timestamp int64) error {
	if value == nil {
		return b.Delete(r.partition, key)
	}
	r.value = append(binary.BigEndian.AppendUint64(r.value[:0], uint64(timestamp)), value...)
	return b.Set(r.partition, key, r.value)
}

func (r *keyValueRestorer) Seal(Batch) error { return nil }

// checkedRestorer is a keyValueRestorer that refuses what is not of its store's format.
type checkedRestorer struct {
	name   string
	values keyValueRestorer
	check  func(key, value []byte) error // value is nil for a deletion
}

func (r *checkedRestorer) Add(b Batch, key, value []byte, timestamp int64) error {
	if err := r.check(key, value); err != nil {
		return fmt.Errorf("statestore: store %q: the changelog has %w: it is not this store's changelog", r.name, err)
	}
	return r.values.Add(b, key, value, timestamp)
}

func (r *checkedRestorer) Seal(Batch) error { return nil }
