package replica

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/internal/record"
)

func TestTheLastOfTheDiskIsNotForClients(t *testing.T) { // L11
	for _, c := range []struct {
		name        string
		total, free uint64
		short       bool
	}{
		{"large, enough", 1 << 40, 64 << 20, false},
		{"large, too little", 1 << 40, 64<<20 - 1, true},
		{"small, enough", 100 << 20, 2 << 20, false},
		{"small, too little", 100 << 20, 2<<20 - 1, true},
		{"full", 1 << 40, 0, true},
		{"it does not tell", 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			h := newHost(t, hostConfig{fs: mem})
			p := h.create("t", nil)
			mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: c.free, TotalBytes: c.total, UsedBytes: 1})
			if h.LookForRoom() != c.short || h.Short() != c.short {
				t.Errorf("short of room: %t, want %t", h.Short(), c.short)
			}
			if _, err := p.Append(batch("a"), commitlog.AppendOptions{}); errors.Is(err, commitlog.ErrNoSpace) != c.short {
				t.Errorf("a client's records: %v", err)
			}
			if _, err := p.Append(batch("a"), commitlog.AppendOptions{Origin: commitlog.Coordinator}); err != nil {
				t.Errorf("a coordinator's records: %v", err)
			}
			if _, err := p.AppendMarker(commitlog.MarkerOptions{ProducerID: 1, Now: h.cfg.Now()}); err != nil {
				t.Errorf("a marker: %v", err)
			}
			mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 40, UsedBytes: 1})
			if _, err := p.Append(batch("a"), commitlog.AppendOptions{}); err != nil {
				t.Errorf("with room again, a client's records: %v", err)
			}
		})
	}
}

// Nobody looks at the disk by the clock here: what is appended is enough.
func TestADiskThatFillsUpIsNoticedByWhatIsAppended(t *testing.T) { // L11
	mem := vfs.NewMem()
	h := newHost(t, hostConfig{fs: mem})
	p := h.create("t", nil)
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1, TotalBytes: 1 << 40, UsedBytes: 1})
	var appended record.Offset
	for p.Size() < 2*roomStep {
		info, err := p.Append(batch(string(make([]byte, 64<<10))), commitlog.AppendOptions{})
		if errors.Is(err, commitlog.ErrNoSpace) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		appended = info.LastOffset + 1
	}
	if size := p.Size(); size < roomStep || size >= 2*roomStep {
		t.Errorf("it is noticed after %d bytes, want %d and a batch", size, roomStep)
	}
	if end := p.Offsets().End; end != appended {
		t.Errorf("the log ends at %d, and %d were taken", end, appended)
	}
}
