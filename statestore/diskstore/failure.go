package diskstore

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// failure is the error of the last flush, if it failed. Pebble tries a failed flush again by itself and lets commits wait once its memtables are full; with the
// failure known, a commit says why instead. A flush that succeeds ends it.
type failure struct {
	last atomic.Pointer[error]

	mu    sync.Mutex
	ended chan struct{} // closed when the next flush ends, well or not; nil while nobody waits for it; guarded by mu
}

func (f *failure) get() error {
	if err := f.last.Load(); err != nil {
		return *err
	}
	return nil
}

// next is closed when the next flush has ended.
func (f *failure) next() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended == nil {
		f.ended = make(chan struct{})
	}
	return f.ended
}

// set notes how a flush has ended.
func (f *failure) set(err *error) {
	f.last.Store(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended != nil {
		close(f.ended)
		f.ended = nil
	}
}

// flushTries is how often a flush may fail before nobody waits for it any more. Pebble itself never gives up.
const flushTries = 3

// outlast waits until flushed is closed or, if it is nil, until no flush has failed last. It gives up with the error of a flush that fails again and again.
func (f *failure) outlast(flushed <-chan struct{}) error {
	for tries := 1; ; tries++ {
		next, err := f.next(), f.get()
		switch {
		case err == nil && flushed == nil:
			return nil
		case err != nil && tries > flushTries:
			return err
		}
		select {
		case <-flushed:
			return nil
		case <-next:
		}
	}
}

// emptyFlush is the text of Pebble's unexported error for a flush that had nothing to write.
const emptyFlush = "pebble: empty table"

// listener hears of what happens in the background; damaged is called when damage was found on disk.
func (f *failure) listener(l *slog.Logger, damaged func()) *pebble.EventListener {
	return &pebble.EventListener{
		FlushEnd: func(info pebble.FlushInfo) {
			// A flush of nothing but deletions that cancel out writes no table; Pebble reports that as an error here, and nowhere else.
			if info.Err == nil || info.Err.Error() == emptyFlush {
				f.set(nil)
				return
			}
			f.set(&info.Err)
			l.Error("state could not be flushed to disk", "error", info.Err)
		},
		BackgroundError: func(err error) { l.Error("state store failed in the background", "error", err) },
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			l.Error("the state store is damaged: the next start empties it and restores the state from the changelogs", "path", info.Path, "error", info.Details)
			damaged()
		},
	}
}
