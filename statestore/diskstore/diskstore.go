package diskstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace-io/millrace/statestore"
)

var _ statestore.Engine = (*Engine)(nil)

// Engine is a statestore.Engine on disk.
type Engine struct {
	dir     string
	options Options // immutable
	db      *pebble.DB
	lock    *pebble.Lock
	cache   *pebble.Cache

	life struct {
		sync.RWMutex
		closed bool
	}
	users sync.WaitGroup // reads, walks and commits under way; grows only with life held for reading

	mu struct {
		sync.Mutex
		numbers map[partitionID]uint32
		next    uint32
		open    map[uint32]bool
	}
	idle     iteratorPool
	failure  failure
	flushing flushClock
}

type partitionID struct {
	store     string
	partition int32
}

// ErrLocked says that another process, or another engine of this one, uses the directory.
var ErrLocked = errors.New("diskstore: the directory is in use")

var errClosed = errors.New("diskstore: the engine is closed")

// Open opens the database in a directory, which it makes if need be, and locks the directory until Close.
func Open(dir string, o Options) (*Engine, error) {
	o = o.withDefaults()
	if err := o.FS.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("diskstore: make %s: %w", dir, err)
	}
	lock, err := pebble.LockDirectory(dir, o.FS)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: give each process a state directory of its own, or stop the other one (%v)", ErrLocked, dir, err)
	}
	e, err := open(dir, o, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return e, nil
}

func open(dir string, o Options, lock *pebble.Lock) (e *Engine, err error) {
	defer func() { // Pebble panics where a failed write leaves it no way on; while it opens, nothing is lost by an error instead
		r := recover()
		failed, isError := r.(error)
		if _, bug := r.(runtime.Error); bug || r != nil && !isError {
			panic(r)
		}
		if isError {
			e, err = nil, fmt.Errorf("diskstore: open %s: %w", dir, failed)
		}
	}()
	if err := checkFormat(o.FS, dir); err != nil {
		return nil, err
	}
	e = &Engine{dir: dir, options: o, lock: lock, cache: pebble.NewCache(o.pebbleCacheBytes())}
	p := o.pebbleOptions()
	p.Cache, p.Lock = e.cache, lock
	p.EventListener = e.failure.listener(o.Logger, e.leaveMark)
	db, err := e.openOrRebuild(p)
	if err != nil {
		e.cache.Unref()
		return nil, fmt.Errorf("diskstore: open %s: %w", dir, err)
	}
	e.db = db
	e.flushing.last = o.Now()
	if err := e.loadNumbers(); err != nil {
		return nil, errors.Join(err, e.closeDB())
	}
	return e, nil
}

// enter begins a use of the database; call users.Done at its end.
func (e *Engine) enter() error {
	e.life.RLock()
	defer e.life.RUnlock()
	if e.life.closed {
		return errClosed
	}
	e.users.Add(1)
	return nil
}

// Partition opens a partition, which is empty the first time.
func (e *Engine) Partition(store string, number int32) (statestore.Partition, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.users.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	id := partitionID{store, number}
	n, known := e.mu.numbers[id]
	if !known {
		n = e.mu.next
		if err := e.db.Set(numberKey(id), binary.BigEndian.AppendUint32(nil, n), pebble.NoSync); err != nil {
			return nil, fmt.Errorf("diskstore: %s: number partition %d of store %q: %w", e.dir, number, store, err)
		}
		e.mu.next++
		e.mu.numbers[id] = n
	}
	if e.mu.open[n] {
		return nil, fmt.Errorf("diskstore: partition %d of store %q is open already", number, store)
	}
	e.mu.open[n] = true
	return newPartition(e, id, n), nil
}

// NewBatch returns an empty batch.
func (e *Engine) NewBatch() statestore.Batch { return &batch{engine: e} }

// Flush makes everything that is committed durable. On a disk that takes nothing it returns the error; the commits are kept, and written when there is room again.
func (e *Engine) Flush() error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.users.Done()
	if err := e.flush(); err != nil {
		return fmt.Errorf("diskstore: flush %s: %w", e.dir, err)
	}
	return nil
}

// flush is Flush. Another flush is asked for only when the last one did not fail: it would wait for room in memory, behind those that fail.
func (e *Engine) flush() error {
	if err := e.failure.outlast(nil); err != nil {
		return err
	}
	flushed, err := e.db.AsyncFlush()
	if err != nil {
		return err
	}
	return e.failure.outlast(flushed)
}

// Close flushes, closes the database and unlocks the directory. It waits for reads and walks that are under way, and not for a disk that takes nothing: what was not
// flushed is then gone, as after a crash.
func (e *Engine) Close() error {
	e.life.Lock()
	closed := e.life.closed
	e.life.closed = true
	e.life.Unlock()
	if closed {
		return nil
	}
	e.users.Wait()
	e.idle.clear()
	if err := errors.Join(e.flush(), e.closeDB(), e.lock.Close()); err != nil {
		return fmt.Errorf("diskstore: close %s: %w", e.dir, err)
	}
	return nil
}

func (e *Engine) closeDB() error {
	err := e.db.Close()
	e.cache.Unref()
	return err
}

// flushClock says when the next flush is due.
type flushClock struct {
	mu   sync.Mutex
	last time.Time // guarded by mu
}

// due says whether the interval has passed, and starts the next one.
func (c *flushClock) due(now time.Time, interval time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.last) < interval {
		return false
	}
	c.last = now
	return true
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) || os.IsNotExist(err) }
