package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/settings"
)

// fullDisk writes what still fits and refuses the rest, as a file system without room does.
type fullDisk struct {
	vfs.FS
	room *int // bytes; negative: no bound
}

func (d fullDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	return &fullDiskFile{f, d.room}, nil
}

type fullDiskFile struct {
	vfs.File
	room *int
}

func (f *fullDiskFile) fits(n int) int {
	if *f.room < 0 {
		return n
	}
	return min(n, *f.room)
}

func (f *fullDiskFile) Write(p []byte) (int, error) {
	return f.charge(len(p))(f.File.Write(p[:f.fits(len(p))]))
}

func (f *fullDiskFile) WriteAt(p []byte, off int64) (int, error) {
	return f.charge(len(p))(f.File.WriteAt(p[:f.fits(len(p))], off))
}

func (f *fullDiskFile) charge(want int) func(int, error) (int, error) {
	return func(n int, err error) (int, error) {
		if *f.room >= 0 {
			*f.room -= n
		}
		if err == nil && n < want {
			err = syscall.ENOSPC
		}
		return n, err
	}
}

// TestAFullDiskRefusesMetadataAndRecovers fills the disk at every byte of a frame. What was refused is nowhere, then or after a restart, whatever comes after it (L11).
func TestAFullDiskRefusesMetadataAndRecovers(t *testing.T) {
	long := strings.Repeat("long", 20)
	for fits := 0; ; fits++ {
		mem, room := vfs.NewMem(), -1
		l := mustOpen(t, fullDisk{mem, &room})
		if err := create(l, "before"); err != nil {
			t.Fatal(err)
		}
		room = fits
		err := create(l, long)
		if err == nil {
			if fits < len(long) {
				t.Fatalf("a frame of a name of %d bytes fits into %d", len(long), fits)
			}
			return // all of it fits
		}
		if !errors.Is(err, kerr.KafkaStorageError) || !errors.Is(err, syscall.ENOSPC) || l.Err() != nil {
			t.Fatalf("room for %d bytes: %v; the metadata: %v", fits, err, l.Err())
		}
		if again := mustOpen(t, copyOf(t, mem)); again.Image().TopicCount() != 1 {
			t.Fatalf("room for %d bytes: after a kill there are %d topics", fits, again.Image().TopicCount())
		}
		room = -1
		if fits%2 == 1 { // closed right there: a clean end leaves nothing that looks torn
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := settings.NewBroker(nil)
			if err != nil {
				t.Fatal(err)
			}
			c := config(mem, b)
			c.Clean = true
			again, err := Open(c)
			if err != nil || again.Image().TopicCount() != 1 {
				t.Fatalf("room for %d bytes: after a clean end: %v", fits, err)
			}
			continue
		}
		for i, name := range []string{"s", long + "er", "after"} { // shorter than what was refused, longer, and on its remains
			if err := create(l, name); err != nil {
				t.Fatalf("room for %d bytes, then for all: %v", fits, err)
			}
			again := mustOpen(t, copyOf(t, mem))
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			if im := again.Image(); im.TopicCount() != i+2 || im.Topic(name) == nil || im.Topic(long) != nil {
				t.Fatalf("room for %d bytes, then for all: %d topics after %q and a kill", fits, im.TopicCount(), name)
			}
		}
	}
}

// copyOf copies the directory into a file system of its own.
func copyOf(t *testing.T, fs vfs.FS) vfs.FS { return clone(t, fs, "", nil) }

// TestAFullDiskPutsOffTheSnapshot: the log goes on without it, at whichever call of its making there is no room, and a later one replaces both.
func TestAFullDiskPutsOffTheSnapshot(t *testing.T) {
	value := strings.Repeat("x", compactAt/8)
	set := func(l *Local, n int) error {
		return l.Propose(context.Background(), func(*controller.Image) ([]controller.Record, error) {
			return []controller.Record{&controller.ConfigsSet{
				Resource: controller.Resource{Type: controller.ResourceGroup, Name: "g"}, Configs: map[string]string{"v": fmt.Sprint(n, value)},
			}}, nil
		})
	}
	for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpRename, errorfs.OpOpenDir, errorfs.OpRemove} {
		for nth := 1; nth <= 2; nth++ {
			mem := vfs.NewMem()
			full, calls := false, 0
			l := mustOpen(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if !full || op.Kind != kind {
					return nil
				}
				if calls++; calls < nth {
					return nil
				}
				return syscall.ENOSPC
			})))
			full = true
			const changes = 24
			for n := range changes {
				if n == changes/2 {
					full = false
				}
				if err := set(l, n); err != nil || l.Err() != nil {
					t.Fatalf("%v, call %d: change %d: %v; the metadata: %v", kind, nth, n, err, l.Err())
				}
				if n%8 == 7 {
					again := mustOpen(t, copyOf(t, mem))
					if got := again.Image().Configs(controller.Resource{Type: controller.ResourceGroup, Name: "g"})["v"]; !strings.HasPrefix(got, fmt.Sprint(n, "x")) {
						t.Fatalf("%v, call %d: after change %d and a kill the value begins with %.5s", kind, nth, n, got)
					}
				}
			}
			if calls == 0 {
				t.Errorf("%v: no snapshot was tried on the full disk", kind)
			}
			if size := len(read(t, mem, logPath(t, mem))); size > 3*compactAt {
				t.Errorf("%v, call %d: with room again the log has %d bytes", kind, nth, size)
			}
		}
	}
}
