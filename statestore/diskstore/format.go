package diskstore

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	formatFile    = "FORMAT"
	formatName    = "millrace-state"
	formatVersion = 1
	// maxFormatBytes is more than any version of the file has.
	maxFormatBytes = 128
)

// ErrNewerFormat says that the directory was written by a newer version of the program.
var ErrNewerFormat = errors.New("diskstore: the directory has a newer format than this program knows")

// checkFormat reads the format file of a directory, or writes it into a new one.
func checkFormat(fs vfs.FS, dir string) error {
	path := fs.PathJoin(dir, formatFile)
	text, err := readSmallFile(fs, path)
	switch {
	case err == nil:
		return parseFormat(path, text)
	case !isNotExist(err):
		return fmt.Errorf("diskstore: %s: %w", path, err)
	}
	// A directory with a database but no format file is not ours.
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("diskstore: %s: %w", dir, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "MANIFEST-") {
			return fmt.Errorf("diskstore: %s holds a database but no %s file: it is not a state directory, choose another one", dir, formatFile)
		}
	}
	return writeFormat(fs, dir, path)
}

func parseFormat(path, text string) error {
	name, number, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
	version, err := strconv.Atoi(number)
	if name != formatName || err != nil || version < 1 {
		return fmt.Errorf("diskstore: %s: %q, want %q and a version: it is not a state directory, choose another one", path, text, formatName)
	}
	if version > formatVersion {
		return fmt.Errorf("%w: %s says version %d, the newest known is %d: run the newer program, or remove the directory to restore from the changelogs",
			ErrNewerFormat, path, version, formatVersion)
	}
	return nil
}

// writeFormat makes the file appear whole or not at all.
func writeFormat(fs vfs.FS, dir, path string) (err error) {
	fail := func(err error) error { return fmt.Errorf("diskstore: write %s: %w", path, err) }
	temporary := path + ".tmp"
	f, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fail(err)
	}
	_, err = fmt.Fprintf(f, "%s %d\n", formatName, formatVersion)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fail(err)
	}
	if err := fs.Rename(temporary, path); err != nil {
		return fail(err)
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fail(err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fail(err)
	}
	return nil
}

func readSmallFile(fs vfs.FS, path string) (string, error) {
	f, err := fs.Open(path)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFormatBytes))
	return string(b), errors.Join(err, f.Close())
}
