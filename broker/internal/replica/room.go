package replica

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

// A part of the disk is kept from clients' records: what was written before can be read, committed and deleted for as long as the coordinators' topics and the metadata have
// room. Without it a full disk refuses the very request that would delete something.
const (
	// keptMost and keptShare say how much: this many bytes, and on a small disk no more than this share of it.
	keptMost  = 64 << 20
	keptShare = 50

	// roomStep is how much is appended between two looks at what is free: a look takes a microsecond, a thousandth of that.
	roomStep = 1 << 20
)

// room knows whether the disk has room for clients' records.
type room struct {
	appended atomic.Int64 // bytes since the last look
	short    atomic.Bool

	mu sync.Mutex // one look at a time: what an older one saw must not come after what a newer one did
}

// admit refuses a client's records when what is left of the disk is kept for others. While it refuses it looks each time, so that it ends as soon as there is room.
func (p *Partition) admit(o *commitlog.AppendOptions) error {
	if o.Origin != commitlog.Client || !p.m.room.short.Load() || !p.m.LookForRoom() {
		return nil
	}
	return fmt.Errorf("%w: %s-%d: the last %d MiB of the disk, or the last %d %% of a small one, are kept for offsets, transactions and metadata",
		commitlog.ErrNoSpace, p.Topic, p.Number, keptMost>>20, 100/keptShare)
}

// appendedToDisk counts the bytes of an append, and looks at the disk when they are many.
func (m *Manager) appendedToDisk(n int) {
	if m.room.appended.Add(int64(n)) >= roomStep {
		m.LookForRoom()
	}
}

// LookForRoom looks at how much of the disk is free and returns whether clients' records are refused for it. Call it now and then: others fill the disk too.
func (m *Manager) LookForRoom() (short bool) {
	m.room.appended.Store(0)
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	usage, err := m.cfg.FS.GetDiskUsage(m.cfg.Dir)
	if err != nil || usage.TotalBytes == 0 {
		return false // a file system that does not tell; one that is full says so at the next write
	}
	short = usage.AvailBytes < min(keptMost, usage.TotalBytes/keptShare)
	if m.room.short.Swap(short) == short {
		return short
	}
	if short {
		m.cfg.Log.Error("the disk is almost full: producers are refused until there is room", "path", m.cfg.Dir, "free", usage.AvailBytes)
	} else {
		m.cfg.Log.Warn("the disk has room again: producers are served", "path", m.cfg.Dir, "free", usage.AvailBytes)
	}
	return short
}

// Short reports whether clients' records were refused, for want of room, at the last look.
func (m *Manager) Short() bool { return m.room.short.Load() }
