package statestore

import "time"

// Spec describes a store: its name, types, serdes and how it is kept. The typed specs (KeyValueSpec, WindowSpec, SessionSpec and the others) are the handles that a program declares
// once; Spec is their untyped side, which the topology and the runtime use. Immutable.
type Spec interface {
	// StoreName is the name that the user gave. It is durable: the changelog topic is <app>-<name>-changelog.
	StoreName() string
	// Changelog says how the store's changelog topic is kept.
	Changelog() Changelog
	// IsInMemory says that the user asked for this store to be kept in memory whatever engine the application uses.
	IsInMemory() bool
	// Open returns the store of one task over its part of an engine. What it returns also implements the typed interface of the spec.
	Open(b Backend) (Store, error)
	// Restore begins to fill one partition from its changelog. The partition is not open as a Store meanwhile.
	Restore(p Partition) (Restorer, error)
}

// Restorer turns changelog records into writes of the engine. It belongs to one goroutine.
type Restorer interface {
	// Add puts what one changelog record says into b; value nil is a deletion. A record beyond the store's retention changes nothing. The slices are
	// copied.
	Add(b Batch, key, value []byte, timestamp int64) error
	// Seal adds what the records in b amount to together. Call it once before each Commit of a batch that Add filled.
	Seal(b Batch) error
}

// Changelog is how the changelog topic of a store is kept.
type Changelog struct {
	// Enabled is false for a store that cannot be restored.
	Enabled bool
	// Config holds topic settings by Kafka's names: cleanup.policy, retention.ms and so on, the user's own last.
	Config map[string]string
	// Headers are those of every record of the topic that has a value. The caller must not change them.
	Headers []Header
}

// Backend is what a task gives to a store.
type Backend struct {
	// Partition holds the committed state. The store only reads it; writes go through Stage.
	Partition Partition
	// CacheBytes bounds what the write-back cache keeps of unchanged entries, in bytes.
	CacheBytes int
	// WriteBack says that forwarding to the operators below waits for Flush (Kafka's record cache). Without it every change is forwarded at once.
	WriteBack bool
	// HoldBytes bounds what is held back until Flush, in bytes: when it is more, all of it is forwarded at once, see [Noter]. 0: no bound.
	HoldBytes int
	// StreamTime returns the task's stream time in milliseconds, for stores that forget by the task's time. A window store has a time of its own, the latest start
	// that was put into it, so that it shows the same after a restore.
	StreamTime func() int64
}

// Store is the life of a store inside a task. All changes since the last Committed or Discard are staged in memory; the engine holds only what is committed.
//
//	process … process ── Flush ── Changelog ── (the transaction commits) ── Stage ── (the batch commits) ── Committed
//	                                     └─ (it aborts) ── Discard
//
// A store belongs to one goroutine.
type Store interface {
	StoreName() string
	// Flush hands the entries that the write-back cache held back to the function that the operator registered, in the order of their last change. As in Kafka
	// Streams, a key that had no value and has none again is left out.
	Flush() error
	// StagedBytes is the memory that staged changes take.
	StagedBytes() int
	// Changelog calls emit with the changelog record of every key changed since the last Committed, sorted by key: the last value of each, nil for a deletion. What Flush
	// left out is left out here too.
	// The slices are valid during the call.
	Changelog(emit func(key, value []byte, timestamp int64) error) error
	// Stage adds the same changes, and the expiry of what is beyond the retention, to a batch of the engine.
	Stage(b Batch) error
	// Committed tells that the staged changes are in the engine; they become clean cache entries.
	Committed()
	// Discard forgets all staged changes and cached entries.
	Discard()
	// Close releases memory. The partition is closed by its owner. Idempotent.
	Close() error
}

// DefaultCacheBytes is what the stores of one worker together keep of unchanged entries unless configured otherwise: 128 MiB.
const DefaultCacheBytes = 128 << 20

// ExtraChangelogRetention is added to a window store's retention in its changelog topic, as Kafka Streams does
// (windowstore.changelog.additional.retention.ms): clocks of broker and application differ, and a segment goes as a whole.
const ExtraChangelogRetention = 24 * time.Hour
