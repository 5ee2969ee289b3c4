package statestore

// Engine is one database on one medium that holds every store of an application instance. Reads may come from any goroutine; a partition has one writer at
// a time. The engines are memstore and diskstore.
type Engine interface {
	// Partition opens the part of the engine that holds one partition of the named store. It may be open once at a time.
	Partition(store string, partition int32) (Partition, error)
	// NewBatch returns an empty batch. Batches of different goroutines are independent of each other.
	NewBatch() Batch
	// Flush makes everything that is committed durable. Commits do not wait for that: after a crash the last of them may be missing, and come back from the
	// changelog.
	Flush() error
	// Close releases the engine. Partitions and batches must not be used afterwards. Idempotent.
	Close() error
}

// Partition is one partition of one store inside an [Engine]: an ordered map of bytes, compared as unsigned bytes, and a checkpoint.
type Partition interface {
	// Get appends the value of key to dst. found tells a stored empty value from no value.
	Get(dst, key []byte) (value []byte, found bool, err error)
	// Scan returns the entries with keys in [lo, hi), a nil bound being open, in key order or backwards. It sees the state as of the call.
	Scan(lo, hi []byte, reverse bool) (Iterator, error)
	// Checkpoint returns what the last committed batch set with SetCheckpoint, nil when none did. The caller owns the slice.
	Checkpoint() ([]byte, error)
	// Wipe removes all entries and the checkpoint, atomically.
	Wipe() error
	// Close ends the use of this partition and keeps its data. Idempotent.
	Close() error
}

// Iterator walks over entries. Key and Value are valid until the next call of Next or Close; the caller must not change them.
//
//	for it.Next() { use(it.Key(), it.Value()) }
//	err := it.Close() // also reports what stopped Next
type Iterator interface {
	Next() bool
	Key() []byte
	Value() []byte
	Close() error
}

// Batch collects writes to any number of partitions of one engine and applies them atomically: after a crash either all of a batch is there or none, and
// a later batch never without the earlier ones. Slices are copied by the call that takes them.
type Batch interface {
	Set(p Partition, key, value []byte) error
	Delete(p Partition, key []byte) error
	// DeleteRange removes all keys in [lo, hi), a nil bound being open.
	DeleteRange(p Partition, lo, hi []byte) error
	// SetCheckpoint records with the batch how far of the changelog the partition holds. The bytes are the caller's own format.
	SetCheckpoint(p Partition, checkpoint []byte) error
	// Size is the number of bytes collected so far, roughly.
	Size() int
	// Commit applies the batch and empties it for further use.
	Commit() error
	// Close releases the batch without applying what it holds. Idempotent.
	Close() error
}
