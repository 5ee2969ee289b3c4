package replica

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

// housekeep runs what is due at intervals: flushes, checkpoints, retention, the expiry of producers.
func (m *Manager) housekeep() {
	s := m.cfg.Settings()
	tasks := []*task{
		{every: s.Duration("log.flush.scheduler.interval.ms"), run: m.flushDue},
		{every: s.Duration("log.flush.offset.checkpoint.interval.ms"), run: m.checkpoint},
		{every: s.Duration("log.retention.check.interval.ms"), run: m.retain},
		{every: purgeInterval, run: m.purge},
		{every: s.Duration("producer.id.expiration.check.interval.ms"), run: m.expire},
	}
	now := time.Now()
	for _, t := range tasks {
		t.next = now.Add(t.every)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := time.Duration(math.MaxInt64)
		for _, t := range tasks {
			wait = min(wait, time.Until(t.next))
		}
		timer.Reset(max(wait, 0))
		select {
		case <-m.stop:
			return
		case <-timer.C:
		}
		now := time.Now()
		for _, t := range tasks {
			if !now.Before(t.next) {
				t.run()
				t.next = time.Now().Add(t.every)
			}
		}
	}
}

type task struct {
	every time.Duration
	next  time.Time
	run   func()
}

// usable returns the partitions with a log that can be used.
func (m *Manager) usable() []*Partition {
	return slices.DeleteFunc(m.All(), func(p *Partition) bool { return p.log == nil || p.check() != nil })
}

// stopping reports whether the manager is being closed: long rounds look at it between two logs.
func (m *Manager) stopping() bool {
	select {
	case <-m.stop:
		return true
	default:
		return false
	}
}

// flushDue syncs the logs that the flush mode or their topic's flush.ms says are due.
func (m *Manager) flushDue() {
	now := m.cfg.Now()
	for _, p := range m.usable() {
		p.mu.Lock()
		since, limit := p.appended, p.config.Load().FlushInterval
		p.mu.Unlock()
		if since.IsZero() || m.cfg.Flush != FlushInterval && now.Sub(since) < limit {
			continue
		}
		if m.stopping() {
			return
		}
		_ = p.flush(p.log.End()) // a failure is logged and takes the partition or the directory offline
	}
}

// checkpoint syncs what was appended since the last time and writes the recovery points, so that a start after a kill has little to check.
func (m *Manager) checkpoint() {
	for _, p := range m.usable() {
		if m.stopping() {
			return
		}
		p.mu.Lock()
		dirty := !p.appended.IsZero()
		p.mu.Unlock()
		if dirty {
			_ = p.flush(p.log.End()) // a failure is logged and takes the partition or the directory offline
		}
	}
	if m.Err() != nil {
		return // nothing more is written
	}
	if err := m.judge(m.saveCheckpoint()); err != nil && !errors.Is(err, ErrOffline) {
		m.cfg.Log.Error("the checkpoint cannot be written", "error", err)
	}
}

// saveCheckpoint writes what a start needs to know of each log.
func (m *Manager) saveCheckpoint() error {
	m.checkpointMu.Lock()
	defer m.checkpointMu.Unlock()
	points := map[string]commitlog.Checkpoint{}
	var order []string
	var text strings.Builder
	for _, p := range m.All() {
		c := p.point // a log that could not be opened keeps what was known of it
		if p.log != nil {
			c = p.log.Checkpoint()
		}
		if c != (commitlog.Checkpoint{}) {
			points[p.dir] = c
			order = append(order, p.dir)
		}
	}
	slices.Sort(order)
	for _, dir := range order {
		fmt.Fprintln(&text, dir, points[dir])
	}
	if text.String() == m.saved {
		return nil
	}
	if err := writeCheckpoint(m.cfg.FS, m.cfg.Dir, points, order); err != nil {
		return err
	}
	m.saved = text.String()
	return nil
}

// retain deletes segments that are too old or too many.
func (m *Manager) retain() {
	now := m.cfg.Now()
	for _, p := range m.usable() {
		if m.stopping() {
			return
		}
		o := p.Offsets()
		n, err := p.log.DeleteOldSegments(now, o.HighWatermark)
		if err != nil {
			m.complain(p, "old segments cannot be deleted", err)
			continue
		}
		if n > 0 {
			p.mu.Lock()
			p.state.Started(p.log.LogStart())
			p.mu.Unlock()
			m.cfg.Log.Info("old segments were deleted", "topic", p.Topic, "partition", p.Number, "segments", n, "offset", p.log.LogStart())
		}
	}
}

// purgeInterval is how often the files of deleted segments are looked at; file.delete.delay.ms is kept to within it.
const purgeInterval = 10 * time.Second

// purge removes the files of segments that were deleted a while ago.
func (m *Manager) purge() {
	now := m.cfg.Now()
	for _, p := range m.usable() {
		if err := p.log.PurgeDeleted(now); err != nil {
			m.complain(p, "the files of deleted segments cannot be removed", err)
		}
	}
}

// expire forgets producers that have been idle for long.
func (m *Manager) expire() {
	now := m.cfg.Now()
	for _, p := range m.usable() {
		p.log.ExpireProducers(now)
	}
}

func (m *Manager) complain(p *Partition, what string, err error) {
	if err = p.judge(err); errors.Is(err, ErrOffline) || errors.Is(err, ErrClosed) {
		return // said already, or of no interest any more
	}
	m.cfg.Log.Error(what, "topic", p.Topic, "partition", p.Number, "error", err)
}

// clean compacts the dirtiest log, again and again; when none is due it pauses.
func (m *Manager) clean() {
	if !m.cfg.Settings().Bool("log.cleaner.enable") {
		return
	}
	pause := func() time.Duration { return max(m.cfg.Settings().Duration("log.cleaner.backoff.ms"), minCleanerPause) }
	timer := time.NewTimer(pause())
	defer timer.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-timer.C:
		}
		var wait time.Duration
		if !m.cleanOne() {
			wait = pause()
		}
		timer.Reset(wait)
	}
}

// minCleanerPause keeps a cleaner without a back-off from looking at all logs all the time.
const minCleanerPause = 100 * time.Millisecond

// uncleanablePause is for how long a log that could not be cleaned is left alone: it may be the dirtiest for good, and the others have their turn meanwhile.
const uncleanablePause = time.Minute

// cleanOne cleans the dirtiest log that is due and reports whether there was one.
func (m *Manager) cleanOne() bool {
	now := m.cfg.Now()
	var dirtiest *Partition
	worst := -1.0
	for _, p := range m.usable() {
		if !p.Config().CleanupCompact || now.Before(p.uncleanable) {
			continue
		}
		if ratio, due := p.log.DirtyRatio(p.Offsets().LastStable, now); due && ratio > worst {
			dirtiest, worst = p, ratio
		}
	}
	if dirtiest == nil || m.stopping() {
		return false
	}
	return m.cleanLog(dirtiest, commitlog.CleanOptions{UpTo: dirtiest.Offsets().LastStable, Now: now})
}

func (m *Manager) cleanLog(p *Partition, o commitlog.CleanOptions) bool {
	stats, err := p.log.Clean(o)
	if err != nil {
		if !errors.Is(err, commitlog.ErrCleanAborted) {
			p.uncleanable = o.Now.Add(uncleanablePause)
			m.complain(p, "a log cannot be cleaned", err)
		}
		return false
	}
	m.cfg.Log.Debug("log cleaned", "topic", p.Topic, "partition", p.Number, "read", stats.BytesRead, "written", stats.BytesWritten, "offset", stats.Cleaned)
	return stats.BytesRead > 0
}
