package broker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A data directory:
//
//	LOCK        held by the process that uses the directory
//	format      one line, "millrace data 1"; a program that knows less refuses the directory
//	clean       there when the last server closed everything, "closed N", N being where its metadata ended; removed before anything is written
//	metadata/   the cluster's metadata
//	topics/     a directory for each partition, the checkpoint of their logs, and the mark "offline" after a failed write until a start has read everything
const (
	lockFile     = "LOCK"
	formatFile   = "format"
	cleanFile    = "clean"
	metadataDir  = "metadata"
	topicsDir    = "topics"
	formatPrefix = "millrace data "
	cleanPrefix  = "closed "
	dataFormat   = 1

	// inMemoryDir is where an in-memory file system holds the data.
	inMemoryDir = "/millrace"
)

const writeCategory = vfs.DiskWriteCategory("millrace-data-directory")

// dataDir is an open data directory.
type dataDir struct {
	fs    vfs.FS
	path  string
	lock  io.Closer
	clean bool          // the last server closed everything
	end   uint64        // where the metadata ended then; 0 when that is not known
	own   []os.FileInfo // what watched found at the opening
}

// openDataDir takes the directory for this process.
func openDataDir(files vfs.FS, path string) (_ *dataDir, err error) {
	d := &dataDir{fs: files, path: path}
	if err := files.MkdirAll(path, 0o755); err != nil {
		return nil, d.notMade(err)
	}
	if d.lock, err = files.Lock(files.PathJoin(path, lockFile)); err != nil {
		if errno := syscall.Errno(0); errors.As(err, &errno) && errno != syscall.EAGAIN {
			return nil, fmt.Errorf("broker: data directory %s cannot be locked: %w", path, err)
		}
		return nil, fmt.Errorf("%w: %s (%w); stop the other one or choose another directory", ErrLocked, path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.lock.Close())
		}
	}()
	used, err := d.checkFormat()
	if err != nil {
		return nil, err
	}
	if used {
		err = d.checkWhole()
	} else {
		err = d.make()
	}
	if err != nil {
		return nil, err
	}
	if err := d.readMarker(); err != nil {
		return nil, err
	}
	d.own, err = d.look()
	return d, err
}

func (d *dataDir) notMade(err error) error {
	return fmt.Errorf("broker: data directory %s cannot be made: %w", d.path, err)
}

// make creates the directories, durably: a file is no safer than the entry of the directory that it lies in. The format comes last: where it is, all is.
func (d *dataDir) make() error {
	for _, sub := range []string{metadataDir, topicsDir} {
		if err := d.fs.MkdirAll(d.sub(sub), 0o755); err != nil {
			return d.notMade(err)
		}
	}
	if err := errors.Join(d.sync(d.path), d.sync(d.fs.PathDir(d.path))); err != nil {
		return d.notMade(err)
	}
	return d.write(formatFile, formatPrefix+strconv.Itoa(dataFormat)+"\n")
}

// checkWhole refuses a directory that was used before and lacks a part: an empty one in its place would stand for data that is gone.
func (d *dataDir) checkWhole() error {
	for _, sub := range []string{metadataDir, topicsDir} {
		if _, err := d.fs.Stat(d.sub(sub)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("broker: data directory %s was used before and lacks %s: bring it back, or begin with another directory", d.path, sub)
		}
	}
	return nil
}

// checkFormat refuses a directory that a newer program wrote, and reports whether the directory was used before.
func (d *dataDir) checkFormat() (used bool, err error) {
	text, err := d.read(formatFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(text), formatPrefix)
	version, err := strconv.Atoi(number)
	if !ok || err != nil {
		return false, fmt.Errorf("broker: data directory %s: the file %s does not name a format: %q", d.path, formatFile, text)
	}
	if version > dataFormat {
		return false, fmt.Errorf("%w: %s has format %d, this program knows up to %d; use the newer program", ErrNewerFormat, d.path, version, dataFormat)
	}
	return true, nil
}

// readMarker finds out how the last server ended.
func (d *dataDir) readMarker() error {
	text, err := d.read(cleanFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d.clean = true
	if end, err := strconv.ParseUint(strings.TrimSpace(strings.TrimPrefix(text, cleanPrefix)), 10, 64); err == nil {
		d.end = end
	}
	return nil
}

// begin is called before anything else is written: the marker goes, durably. It stays when a start finds damage, so that the next start finds it too.
func (d *dataDir) begin() error {
	if !d.clean {
		return nil
	}
	if err := d.fs.Remove(d.fs.PathJoin(d.path, cleanFile)); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return d.sync(d.path)
}

// close gives the directory up.
func (d *dataDir) close() error { return d.lock.Close() }

// closeClean gives the directory up and says that everything was closed, the metadata at index end.
func (d *dataDir) closeClean(end uint64) error {
	return errors.Join(d.write(cleanFile, cleanPrefix+strconv.FormatUint(end, 10)+"\n"), d.lock.Close())
}

// shown is the directory's name for those who ask from elsewhere.
func (d *dataDir) shown() string {
	if d.fs != vfs.Default {
		return d.path
	}
	abs, err := filepath.Abs(d.path)
	if err != nil {
		return d.path
	}
	return abs
}

func (d *dataDir) sub(name string) string { return d.fs.PathJoin(d.path, name) }

func (d *dataDir) read(name string) (string, error) {
	f, err := d.fs.Open(d.sub(name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return "", fmt.Errorf("broker: %s: %w", d.sub(name), err)
	}
	return string(b), nil
}

func (d *dataDir) write(name, text string) error {
	temp := d.sub(name + ".tmp")
	f, err := d.fs.Create(temp, writeCategory)
	if err != nil {
		return fmt.Errorf("broker: data directory %s cannot be written: %w", d.path, err)
	}
	_, err = f.Write([]byte(text))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("broker: %s: %w", temp, err)
	}
	if err := d.fs.Rename(temp, d.sub(name)); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return d.sync(d.path)
}

func (d *dataDir) sync(path string) error {
	dir, err := d.fs.OpenDir(path)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("broker: flushing %s: %w", path, err)
	}
	return nil
}
