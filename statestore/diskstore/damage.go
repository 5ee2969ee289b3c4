package diskstore

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// damagedFile lies in the directory since damage was found in the database while it was in use: what is damaged is not read at an opening, and would be met again and again.
const damagedFile = "DAMAGED"

// openOrRebuild opens the database. A damaged one gives way to an empty one: what it held is in the changelogs, and an application that could only end, at each of its starts,
// would need somebody to remove the directory. The directory's lock and format stay.
func (e *Engine) openOrRebuild(p *pebble.Options) (*pebble.DB, error) {
	fs := e.options.FS
	_, err := fs.Stat(fs.PathJoin(e.dir, damagedFile))
	if err != nil && !isNotExist(err) {
		return nil, fmt.Errorf("diskstore: %w", err)
	}
	if err != nil {
		db, err := pebble.Open(e.dir, p)
		if err == nil || !pebble.IsCorruptionError(err) && !isNotExist(err) { // a file that the database names and is not there is damage too
			return db, err
		}
		e.options.Logger.Error("the state store is damaged: it is emptied, and the state restored from the changelogs", "path", e.dir, "error", err)
	} else {
		e.options.Logger.Error("the state store was found damaged when it was last in use: it is emptied, and the state restored from the changelogs", "path", e.dir)
	}
	if err := e.empty(); err != nil {
		return nil, err
	}
	return pebble.Open(e.dir, p)
}

// empty removes the database. The mark goes last, so that an end in between leaves no half of a database behind.
func (e *Engine) empty() error {
	fs := e.options.FS
	e.leaveMark()
	names, err := fs.List(e.dir)
	if err != nil {
		return fmt.Errorf("diskstore: %w", err)
	}
	var errs []error
	for _, name := range names {
		if name != formatFile && name != "LOCK" && name != damagedFile {
			errs = append(errs, fs.RemoveAll(fs.PathJoin(e.dir, name)))
		}
	}
	errs = append(errs, e.syncDir())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("diskstore: emptying %s: %w", e.dir, err)
	}
	if err := errors.Join(fs.Remove(fs.PathJoin(e.dir, damagedFile)), e.syncDir()); err != nil && !isNotExist(err) {
		return fmt.Errorf("diskstore: emptying %s: %w", e.dir, err)
	}
	return nil
}

// leaveMark makes the next opening empty the database. Where the mark cannot be written the damage is met once more, and marked then.
func (e *Engine) leaveMark() {
	fs := e.options.FS
	f, err := fs.Create(fs.PathJoin(e.dir, damagedFile), vfs.WriteCategoryUnspecified)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close(), e.syncDir())
	}
	if err != nil {
		e.options.Logger.Error("a damaged state store could not be marked: remove the directory, the state is restored from the changelogs", "path", e.dir, "error", err)
	}
}

func (e *Engine) syncDir() error {
	d, err := e.options.FS.OpenDir(e.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
