package statestore

import "encoding/binary"

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
