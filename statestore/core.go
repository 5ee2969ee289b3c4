package statestore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/statestore/internal/overlay"
)

// timestampBytes is the time before each value in the engine:
//
//	┌──────────────┬─────────────┐
//	│ timestamp  8 │ value     n │   big-endian ms since 1970; the changelog has the plain value and the time as the record's
//	└──────────────┴─────────────┘
const timestampBytes = 8

// layout maps a store's keys to those of the engine. A store's key is what its changelog has as record key.
type layout interface {
	// engineKey appends the engine's key for key to dst.
	engineKey(dst, key []byte) []byte
}

// plain is the layout of a store whose keys are the engine's.
type plain struct{}

func (plain) engineKey(dst, key []byte) []byte { return append(dst, key...) }

// prefixed is the layout of keys that share the engine with others: a byte goes before each.
type prefixed byte

func (p prefixed) engineKey(dst, key []byte) []byte { return append(append(dst, byte(p)), key...) }

// core is the part of a store below its types: staged changes and cached entries in an overlay over one partition of an engine. Values are timestamp | bytes.
// A kind of store adds its key format and its layout. Owned by the task's goroutine.
type core struct {
	name      string
	partition Partition
	layout    layout
	table     *overlay.Table
	writeBack bool
	holdBytes int // 0: no bound

	// absent says that the engine has nothing for a key, as far as that is known without a read. nil: never known.
	absent func(key []byte) bool

	// expired says that a value is too old to be seen. nil: none is.
	expired func(value []byte) bool

	flush   func(overlay.Pending) error // set by OnFlush
	withOld bool
	noted

	engineKey []byte // scratch
	value     []byte // scratch: what get read from the engine
	encoded   []byte // scratch: timestamp | value of a change
}

func newCore(name string, b Backend, cached bool, l layout) core {
	return core{name: name, partition: b.Partition, layout: l, table: overlay.New(b.CacheBytes), writeBack: b.WriteBack && cached, holdBytes: b.HoldBytes}
}

// StoreName is the name that the user gave.
func (c *core) StoreName() string { return c.name }

// fail names the store in an error of its engine or serdes.
func (c *core) fail(doing string, err error) error {
	return &failure{store: c.name, doing: doing, err: err}
}

// ErrFailed is what errors.Is finds in the errors of a store that cannot read or keep what it has: its engine failed, or its data is damaged. That is the fault of no
// record.
var ErrFailed = errors.New("the store failed")

// failure is such an error.
type failure struct {
	store, doing string
	err          error
}

func (f *failure) Error() string {
	return fmt.Sprintf("statestore: store %q: %s: %v", f.store, f.doing, f.err)
}
func (f *failure) Unwrap() error        { return f.err }
func (f *failure) Is(target error) bool { return target == ErrFailed }

// ErrEncoding is wrapped by the errors of a store about a key or value that its serde cannot encode: the fault of what was to be stored, not of the store.
var ErrEncoding = errors.New("cannot be encoded")

// unencodable names the store in an error of a serde.
func (c *core) unencodable(what string, err error) error { return unencodable(c.name, what, err) }

func unencodable(store, what string, err error) error {
	return fmt.Errorf("statestore: store %q: %s %w: %w", store, what, ErrEncoding, err)
}

// get returns timestamp | value of a key, valid until the store's next call.
func (c *core) get(key []byte) (value []byte, found bool, err error) {
	if v, has, known := c.table.Get(key); known {
		return v, has, nil
	}
	if c.absent != nil && c.absent(key) {
		return nil, false, nil // not worth an entry: it is as quick to know again
	}
	if value, found, err = c.read(key); err != nil {
		return nil, false, err
	}
	c.table.Fill(key, value, found)
	return value, found, nil
}

