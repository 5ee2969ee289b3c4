package replica

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
)

// offlineFile lies beside the partitions' directories after the directory went offline, until a start has read every batch in it.
const offlineFile = "offline"

// Fail takes the directory offline, with all partitions in it: a flush or a write failed, and nobody knows what else the disk did not keep. Nothing is written any more
// but the mark that makes the next start read every byte. The first reason stays, and is returned.
func (m *Manager) Fail(cause error) error {
	m.cease(cause, "a restart reads all of it before it goes on", m.leaveMark)
	return m.Err()
}

// Lose takes the directory offline as Fail does, because it is not where it was: what is written goes to files that no restart would find. Nothing is written at its path,
// where somebody else's directory may lie by now.
func (m *Manager) Lose(cause error) {
	m.cease(cause, "bring it back and restart the server", func() error { return nil })
}

// cease goes offline for the first cause, and tells everybody.
func (m *Manager) cease(cause error, remedy string, mark func() error) {
	err := fmt.Errorf("%w: %w; %s", ErrOffline, cause, remedy)
	if !m.failed.CompareAndSwap(nil, &err) {
		return
	}
	m.cfg.Log.Error("the data directory is offline: "+remedy, "error", cause)
	if m.cfg.Failed != nil {
		m.cfg.Failed(err)
	}
	// A disk on which the mark fails as well is past helping: what it kept is found by the recovery points and the checksums.
	_ = mark()
	for _, p := range m.All() {
		p.wake()
	}
}

// Err returns why the directory is offline; nil when it is not.
func (m *Manager) Err() error {
	if err := m.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// judge sorts an error of a write that is no log's.
func (m *Manager) judge(err error) error {
	if err == nil || commitlog.IsRefusal(err) {
		return asDiskError(err)
	}
	return m.Fail(err)
}

func asDiskError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrDisk, err)
}

// isOwnDamage tells whether what took a log offline says something of this log alone: somebody removed its files, or its bytes are not what was written.
func isOwnDamage(err error) bool {
	return errors.Is(err, commitlog.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func (m *Manager) mark() string { return m.cfg.FS.PathJoin(m.cfg.Dir, offlineFile) }

func (m *Manager) leaveMark() error {
	f, err := m.cfg.FS.Create(m.mark(), writeCategory)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncDir(m.cfg.FS, m.cfg.Dir))
}

// findMark tells whether the directory went offline when it was last open.
func (m *Manager) findMark() (bool, error) {
	_, err := m.cfg.FS.Stat(m.mark())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("replica: %w", err)
	}
	return true, nil
}

// clearMark is called when all logs were opened. The mark stays while there are some that could not be read.
func (m *Manager) clearMark(list []*Partition) {
	for _, p := range list {
		if err := p.check(); err != nil && !isOwnDamage(err) {
			m.cfg.Log.Warn("the next start reads all of the data directory once more: a partition could not be read", "topic", p.Topic, "partition", p.Number)
			return
		}
	}
	if err := errors.Join(m.cfg.FS.Remove(m.mark()), syncDir(m.cfg.FS, m.cfg.Dir)); err != nil {
		m.cfg.Log.Warn("the next start reads all of the data directory once more: its mark cannot be removed", "error", err)
	}
	m.verify = false
}

// reportStrangers tells of partitions' directories that belong to no topic. A topic is in the metadata before it has a directory, and until it has none: so the metadata lost
// what it knew of them. They stay as they are.
func (m *Manager) reportStrangers(now *controller.Image) {
	names, err := m.cfg.FS.List(m.cfg.Dir)
	if err != nil {
		m.cfg.Log.Error("the partitions' directories cannot be listed", "path", m.cfg.Dir, "error", err)
		return
	}
	strangers, example := 0, ""
	for _, name := range names {
		id, ok := topicOf(name)
		if _, deleted := now.Deleted()[id]; ok && !deleted && now.TopicByID(id) == nil {
			strangers, example = strangers+1, name
		}
	}
	if strangers > 0 {
		m.cfg.Log.Error("the metadata lost topics: there are partitions' directories that belong to none", "partitions", strangers, "path", m.cfg.FS.PathJoin(m.cfg.Dir, example))
	}
}

// topicOf is the inverse of dirName, as far as the topic goes.
func topicOf(dir string) (id controller.TopicID, ok bool) {
	text, _, ok := strings.Cut(dir, "-")
	if !ok || len(text) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(text))
	return id, err == nil
}
