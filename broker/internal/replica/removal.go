package replica

import (
	"errors"
	"slices"
	"time"
)

// remove closes the logs of deleted topics, and deletes their files when their delay is over.
func (m *Manager) remove() {
	var waiting []removal
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		waiting = slices.DeleteFunc(waiting, func(r removal) bool {
			if m.stopping() || time.Until(r.due) > 0 {
				return false
			}
			m.removeTopic(r)
			return true
		})
		timer.Reset(untilDue(waiting))
		select {
		case <-m.stop:
			return
		case <-timer.C:
		case r := <-m.removals:
			m.discard(r)
			r.logs = nil
			waiting = append(waiting, r)
		}
	}
}

// untilDue is how long until the first of the removals.
func untilDue(waiting []removal) time.Duration {
	next := time.Hour
	for _, r := range waiting {
		next = min(next, time.Until(r.due))
	}
	return max(next, 0)
}

// discard closes a deleted topic's logs. What was not flushed needs not be.
func (m *Manager) discard(r removal) {
	for _, p := range r.logs {
		if p.log == nil {
			continue
		}
		if err := p.log.Discard(); err != nil {
			m.cfg.Log.Warn("a deleted log was not closed cleanly", "topic", p.Topic, "partition", p.Number, "error", err)
		}
	}
}

// discardQueued closes the logs that nobody came to. Their files stay until the next start.
func (m *Manager) discardQueued() {
	for {
		select {
		case r := <-m.removals:
			m.discard(r)
		default:
			return
		}
	}
}

// removeTopic deletes the files of a deleted topic.
func (m *Manager) removeTopic(r removal) {
	var errs []error
	for n := range r.dirs {
		dir := m.cfg.FS.PathJoin(m.cfg.Dir, dirName(r.id, n))
		if _, err := m.cfg.FS.Stat(dir); err == nil {
			errs = append(errs, m.cfg.FS.RemoveAll(dir))
		}
	}
	if err := errors.Join(errs...); err != nil {
		m.cfg.Log.Error("the files of a deleted topic cannot be removed; the next start tries again", "error", err)
		return
	}
	m.cfg.Purged(r.id)
}