// read returns what the engine has for a key, valid until the next read.
func (c *core) read(key []byte) ([]byte, bool, error) {
	c.engineKey = c.layout.engineKey(c.engineKey[:0], key)
	v, found, err := c.partition.Get(c.value[:0], c.engineKey)
	if err != nil {
		return nil, false, c.fail("get", err)
	}
	if v != nil {
		c.value = v
	}
	if found && len(v) < timestampBytes {
		return nil, false, errShortValue(c.name, len(v))
	}
	return v, found, nil
}

// delete stages a deletion.
func (c *core) delete(key []byte, timestamp int64) {
	c.encoded = binary.BigEndian.AppendUint64(c.encoded[:0], uint64(timestamp))
	c.table.Delete(key, c.encoded)
}

// timeOf returns the timestamp before a value.
func timeOf(v []byte) int64 { return int64(binary.BigEndian.Uint64(v)) }

// onFlush registers who gets the pending changes. It returns false when changes are not held back.
func (c *core) onFlush(withOld bool, flush func(overlay.Pending) error) bool {
	if !c.writeBack {
		return false
	}
	c.table.Track(withOld || c.expired != nil)
	c.flush, c.withOld = flush, withOld
	return true
}

// Flush forwards what was held back. As in Kafka, a key that had no value and has none again is not forwarded, and not written either.
func (c *core) Flush() error {
	for {
		p, ok := c.table.TakePending()
		if !ok {
			c.forget()
			return nil
		}
		c.current = c.byKey[string(p.Key)]
		if p.Old == overlay.OldUnknown && (c.withOld || !p.Has) {
			if err := c.readOld(&p); err != nil {
				return err
			}
		}
		if !p.Has && p.Old == overlay.OldAbsent && p.Committed {
			c.table.Settle(&p)
		}
		if p.Old == overlay.OldPresent && c.expired != nil && c.expired(p.OldValue) {
			p.Old, p.OldValue = overlay.OldAbsent, nil
		}
		if !p.Has && p.Old == overlay.OldAbsent {
			continue
		}
		if err := c.flush(p); err != nil {
			return err
		}
	}
}

// readOld completes a pending change with the engine's value, which is that of the last commit.
func (c *core) readOld(p *overlay.Pending) error {
	p.Old = overlay.OldAbsent
	if c.absent != nil && c.absent(p.Key) {
		return nil
	}
	v, found, err := c.read(p.Key)
	if found {
		p.Old, p.OldValue = overlay.OldPresent, v
	}
	return err
}

// StagedBytes is the memory that staged changes take.
func (c *core) StagedBytes() int { return c.table.StagedBytes() }

// Changelog calls emit for every staged change, sorted by key, but for those that Flush found to be none.
func (c *core) Changelog(emit func(key, value []byte, timestamp int64) error) error {
	sorted := c.table.Sorted()
	for n, i := range sorted {
		c.table.WarmSorted(sorted, n)
		if c.table.Settled(i) {
			continue
		}
		key, v, has := c.table.EntryAt(i)
		var value []byte
		if has {
			value = v[timestampBytes:]
		}
		if err := emit(key, value, timeOf(v)); err != nil {
			return err
		}
	}
	return nil
}

// Stage adds every staged change to a batch.
func (c *core) Stage(b Batch) error {
	sorted := c.table.Sorted()
	for n, i := range sorted {
		c.table.WarmSorted(sorted, n)
		if c.table.Settled(i) {
			continue
		}
		key, v, has := c.table.EntryAt(i)
		c.engineKey = c.layout.engineKey(c.engineKey[:0], key)
		var err error
		if has {
			err = b.Set(c.partition, c.engineKey, v)
		} else {
			err = b.Delete(c.partition, c.engineKey)
		}
		if err != nil {
			return c.fail("stage", err)
		}
	}
	return nil
}

// Committed makes staged changes clean cache entries.
func (c *core) Committed() { c.table.Commit() }

// Discard forgets staged changes and cached entries.
func (c *core) Discard() {
	c.forget()
	c.table.Discard()
}

// Close releases the memory.
func (c *core) Close() error {
	c.table.Discard()
	return nil
}
