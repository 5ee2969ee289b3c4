package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watchInterval is the time between two looks at whether the directory is where it was. What is acknowledged in between goes with a directory that somebody removes.
const watchInterval = time.Second

// watched are the parts by which the directory is known again. The lock file is held open, so that no other file can pass for it.
var watched = [...]string{lockFile, metadataDir, topicsDir}

// watch looks again and again whether the directory is still there. It calls look while it is, and lost, once, when it is not.
func (d *dataDir) watch(ctx context.Context, look func() bool, lost func(error)) {
	ticks := time.NewTicker(watchInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		if err := d.present(); err != nil {
			lost(err)
			return
		}
		look()
	}
}

// present tells whether the directory is the one that was opened: an error when somebody removed, moved or replaced it, or mounted something over it or away. The files
// that are open would go on taking writes, which no restart would find.
func (d *dataDir) present() error {
	now, err := d.look()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ESTALE) {
		return fmt.Errorf("broker: data directory %s was removed or moved while it was in use: %w", d.path, err)
	}
	if err != nil {
		return nil // no answer; writes find out by themselves
	}
	for i, info := range now {
		if d.fs == vfs.Default && !os.SameFile(info, d.own[i]) {
			return fmt.Errorf("broker: data directory %s was replaced while it was in use: %s is another one", d.path, watched[i])
		}
	}
	return nil
}

// look returns the watched parts as they are now. Only files of the operating system can be told from others of the same name.
func (d *dataDir) look() ([]os.FileInfo, error) {
	found := make([]os.FileInfo, len(watched))
	for i, name := range watched {
		var err error
		if d.fs == vfs.Default {
			found[i], err = os.Stat(d.sub(name))
		} else {
			found[i], err = d.fs.Stat(d.sub(name))
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
