package broker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestADirectoryThatIsNotWhereItWasIsNoticed(t *testing.T) {
	must := func(t *testing.T, errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		treat func(t *testing.T, dir string)
		says  string // empty: nothing
	}{
		"nothing happens":    {func(*testing.T, string) {}, ""},
		"a file is added":    {func(t *testing.T, dir string) { must(t, os.WriteFile(filepath.Join(dir, "note"), nil, 0o600)) }, ""},
		"removed":            {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, "removed or moved"},
		"moved":              {func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+"2")) }, "removed or moved"},
		"emptied":            {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir), os.Mkdir(dir, 0o755)) }, "removed or moved"},
		"topics are removed": {func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, topicsDir))) }, "removed or moved"},
		"a file in its place": {func(t *testing.T, dir string) {
			must(t, os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		}, "removed or moved"},
		"another server's in its place": {func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+"2"), os.MkdirAll(filepath.Join(dir, topicsDir), 0o755), os.Mkdir(filepath.Join(dir, metadataDir), 0o755),
				os.WriteFile(filepath.Join(dir, lockFile), nil, 0o600))
		}, "replaced"},
		"other topics in their place": {func(t *testing.T, dir string) {
			topics := filepath.Join(dir, topicsDir)
			must(t, os.Rename(topics, topics+"2"), os.Mkdir(topics, 0o755))
		}, "topics is another one"},
		"moved and linked": {func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+"2"), os.Symlink(dir+"2", dir)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			d, err := openDataDir(vfs.Default, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer d.close()
			c.treat(t, dir)
			switch err := d.present(); {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), dir)):
				t.Errorf("it says %v, want %q and the directory's name", err, c.says)
			}
		})
	}
}

func TestADirectoryInMemoryIsNoticedToo(t *testing.T) {
	mem := vfs.NewMem()
	d, err := openDataDir(mem, "/data")
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if err := d.present(); err != nil {
		t.Error(err)
	}
	if err := mem.RemoveAll("/data/" + metadataDir); err != nil {
		t.Fatal(err)
	}
	if err := d.present(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its metadata: %v", err)
	}
}
