package diskstore

import (
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// failure is the error of the last flush, if it failed. Pebble tries a failed flush again by itself and lets commits wait once its memtables are full; with the
// failure known, a commit says why instead. A flush that succeeds ends it.
type failure struct{ last atomic.Pointer[error] }

func (f *failure) get() error {
	if err := f.last.Load(); err != nil {
		return *err
	}
	return nil
}

// emptyFlush is the text of Pebble's unexported error for a flush that had nothing to write.
const emptyFlush = "pebble: empty table"

// listener hears of what happens in the background; damaged is called when damage was found on disk.
func (f *failure) listener(l *slog.Logger, damaged func()) *pebble.EventListener {
	return &pebble.EventListener{
		FlushEnd: func(info pebble.FlushInfo) {
			// A flush of nothing but deletions that cancel out writes no table; Pebble reports that as an error here, and nowhere else.
			if info.Err == nil || info.Err.Error() == emptyFlush {
				f.last.Store(nil)
				return
			}
			f.last.Store(&info.Err)
			l.Error("state could not be flushed to disk", "error", info.Err)
		},
		BackgroundError: func(err error) { l.Error("state store failed in the background", "error", err) },
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			l.Error("the state store is damaged: the next start empties it and restores the state from the changelogs", "path", info.Path, "error", info.Details)
			damaged()
		},
	}
}
