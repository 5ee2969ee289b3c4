package commitlog

import (
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestADerivedFileHoldsWhatWasWrittenLast(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"operating system": vfs.Default, "memory": vfs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := fsys.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "file")
			for _, text := range []string{"middle", "the longest of all", "short", "", "again"} {
				if err := writeDerived(fsys, path, []byte(text)); err != nil {
					t.Fatal(err)
				}
				if got, err := readSmallFile(fsys, path, 100); err != nil || string(got) != text {
					t.Errorf("the file holds %q (%v), want %q", got, err, text)
				}
			}
		})
	}
}
