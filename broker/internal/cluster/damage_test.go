package cluster

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/settings"
	"github.com/millrace-io/millrace/internal/memtest"
)

// TestAFlippedBitBeforeTheLastFrameIsNoTornTail flips every bit of a log but those of its last frame: topics that were acknowledged are behind it, so that cutting there
// would forget them (L5).
func TestAFlippedBitBeforeTheLastFrameIsNoTornTail(t *testing.T) {
	fs, path, whole, last := threeTopics(t)
	for at := range last {
		for bit := range 8 {
			spoilt := slices.Clone(whole)
			spoilt[at] ^= 1 << bit
			if im, err := open(t, clone(t, fs, path, spoilt)); err == nil {
				t.Fatalf("bit %d of byte %d flipped: the metadata opened with %d topics of 3", bit, at, im.Image().TopicCount())
			}
		}
	}
}

// TestATornLastFrameOfAnyContentIsCut: what a power loss leaves of the last frame may be zeros or garbage.
func TestATornLastFrameOfAnyContentIsCut(t *testing.T) {
	fs, path, whole, last := threeTopics(t)
	for cut := last; cut < len(whole); cut++ {
		for _, fill := range []byte{0, 0xa5} {
			torn := slices.Clone(whole)
			for i := cut; i < len(torn); i++ {
				torn[i] = fill
			}
			if slices.Equal(torn, whole) {
				continue
			}
			im, err := open(t, clone(t, fs, path, torn))
			if err != nil || im.Image().TopicCount() != 2 {
				t.Fatalf("%#x from byte %d on: %v", fill, cut, err)
			}
		}
	}
}

// TestAFlippedBitInALogThatWasClosedIsDamage: after a clean end not even the last frame can be torn, and what it holds was acknowledged (L5).
func TestAFlippedBitInALogThatWasClosedIsDamage(t *testing.T) {
	fs := vfs.NewMem()
	l := mustOpen(t, fs)
	for i := range 2 {
		if err := create(l, fmt.Sprint("t", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := settings.NewBroker(nil)
	if err != nil {
		t.Fatal(err)
	}
	closed := func(fs vfs.FS) (*Local, error) {
		c := config(fs, b)
		c.Clean = true
		return Open(c)
	}
	path := logPath(t, fs)
	whole := read(t, fs, path)
	for at := range whole {
		spoilt := slices.Clone(whole)
		spoilt[at] ^= 1 << (at % 8)
		if im, err := closed(clone(t, fs, path, spoilt)); err == nil {
			t.Fatalf("a bit of byte %d of %d flipped: the metadata opened with %d topics of 2", at, len(whole), im.Image().TopicCount())
		}
	}
	last := len(whole) - len(lastFrame(t, whole))
	for cut := range whole {
		if cut%last < 4 {
			continue // nothing of a frame, or zeros of its length: nobody can tell that there was one
		}
		if im, err := closed(clone(t, fs, path, whole[:cut])); err == nil {
			t.Fatalf("cut at byte %d of %d: the metadata opened with %d topics of 2", cut, len(whole), im.Image().TopicCount())
		}
	}
	if l, err := closed(clone(t, fs, path, append(slices.Clone(whole), 0, 0, 0, 0, 0, 0))); err != nil || l.Image().TopicCount() != 2 {
		t.Fatalf("zeros behind the last frame, as a write leaves that there was no room for: %v", err)
	}
}

// FuzzOpen opens a directory whose log or snapshot holds any bytes: an error, or an image that holds together and opens again the same (L13).
func FuzzOpen(f *testing.F) {
	fs := vfs.NewMem()
	b, err := settings.NewBroker(nil)
	if err != nil {
		f.Fatal(err)
	}
	l, err := Open(config(fs, b))
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := create(l, fmt.Sprint("t", i)); err != nil {
			f.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		f.Fatal(err)
	}
	names, err := fs.List("metadata")
	if err != nil {
		f.Fatal(err)
	}
	slices.Sort(names)
	files := map[string][]byte{}
	for i, name := range names {
		files[name] = read(f, fs, fs.PathJoin("metadata", name))
		f.Add(byte(i), files[name], 0, byte(0))
		f.Add(byte(i), files[name], 2, byte(0x80))
		f.Add(byte(i), files[name][:len(files[name])/2], 0, byte(0))
	}
	f.Add(byte(0), appendFrame(nil, 1<<40, []controller.Record{&controller.ProducerIDs{Next: -1}}), 0, byte(0))
	f.Fuzz(func(t *testing.T, which byte, data []byte, at int, flip byte) {
		data = slices.Clone(data)
		if len(data) > 0 {
			data[uint(at)%uint(len(data))] ^= flip
		}
		fsys := vfs.NewMem()
		if err := fsys.MkdirAll("metadata", 0o755); err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			content := files[name]
			if i == int(which)%len(names) {
				content = data
			}
			put(t, fsys, fsys.PathJoin("metadata", name), content)
		}
		const base, each = 4 << 20, 512
		var im *controller.Image
		took := memtest.Allocated(func() {
			s := store{fs: fsys, dir: "metadata"}
			im, err = s.load(false)
		})
		if limit := int64(base + each*len(data)); took > limit {
			t.Errorf("loading %d bytes took %d bytes of memory, allowed are %d", len(data), took, limit)
		}
		if err != nil || im == nil {
			return
		}
		if err := im.Check(); err != nil {
			t.Fatal(err)
		}
		if l, err := Open(config(fsys, b)); err == nil {
			count := l.Image().TopicCount()
			l.Close()
			if again, err := Open(config(fsys, b)); err != nil || again.Image().TopicCount() != count {
				t.Fatalf("opened again: %v", err)
			}
		}
	})
}
