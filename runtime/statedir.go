package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// stateDir is the directory of one instance:
//
//	<dir>/instance   whose directory it is
//	<dir>/store/     the engine, which also locks the directory against a second process
//
// The instance file has three lines:
//
//	millrace state 1
//	app <application id>
//	process <uuid>
//
// The process id is part of the transactional ids, so that a restarted process ends its own open transactions at once, and of the static membership, so that it gets its
// tasks back.
type stateDir struct{ dir string }

const (
	instanceFile       = "instance"
	stateFormat        = "millrace state "
	stateFormatVersion = "1"
)

func (d stateDir) store() string { return filepath.Join(d.dir, "store") }

// create makes the directory and checks that it belongs to the application, before anything in it is opened.
func (d stateDir) create(app string) error {
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return fmt.Errorf("runtime: state directory: %w", err)
	}
	_, err := d.read(app)
	return err
}

// read returns the process id, "" when there is no instance file yet.
func (d stateDir) read(app string) (process string, err error) {
	path := filepath.Join(d.dir, instanceFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("runtime: state directory: %w", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	version, ok := strings.CutPrefix(lines[0], stateFormat)
	if !ok {
		return "", fmt.Errorf("runtime: %s is not the instance file of a state directory: choose another StateDir", path)
	}
	if version != stateFormatVersion {
		return "", fmt.Errorf("runtime: state directory %s has format %s, this program knows up to %s: use the program that wrote it, or a newer one", d.dir, version, stateFormatVersion)
	}
	var owner string
	for _, line := range lines[1:] {
		if v, ok := strings.CutPrefix(line, "app "); ok {
			owner = v
		}
		if v, ok := strings.CutPrefix(line, "process "); ok {
			process = v
		}
	}
	if owner != app {
		return "", fmt.Errorf("runtime: state directory %s belongs to application %q, not to %q: choose another StateDir", d.dir, owner, app)
	}
	if _, err := uuid.Parse(process); err != nil {
		return "", fmt.Errorf("runtime: %s: process id %q: %w", path, process, err)
	}
	return process, nil
}

// process returns the process id, making one the first time. The caller holds the engine's lock.
func (d stateDir) process(app string) (string, error) {
	process, err := d.read(app)
	if err != nil || process != "" {
		return process, err
	}
	process = uuid.NewString()
	path := filepath.Join(d.dir, instanceFile)
	if err := writeFile(path, stateFormat+stateFormatVersion+"\napp "+app+"\nprocess "+process+"\n"); err != nil {
		return "", fmt.Errorf("runtime: state directory: %w", err)
	}
	return process, nil
}

// writeFile replaces a file as a whole and durably.
func writeFile(path, text string) (err error) {
	tmp := path + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
